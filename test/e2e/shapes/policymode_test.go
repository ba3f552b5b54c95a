package shapes

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/policymode"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// policyNS is the namespace that the policies serve, with the configuration of the webhook.
const policyNS = "shapes-by-policy"

// policies has the API server inject by itself.
func policies(ctx context.Context) error {
	labels := map[string]string{"policy-mode": "true"}
	if err := kube.Namespace(ctx, policyNS, labels); err != nil {
		return err
	}
	cfg, err := config.Parse([]byte(configuration), config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		return err
	}
	var manifests strings.Builder
	for _, object := range policymode.Policies(cfg, policymode.Options{
		Name: "oidc-injector", Version: "v0.0.0-test", NamespaceSelector: &metav1.LabelSelector{MatchLabels: labels},
	}) {
		manifest, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		manifests.WriteString("---\n" + string(manifest))
	}
	return kube.Apply(ctx, manifests.String())
}

// checkPolicyMode wants the policies to store what the webhook stores, or to say that the
// pod needs it.
func (s shape) checkPolicyMode(t *testing.T, byWebhook stored, denied error, all *outcome) {
	t.Helper()
	byPolicy, err := dryRun(t.Context(), policyNS, s.spec, variants["token"])
	switch {
	case err != nil && strings.Contains(err.Error(), "webhook mode"):
		all.countNeedsWebhook()
	case (err != nil) != (denied != nil):
		t.Errorf("by policy: %v, by the webhook: %v", err, denied)
	case err == nil:
		got, want := normalized(byPolicy.Pod), normalized(byWebhook.Pod)
		got.Namespace = want.Namespace
		status := podtest.Prefix + "status"
		for _, pod := range []map[string]string{got.Annotations, want.Annotations} {
			pod[status], _, _ = strings.Cut(pod[status], `,"warnings":`)
			pod[status] = strings.TrimSuffix(pod[status], "}")
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(equalQuantities), emptyIsNil()); diff != "" {
			t.Errorf("(-webhook +policy):\n%s", diff)
		}
	}
}
