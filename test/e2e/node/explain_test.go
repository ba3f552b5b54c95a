package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/injector"
)

// testExplain has pods explained that do not start, for what only a kubelet and a real Vault can
// show, and runs the command that explain ends with.
func (n *node) testExplain(t *testing.T) {
	t.Parallel()
	n = n.in(t, "explain", nil)
	p := n.newPlugin(t)
	t.Run("login refused", func(t *testing.T) {
		pod := newPod("refused", container("app"))
		pod.Annotations = n.login("login-role=explained")
		n.create(t, pod)
		fix := p.fails(t, pod.Name, "oidc-login", `role \"explained\" could not be found`)
		if want := "kubectl oidc-injector generate vault pod/refused --namespace explain | sh"; fix != want {
			t.Errorf("fix %q, want %q", fix, want)
		}
		p.shell(t, fix)
		p.fixed(t, pod.Name)
		n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "explained")
	})
	t.Run("claim refused", func(t *testing.T) {
		// A role for somebody else's pods.
		n.writeRole(t, "others", map[string]any{"bound_subject": "system:serviceaccount:other:app"})
		pod := newPod("claim", container("app"))
		pod.Annotations = n.login("login-role=others")
		n.create(t, pod)
		fix := p.fails(t, pod.Name, "oidc-login", "400: ")
		if want := "kubectl oidc-injector token create claim --namespace explain --print | kubectl oidc-injector token verify " +
			`--from-cluster --against vault-role "${VAULT_ADDR:-` + n.address + `}/v1/auth/` + mount + `/role/others"`; fix != want {
			t.Errorf("fix %q, want %q", fix, want)
		}
		out, err := p.Try(t, fix)
		if err == nil || !strings.Contains(out, "✗ bound_subject") {
			t.Errorf("error %v, and no word of the subject: %s", err, out)
		}
		n.writeRole(t, "others", map[string]any{"bound_subject": ""})
		if out, err := p.Try(t, fix); err != nil {
			t.Errorf("error %v: %s", err, out)
		}
		p.fixed(t, pod.Name)
	})
	t.Run("CA missing", func(t *testing.T) {
		pod := newPod("authority", container("app"))
		pod.Annotations = n.login("login-ca-configmap=explained-ca")
		n.create(t, pod)
		fix := p.fails(t, pod.Name, "ConfigMap explained-ca", "is not there")
		p.fails(t, pod.Name, "oidc-login", `configmap "explained-ca" not found`)
		if want := "kubectl create configmap explained-ca --namespace explain --from-file=ca.crt=FILE"; fix != want {
			t.Errorf("fix %q, want %q", fix, want)
		}
		p.shell(t, strings.ReplaceAll(fix, "FILE", n.vault.CAFile()))
		p.fixed(t, pod.Name)
	})
}

// plugin is a shell with kubectl, the plugin and vault.
type plugin struct {
	*node
	injector.Shell
}

func (n *node) newPlugin(t *testing.T) *plugin {
	t.Helper()
	return &plugin{n, injector.NewShell(t, n.kube, map[string]string{"vault": n.vault.VaultPath()},
		"VAULT_ADDR="+n.vault.Address(), "VAULT_TOKEN="+n.vault.Client().Token(), "VAULT_CACERT="+n.vault.CAFile())}
}

func (p *plugin) shell(t *testing.T, command string) {
	t.Helper()
	if out, err := p.Try(t, command); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

func (p *plugin) explain(t *testing.T, pod string) (string, error) {
	t.Helper()
	return p.Try(t, "kubectl oidc-injector explain "+pod+" --namespace "+p.ns+" --config "+p.webhook.ConfigPath())
}

// fails waits until explain has a cross at a step, with a text, and returns the command that it ends with.
func (p *plugin) fails(t *testing.T, pod, step, text string) (fix string) {
	t.Helper()
	p.eventually(t, func() error {
		out, err := p.explain(t, pod)
		if err == nil {
			return errors.New("nothing is wrong: " + out)
		}
		var found bool
		if fix, found = injector.Fix(out, step, text); !found {
			return errors.New(out)
		}
		return nil
	})
	return fix
}

// fixed waits until the pod runs, and nothing is wrong with it.
func (p *plugin) fixed(t *testing.T, pod string) {
	t.Helper()
	p.waitReady(t, pod)
	if out, err := p.explain(t, pod); err != nil || !strings.Contains(out, "✓ oidc-login: logged in") {
		t.Errorf("error %v: %s", err, out)
	}
}
