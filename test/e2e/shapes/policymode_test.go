package shapes

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/test/injector"
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
	return injector.ApplyPolicies(ctx, kube, configuration, policyNS, labels)
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
		got, want := podtest.WithoutWarnings(normalized(byPolicy.Pod)), podtest.WithoutWarnings(normalized(byWebhook.Pod))
		got.Namespace = want.Namespace
		if diff := cmp.Diff(want, got, cmp.Comparer(equalQuantities), emptyIsNil()); diff != "" {
			t.Errorf("(-webhook +policy):\n%s", diff)
		}
	}
}
