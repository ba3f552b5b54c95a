package chart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/binding"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// conditionOf is what the chart registers for the configuration that it writes, which is
// what the webhook expects.
func conditionOf(t *testing.T, values string) (string, *config.Config) {
	t.Helper()
	all := render(t, values)
	cfg, err := config.Parse([]byte(all.at(t, configMap)), config.Environment{Prefix: "tokens.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	registered := all.at(t, hooks+`[0].matchConditions[?(@.name=="`+binding.ConditionName+`")].expression}`)
	if diff := cmp.Diff(cfg.Bindings.MatchCondition("tokens.example.com"), registered); diff != "" {
		t.Errorf("match condition (-webhook's +chart's):\n%s", diff)
	}
	for i, of := range []string{"pods", "debugcontainers"} {
		if got := all.at(t, fmt.Sprintf("%s[%d].matchConditions[0].expression}", hooks, i)); got != registered {
			t.Errorf("the condition of %s is %s", of, got)
		}
	}
	return registered, cfg
}

const bindingValues = "annotationPrefix: tokens.example.com\nconfig:\n  bindings:\n"

func TestMatchConditionOfBindings(t *testing.T) {
	t.Parallel()
	var large strings.Builder
	for i := range 40 {
		fmt.Fprintf(&large, "n%d, ", i)
	}
	for name, bindings := range map[string]string{
		"none":     "  []",
		"names":    "{name: a, namespaces: [b, a, b], serviceAccounts: [app, x.y], annotations: {audience: a}}",
		"patterns": "{name: a, namespaces: [a-*, '?b'], serviceAccounts: ['x.*', c], annotations: {audience: a}}",
		"labels":   `{name: a, namespaces: [a], serviceAccounts: ["*"], podLabels: {y/z: "1", x: ""}, annotations: {profile: a}}`,
		"mixed": `{name: a, namespaces: [b], serviceAccounts: [b], annotations: {audience: a}}
  - {name: b, namespaces: [a], serviceAccounts: [b], annotations: {audience: a}}
  - {name: c, namespaces: ["*"], serviceAccounts: [c], annotations: {audience.c: a}}
  - {name: d, namespaces: [a, "c*"], serviceAccounts: [d], annotations: {audience.d: a}}
  - {name: e, namespaces: [a], serviceAccounts: [e], podLabels: {b: c}, annotations: {audience.e: a}}
  - {name: f, namespaces: [a], serviceAccounts: [e], podLabels: {a: c}, annotations: {audience.f: a}}`,
		"more names than are listed": "{name: a, namespaces: [" + large.String() + "], serviceAccounts: [" + large.String() +
			"], annotations: {audience: a}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := bindingValues + "  - " + bindings + "\n  profiles: {a: {audience: a}}\n"
			if name == "none" {
				text = "annotationPrefix: tokens.example.com\n"
			}
			conditionOf(t, text)
		})
	}
	example, err := os.ReadFile("../../examples/bindings.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if condition, cfg := conditionOf(t, "annotationPrefix: tokens.example.com\n"+string(example)); cfg.Bindings.Len() != 2 ||
		!strings.Contains(condition, `in ["monitoring/grafana"]`) {
		t.Errorf("%d bindings of the example, condition %s", cfg.Bindings.Len(), condition)
	}
}

// TestBoundPodsAreSent has a real API server decide by the condition, also by
// that of a thousand bindings, which pods a webhook is called for. Nothing answers there, so
// that these are denied.
func TestBoundPodsAreSent(t *testing.T) {
	const names = "bound-shop bound-shop-eu bound-other"
	for name := range strings.FieldsSeq(names) {
		if err := kube.Namespace(t.Context(), name, map[string]string{"bound": "true"}); err != nil {
			t.Fatal(err)
		}
		for _, account := range []string{"app", "web", "axp", "other"} {
			made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}
			if _, err := kube.Client().CoreV1().ServiceAccounts(name).Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	few := bindingValues + `
  - {name: exact, namespaces: [bound-shop], serviceAccounts: [app], annotations: {audience: a}}
  - {name: pattern, namespaces: ["bound-shop-*"], serviceAccounts: ["a?p"], annotations: {audience: a}}
  - {name: labelled, namespaces: ["bound-*"], serviceAccounts: [web], podLabels: {app: web, tier: ""}, annotations: {audience: a}}
  - {name: default, namespaces: [bound-other], serviceAccounts: [default], annotations: {audience: a}}
`
	var many strings.Builder
	many.WriteString(few)
	for i := range 500 {
		fmt.Fprintf(&many, "  - {name: n%d, namespaces: [team-%d], serviceAccounts: [app-%d], annotations: {audience: a}}\n", i, i, i)
		fmt.Fprintf(&many, "  - {name: p%d, namespaces: [\"team-%d-*\"], serviceAccounts: [app-%d], annotations: {audience: a}}\n", i, i, i)
	}
	for name, values := range map[string]string{"a few": few, "a thousand": many.String()} {
		t.Run(name, func(t *testing.T) {
			condition, cfg := conditionOf(t, values)
			t.Logf("the condition has %d characters", len(condition))
			register(t, condition)
			for namespace := range strings.FieldsSeq(names) {
				for _, account := range []string{"app", "web", "axp", "other", ""} {
					for _, labels := range []map[string]string{nil, {"app": "web"}, {"app": "web", "tier": "", "x": "y"}} {
						for _, annotation := range []string{"", "tokens.example.com/audience", "example.com/other"} {
							pod := boundPod(account, labels, annotation)
							bound := cfg.Bindings.For(namespace, podAccount(account), annotations.FromMap(labels))
							want := len(bound) > 0 || strings.HasPrefix(annotation, "tokens.")
							if got := called(t, namespace, pod); got != want {
								t.Errorf("namespace %s, ServiceAccount %q, labels %v, annotation %q: called %t, want %t", namespace,
									account,
									labels, annotation, got, want)
							}
						}
					}
				}
			}
		})
	}
}

func podAccount(name string) string {
	if name == "" {
		return "default"
	}
	return name
}

func boundPod(account string, labels map[string]string, annotation string) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		ServiceAccountName: account, Containers: []corev1.Container{{Name: "app", Image: "app"}},
		AutomountServiceAccountToken: new(false),
	}}
	pod.GenerateName, pod.Labels = "bound-", labels
	if annotation != "" {
		pod.Annotations = map[string]string{annotation: "x"}
	}
	return pod
}

// called reports whether the webhook is called for a pod.
func called(t *testing.T, namespace string, pod *corev1.Pod) bool {
	t.Helper()
	_, err := kube.Client().CoreV1().Pods(namespace).Create(context.WithoutCancel(t.Context()), pod,
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	calling := err != nil && strings.Contains(err.Error(), "failed calling webhook")
	if err != nil && !calling {
		t.Fatal(err)
	}
	return calling
}

// register makes a webhook where nobody listens, with a match condition, and waits until
// it is in force.
func register(t *testing.T, condition string) {
	t.Helper()
	url := "https://127.0.0.1:1/mutate"
	scope, none := admissionregistrationv1.NamespacedScope, admissionregistrationv1.SideEffectClassNone
	configurations := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	made, err := configurations.Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bound-"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "bound.example.com", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}, Scope: &scope,
				},
			}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"bound": "true"}},
			MatchConditions:   []admissionregistrationv1.MatchCondition{{Name: binding.ConditionName, Expression: condition}},
			SideEffects:       &none, AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := configurations.Delete(context.WithoutCancel(t.Context()), made.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		podtest.Eventually(t, "the end of the webhook", func(context.Context) error {
			if called(t, "bound-shop", boundPod("", nil, "tokens.example.com/audience")) {
				return errors.New("it is called")
			}
			return nil
		})
	})
	podtest.Eventually(t, "the webhook", func(context.Context) error {
		if !called(t, "bound-shop", boundPod("", nil, "tokens.example.com/audience")) {
			return errors.New("it is not called")
		}
		return nil
	})
}
