package install

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

const (
	// policyApps is a namespace that policies serve all the time, and the webhook does not.
	policyApps      = "policy-apps"
	policyAppsLabel = "policy-apps"
	// policyRelease is that of the policies that take the webhook's place.
	policyRelease = "oidc-policies"
)

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
	labels := map[string]string{policyAppsLabel: "true"}
	if err := n.kube.Namespace(t.Context(), policyApps, labels); err != nil {
		t.Fatal(err)
	}
	configuration := "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"
	if err := injector.ApplyPolicies(t.Context(), n.kube, configuration, policyApps, labels); err != nil {
		t.Fatal(err)
	}
}

// testModes goes from the webhook to policies and back, as docs/modes.md says. No pod is
// denied, and none comes without its token, or with two.
func (n *node) testModes(t *testing.T) {
	n.underLoad(t, tolerance{}, func() {
		n.helm4.MustRun(t, "install", policyRelease, chart, "--set=mode=policy")
		podtest.Eventually(t, "the policies to come first", func(ctx context.Context) error { return n.byPolicies(ctx) })
		time.Sleep(calm) // those that only deny and warn are in force, too
		n.helm4.MustRun(t, "uninstall", release, "--wait", "--timeout=2m")
	})
	n.underLoad(t, tolerance{}, func() {
		n.installFrom(t, n.helm4, chart, shortCertificates, "--set=webhook.failurePolicy=Ignore")
		n.upgrade(t, "--set=webhook.failurePolicy=Fail")
		n.helm4.MustRun(t, "uninstall", policyRelease, "--wait", "--timeout=2m")
		podtest.Eventually(t, "the webhook alone", func(ctx context.Context) error {
			if err := n.byPolicies(ctx); err == nil {
				return errors.New("the policies come first")
			}
			return nil
		})
	})
	n.runInjected(t, "webhook")
}

// byPolicies has no error where policies inject a pod: the webhook would write its warning
// into the status.
func (n *node) byPolicies(ctx context.Context) error {
	pod, err := n.kube.Client().CoreV1().Pods(apps).Create(ctx, newPod("doubtful", "audience=vault", "unknown="),
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	if strings.Contains(pod.Annotations[podtest.Prefix+"status"], `"warnings":`) {
		return errors.New("the webhook was first")
	}
	return nil
}
