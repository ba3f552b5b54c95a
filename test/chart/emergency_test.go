package chart

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestEmergencySwitch runs the two commands of the runbook, with a selector of the chart's
// own and without one.
func TestEmergencySwitch(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "runbooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^kubectl patch mutatingwebhookconfiguration oidc-injector --patch '(.*)'$`).FindAllSubmatch(text,
		-1)
	if len(commands) != 2 {
		t.Fatalf("the runbook has %d such commands", len(commands))
	}
	webhook := startBeside(t, "")
	admitted := func(injected bool) {
		t.Helper()
		podtest.Eventually(t, fmt.Sprintf("a pod with injected = %t", injected), func(ctx context.Context) error {
			pod := podtest.New("probe", "audience=probe")
			pod.Labels = map[string]string{"team": "a"}
			created, err := kube.Client().CoreV1().Pods(served).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil && (created.Annotations[podtest.Prefix+"status"] != "") != injected {
				err = fmt.Errorf("it has annotations %v", created.Annotations)
			}
			return err
		})
	}
	run := func(patch []byte) {
		t.Helper()
		if _, err := kube.Kubectl(t.Context(), "patch", "mutatingwebhookconfiguration", release, "--patch", string(patch)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		admitted(true)
		run(commands[0][1])
		admitted(false)
		run(commands[1][1])
		admitted(true)
		// And with a selector of the installation's own, which is not lost.
		run([]byte(`{"webhooks":[{"name":"pods.oidc-injector.io","objectSelector":{"matchLabels":{"team":"a"}}}]}`))
	}
	configuration, err := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), release,
		metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := configuration.Webhooks[0].ObjectSelector.MatchLabels; len(got) != 1 || got["team"] != "a" {
		t.Errorf("the selector is %v", got)
	}
	// What it is for: no webhook at all.
	run(commands[0][1])
	if err := webhook.Terminate(); err != nil {
		t.Fatal(err)
	}
	admitted(false)
}
