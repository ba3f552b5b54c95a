package install

import (
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/injector"
)

// policyApps is a namespace that policies serve all the time, and the webhook does not.
const policyApps = "policy-apps"

// hasPolicies reports whether the API server knows MutatingAdmissionPolicies, from Kubernetes
// 1.36.
func (n *node) hasPolicies(t *testing.T) bool {
	t.Helper()
	list, err := n.kube.Client().Discovery().ServerResourcesForGroupVersion(admissionregistrationv1.SchemeGroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "mutatingadmissionpolicies" })
}

// applyPolicies has the API server inject by itself in a namespace of its own, beside all that
// happens to the webhook.
func (n *node) applyPolicies(t *testing.T) {
	t.Helper()
	if !n.policies {
		return
	}
	labels := map[string]string{policyApps: "true"}
	if err := n.kube.Namespace(t.Context(), policyApps, labels); err != nil {
		t.Fatal(err)
	}
	configuration := "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"
	if err := injector.ApplyPolicies(t.Context(), n.kube, configuration, policyApps, labels); err != nil {
		t.Fatal(err)
	}
}

// testSwitched goes from the webhook to policies and back, as docs/modes.md says. A pod that
// both have injected would not be one that is injected.
func (n *node) testSwitched(t *testing.T) {
	const policies = "oidc-policies"
	// inForce is more than API servers need until they heed what was just created.
	const inForce = 5 * time.Second
	out, err := n.helm4.Run(t.Context(), "upgrade", release, chart, "--set=mode=policy")
	if err == nil || !strings.Contains(out+err.Error(), "mode: an upgrade cannot change it to policy") {
		t.Errorf("an upgrade that changes the mode: %v\n%s", err, out)
	}
	n.underLoad(t, tolerance{}, func() {
		n.helm4.MustRun(t, "install", policies, chart, "--set=mode=policy")
		time.Sleep(inForce)
		n.helm4.MustRun(t, "uninstall", release, "--wait", "--timeout=2m")
	})
	out, err = n.helm4.Run(t.Context(), "upgrade", policies, chart, "--set=mode=webhook")
	if err == nil || !strings.Contains(out+err.Error(), "mode: an upgrade cannot change it to webhook") {
		t.Errorf("an upgrade that changes the mode back: %v\n%s", err, out)
	}
	n.underLoad(t, tolerance{}, func() {
		// API servers call the webhook before its first replica is ready.
		n.installFrom(t, n.helm4, chart, shortCertificates, "--set=webhook.failurePolicy=Ignore")
		n.upgrade(t, "--set=webhook.failurePolicy=Fail")
		time.Sleep(inForce)
		n.helm4.MustRun(t, "uninstall", policies)
	})
}
