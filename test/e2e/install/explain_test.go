package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/pki"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// deployment are pods that ask for a token.
const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: explained
  namespace: ` + apps + `
spec:
  selector: {matchLabels: {app: explained}}
  template:
    metadata:
      labels: {app: explained}
      annotations: {oidc-injector.io/audience: vault}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: localhost/oidc-injector/toolbox:test
        args: [sleep]
`

// plugin is a shell with kubectl, the plugin and Helm.
type plugin struct{ injector.Shell }

func (n *node) newPlugin(t *testing.T) plugin {
	t.Helper()
	home := t.TempDir()
	p := plugin{injector.NewShell(t, n.kube, map[string]string{"helm": n.helm4.Path()},
		"HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)}
	p.Dir = repository // as of those who install from it
	return p
}

func (p plugin) explain(t *testing.T) (string, error) {
	t.Helper()
	return p.Try(t, "kubectl oidc-injector explain deploy/explained --namespace "+apps)
}

// fails waits until explain has a cross at a step, with a text, and returns the command that it ends with.
func (p plugin) fails(t *testing.T, step, text string) (fix string) {
	t.Helper()
	podtest.Eventually(t, "a cross", func(context.Context) error {
		out, err := p.explain(t)
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

// fixedBy runs a command, and waits until nothing is wrong.
func (p plugin) fixedBy(t *testing.T, command string) {
	t.Helper()
	if out, err := p.Try(t, command); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	podtest.EventuallyWithin(t, 2*time.Minute, "the fix", func(context.Context) error {
		out, err := p.explain(t)
		if err == nil && !strings.Contains(out, "✓ status: pod explained-") {
			err = errors.New("no pod is injected")
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// testOutageExplained takes all webhooks away, asks why a workload has no pods, and does what
// the answer says.
func (n *node) testOutageExplained(t *testing.T) {
	n.tellIfFailed(t)
	p := n.newPlugin(t)
	n.scale(t, "0")
	n.deployExplained(t)
	fix := p.fails(t, "replicas", "is scaled to 0")
	if want := "kubectl scale deployment/oidc-injector --namespace oidc-injector --replicas=2"; fix != want {
		t.Errorf("fix %q, want %q", fix, want)
	}
	p.fails(t, "dry run", "the API server cannot call the webhook: ")
	p.fixedBy(t, fix)
	n.settle(t)
}

// testBundleExplained has API servers trust another authority than that of the Secret with the
// webhook's certificate.
func (n *node) testBundleExplained(t *testing.T, gone func()) {
	t.Helper()
	n.tellIfFailed(t)
	p := n.newPlugin(t)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var authorities [2]string
	for i := range authorities {
		ca, err := pki.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		authorities[i] = write(fmt.Sprintf("ca-%d.crt", i), ca.PEM)
		pair, err := ca.Issue(pki.Identity{User: release, Names: []string{release + "." + namespace + ".svc"}})
		if err != nil {
			t.Fatal(err)
		}
		write("tls.crt", pair.Certificate)
		write("tls.key", pair.Key) // of which the last one stays
	}
	if err := n.kube.Namespace(t.Context(), namespace, nil); err != nil {
		t.Fatal(err)
	}
	n.kubectl(t, "create", "secret", "tls", "own", "--cert="+filepath.Join(dir, "tls.crt"), "--key="+filepath.Join(dir, "tls.key"))
	n.install(t, n.helm4, "--set=certificates.mode=secret,certificates.secret.name=own,certificates.selfProbe=false",
		"--set-file=certificates.secret.caBundle="+authorities[0])
	n.serveApps(t)
	n.deployExplained(t)
	fix := p.fails(t, "dry run", "x509: certificate signed by unknown authority")
	const want = "helm upgrade oidc-injector charts/oidc-injector --namespace oidc-injector --reuse-values " +
		"--set-file certificates.secret.caBundle=FILE"
	if fix != want {
		t.Errorf("fix %q, want %q", fix, want)
	}
	p.fixedBy(t, strings.ReplaceAll(fix, "FILE", authorities[1]))
	n.uninstall(t, n.helm4, gone)
}

// deployExplained creates the Deployment, which goes with the test.
func (n *node) deployExplained(t *testing.T) {
	t.Helper()
	if err := n.kube.Apply(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := n.kube.Kubectl(context.WithoutCancel(t.Context()), "delete", "deployment", "explained", "--namespace="+apps,
			"--ignore-not-found", "--wait=false"); err != nil {
			t.Error(err)
		}
	})
}
