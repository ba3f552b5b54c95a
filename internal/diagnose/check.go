package diagnose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// CheckSnapshot is what was read about an installation and, by the plugin, about the
// cluster's issuer.
type CheckSnapshot struct {
	Webhook Webhook
	// Namespaces are those that there are, with their labels; nil where they were not read.
	Namespaces map[string]map[string]string
	// DryRun is the answer to a pod that asks for a token for Audience in the namespace Tried;
	// nil where none is served.
	DryRun          *DryRun
	Tried, Audience string
	// Issuer is nil where nobody asked about it.
	Issuer *Issuer
	Now    time.Time
}

// Check judges an installation and its issuer.
func Check(s *CheckSnapshot) []Step {
	steps := s.Webhook.injects(s.Injected(), s.answers(), func() []Step { return s.Webhook.registered(s.Now) })
	steps = append(steps, groups(group("namespaces", s.served()), group("configuration", s.configuration()))...)
	if s.Issuer != nil {
		steps = append(steps, groups(
			group("issuer", s.Issuer.judge()), group("tokens", s.Issuer.tokens(s.Webhook.Config.Parser.MaxExpiration)),
			group("from outside", s.Issuer.outside()),
		)...)
	}
	return append(steps, groups(group(NotRead, s.Webhook.unread()))...)
}

// NotRead is the name of the group about what could not be read.
const NotRead = "not read"

// Injected reports whether the pod came back with all that it asked for.
func (s *CheckSnapshot) Injected() bool {
	return s.DryRun != nil && s.DryRun.Injected && len(s.DryRun.Lacks) == 0
}

// answers judges the creation of a pod that asks for a token.
func (s *CheckSnapshot) answers() []Step {
	if !s.Webhook.Known() && !s.Webhook.hides(RegistrationsUnread) && !s.Injected() {
		return nil // which is a cross of its own
	}
	if s.DryRun == nil {
		return []Step{unknown(dryRunStep, "no namespace is known to be served")}
	}
	steps := []Step{s.answer(s.DryRun)}
	for _, w := range s.DryRun.Warnings {
		steps = append(steps, warn("warning", "", "%s", shorten(w)))
	}
	return steps
}

const dryRunStep = "dry run"

func (s *CheckSnapshot) answer(r *DryRun) Step {
	const name = dryRunStep
	switch {
	case r.Reason == metav1.StatusReasonInternalError && !s.Webhook.byPolicies():
		return fail(name, s.Webhook.restart(), "the API server cannot call the webhook: %s", shorten(r.Message))
	case r.Reason == metav1.StatusReasonInvalid: // as only our denials are, for the pod itself is valid
		return warn(name, "name an audience that the policy of the configuration allows, with --audience",
			"%s a pod in namespace %s: %s", s.Webhook.says("the webhook answers, and denies", "the policies deny"), s.Tried,
			shorten(r.Message))
	case r.Message != "":
		return unknown(name, "the API server does not admit an annotated pod in namespace %s: %s", s.Tried, shorten(r.Message))
	case r.Injected && len(r.Lacks) > 0:
		return fail(name, "kubectl get mutatingwebhookconfigurations,mutatingadmissionpolicies",
			"%s, and another webhook or policy has changed the pod in namespace %s: %s", s.Webhook.says(answers, "the policies inject"),
			s.Tried, strings.Join(r.Lacks, "; "))
	case r.Injected:
		return pass(name, "a pod in namespace %s gets a token for audience %q", s.Tried, s.Audience)
	default:
		return s.notCalled()
	}
}

// notCalled is about a pod that came back without the webhook's status.
func (s *CheckSnapshot) notCalled() Step {
	w := &s.Webhook
	if of, read := s.Namespaces[s.Tried]; read && w.Known() && !w.Serves(s.Tried, of) {
		return fail(dryRunStep, s.serve(s.Tried), "namespace %s is not served: its labels do not match the namespaceSelector", s.Tried)
	}
	if w.byPolicies() {
		return fail(dryRunStep, w.Policies.again(), "an annotated pod of namespace %s came back without annotation %s: the policies are "+
			"not in force, or leave it out", s.Tried, w.Prefix.Key(annotations.Status, ""))
	}
	fix := ""
	if w.Registration != nil {
		fix = w.restart()
	}
	return fail(dryRunStep, fix, "the webhook was not called: an annotated pod of namespace %s came back without annotation %s. Either "+
		"the MutatingWebhookConfiguration, or policies in its place, leave out that namespace or the pod, or no webhook could be reached "+
		"and its failurePolicy is Ignore", s.Tried, w.Prefix.Key(annotations.Status, ""))
}

// serve has a namespace be served, by the chart's label.
func (s *CheckSnapshot) serve(namespace string) string {
	return fmt.Sprintf("kubectl label namespace %s %s/enabled=true", namespace, s.Webhook.Prefix)
}

func (s *CheckSnapshot) served() []Step {
	if !s.Webhook.Known() || s.Namespaces == nil {
		return nil
	}
	var served []string
	for _, name := range slices.Sorted(maps.Keys(s.Namespaces)) {
		if s.Webhook.Serves(name, s.Namespaces[name]) {
			served = append(served, name)
		}
	}
	if len(served) == 0 {
		return []Step{warn("served", s.serve("NAMESPACE"),
			"none of %d namespaces matches the namespaceSelector", len(s.Namespaces))}
	}
	return []Step{pass("served", "%d of %d: %s", len(served), len(s.Namespaces), shorten(strings.Join(served, ", ")))}
}

func (s *CheckSnapshot) configuration() []Step {
	if s.Webhook.hides(ConfigurationUnread) {
		return nil
	}
	c := s.Webhook.Config
	return []Step{pass("counted", "%d profiles, %d providers, %d bindings", len(c.Parser.Profiles), len(c.Parser.Providers.Names()),
		c.Bindings.Len())}
}

// namespaceLabels are those of a namespace, with the one that every namespace has
// (Kubernetes documentation, "Namespaces").
func namespaceLabels(name string, own map[string]string) labels.Set {
	return labels.Merge(own, labels.Set{corev1.LabelMetadataName: name})
}
