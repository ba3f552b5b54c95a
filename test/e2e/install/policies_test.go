package install

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// testPolicies installs the chart in policy mode, with nothing that runs: pods have their tokens,
// and what people look with says so.
func (n *node) testPolicies(t *testing.T, gone func()) {
	t.Helper()
	n.tellIfFailed(t)
	p := n.newPlugin(t)
	if err := n.kube.Namespace(t.Context(), apps, nil); err != nil {
		t.Fatal(err)
	}
	n.run(t, apps, newPod("early", "audience=vault")) // older than policies and label
	n.helm4.MustRun(t, append([]string{
		"install", release, chart, "--create-namespace", "--set=mode=policy", "--set=config.profiles.vault.audience=vault",
	}, images...)...)
	if _, err := p.Try(t, "kubectl label namespace "+apps+" oidc-injector.io/enabled=true"); err != nil {
		t.Fatal(err)
	}
	n.helmTest(t, n.helm4)
	n.runInjected(t, "app")
	n.testScenarioByPolicies(t, p)
	p.says(t, "kubectl oidc-injector check --namespace "+apps, true, "✓ policies\n", "✓ injects: MutatingAdmissionPolicy oidc-injector",
		`✓ dry run: a pod in namespace apps gets a token for audience "oidc-injector-check"`, "✓ counted: 1 profiles, ")
	p.says(t, "kubectl oidc-injector lint --namespace "+apps, true, "pod/early: the pod asks for tokens and was not injected")
	_, fix, _ := strings.Cut(
		p.says(t, "kubectl oidc-injector explain early --namespace "+apps, false, "✗ status: pod early has no annotation"), "\nfix:\n")
	p.says(t, strings.TrimSpace(fix), true)
	n.waitReady(t, apps, "early")
	p.says(t, "kubectl oidc-injector explain early --namespace "+apps, true, "✓ dry run: the policies inject", "✓ status: pod early")
	n.testBindingDeleted(t, p)
	n.uninstall(t, n.helm4, gone)
}

// testScenarioByPolicies runs the scenario's pod: the token that its app and a debug container read
// is that which is written by hand otherwise.
func (n *node) testScenarioByPolicies(t *testing.T, p plugin) {
	t.Helper()
	n.run(t, apps, newPod("scenario", "audience=vault", "expiration=7200"))
	p.says(t, "kubectl debug scenario --namespace "+apps+" --image="+cluster.ToolboxImage+
		" --container=debugger --target=app -- /toolbox sleep", true)
	for _, container := range []string{"app", "debugger"} {
		podtest.Eventually(t, container+" to have the token", func(ctx context.Context) error {
			token, err := n.kube.Kubectl(ctx, "--namespace="+apps, "exec", "scenario", "--container="+container, "--",
				"/toolbox", "cat", tokenPath)
			if err == nil && !n.review(t, token, "vault").Authenticated {
				err = errors.New("the API server does not know the token")
			}
			return err
		})
	}
	pod, err := n.kube.Client().CoreV1().Pods(apps).Get(t.Context(), "scenario", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name == "oidc-token" {
			if token := v.Projected.Sources[0].ServiceAccountToken; token.Audience != "vault" || *token.ExpirationSeconds != 7200 ||
				token.Path != "oidc-token" {
				t.Errorf("the token is %v", token)
			}
		}
	}
}

// testBindingDeleted has the plugin say what is missing, and runs the command that it has for that.
func (n *node) testBindingDeleted(t *testing.T, p plugin) {
	t.Helper()
	p.says(t, "kubectl delete mutatingadmissionpolicybinding "+release, true)
	var fix string
	podtest.Eventually(t, "the binding to have no effect", func(context.Context) error {
		out, err := p.Try(t, "kubectl oidc-injector explain scenario --namespace "+apps)
		if err == nil || !strings.Contains(out, "✗ injects: MutatingAdmissionPolicy oidc-injector has no binding") {
			return fmt.Errorf("it says: %s", out)
		}
		_, fix, _ = strings.Cut(out, "\nfix:\n")
		return nil
	})
	p.says(t, strings.TrimSpace(fix), true)
	podtest.Eventually(t, "the binding to be in force again", func(context.Context) error {
		out, err := p.Try(t, "kubectl oidc-injector check --namespace "+apps)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// says runs a command, which succeeds or not, and has these texts in what it prints.
func (p plugin) says(t *testing.T, command string, succeeds bool, texts ...string) string {
	t.Helper()
	out, err := p.Try(t, command)
	if (err == nil) != succeeds {
		t.Errorf("%s: %v: %s", command, err, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("%s: no %q in:\n%s", command, text, out)
		}
	}
	return out
}
