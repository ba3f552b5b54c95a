package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestBindings has pods that nobody annotated get what a binding says.
func TestBindings(t *testing.T) {
	ns := namespace(t, "bound")
	for _, name := range []string{"reports", "forbidden"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := kube.Client().CoreV1().ServiceAccounts(ns).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	pod := func(name, account string, labels map[string]string, pairs ...string) *corev1.Pod {
		p := newPod(name, pairs...)
		p.Labels, p.Spec.ServiceAccountName = labels, account
		return p
	}
	grafana := map[string]string{"app": "grafana"}
	bound := create(t, ns, pod("bound", "reports", grafana))
	want := []string{"/var/run/secrets/tokens-aws/oidc-token sts.amazonaws.com 3600", "/var/run/secrets/tokens/oidc-token vault 7200"}
	got := tokens(bound, "app")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	if role := env(bound, "app", "AWS_ROLE_ARN"); role != "arn:aws:iam::123456789012:role/reports" {
		t.Errorf("role %q", role)
	}
	if status := bound.Annotations[statusAnnotation]; !strings.Contains(status, `"bindings":["reports"]`) {
		t.Errorf("status %s", status)
	}
	for _, other := range []*corev1.Pod{
		pod("other-label", "reports", map[string]string{"app": "loki"}), pod("other-account", "", grafana),
		pod("opted-out", "reports", grafana, "inject=false"),
	} {
		if got := tokens(create(t, ns, other), "app"); len(got) > 0 {
			t.Errorf("pod %s gets %q", other.Name, got)
		}
	}
	own := create(t, ns, pod("own", "reports", grafana, "audience=own", "aws-role-arn=arn:aws:iam::123456789012:role/own"))
	if role := env(own, "app", "AWS_ROLE_ARN"); role != "arn:aws:iam::123456789012:role/own" {
		t.Errorf("its own role became %q", role)
	}
	const denial = `bindings[forbidden].annotations[audience]: Forbidden: audience "not-here": `
	if said := createError(t, ns, pod("forbidden", "forbidden", nil)); !strings.Contains(said, denial) {
		t.Errorf("denial %s", said)
	}

	e := newPlugin(t).explain(t, ns, "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app: grafana}}, "+
		"spec: {serviceAccountName: reports, containers: [{name: app, image: app}]}}", "--filename=-")
	const decided = "tokens default, aws; logins none; containers app; bindings reports"
	if got := detail(e.Steps, "decision"); got != decided {
		t.Errorf("explain says %q, want %q", got, decided)
	}
}
