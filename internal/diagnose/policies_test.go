package diagnose

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/report"
)

// withPolicies has API servers do what the webhook of healthy does.
func withPolicies(t *testing.T) Webhook {
	t.Helper()
	w := healthy(t)
	matches := admissionregistrationv1.MatchResources{NamespaceSelector: w.Registration.NamespaceSelector}
	for _, resource := range []string{"pods", "pods/ephemeralcontainers"} {
		matches.ResourceRules = append(matches.ResourceRules, admissionregistrationv1.NamedRuleWithOperations{
			RuleWithOperations: admissionregistrationv1.RuleWithOperations{
				Rule: admissionregistrationv1.Rule{Resources: []string{resource}},
			},
		})
	}
	policy := func(fails admissionregistrationv1.FailurePolicyType, name string, actions ...string) *AdmissionPolicy {
		return &AdmissionPolicy{
			FailurePolicy: fails, Matches: matches, Conditions: w.Registration.MatchConditions,
			Binding: &PolicyBinding{Name: name, Actions: actions},
		}
	}
	w.Policies = &Policies{
		Name: "p", Release: "r", Namespace: "injector", Served: true,
		Injecting: policy(admissionregistrationv1.Fail, "p"),
		Validating: map[Part]*AdmissionPolicy{
			Denies: policy(admissionregistrationv1.Fail, "p", "Deny"), Warns: policy(admissionregistrationv1.Ignore, "p-warnings", "Warn"),
			TellsDebuggers:       policy(admissionregistrationv1.Ignore, "p-debug-containers", "Warn"),
			TellsWorkloadAuthors: policy(admissionregistrationv1.Ignore, "p-workloads", "Warn"),
		},
	}
	w.Registration, w.Installation = nil, nil
	return w
}

const asInstalled = "helm upgrade r charts/oidc-injector --namespace injector --reuse-values"

// TestPolicies: what is wrong with an installation without a webhook, each with what mends it.
func TestPolicies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change                      func(s *CheckSnapshot)
		crosses, warnings, unknowns []string
		fix                         string
	}{
		"in_order": {change: func(*CheckSnapshot) {}},
		"both":     {change: func(s *CheckSnapshot) { s.Webhook.Registration = healthy(t).Registration }},
		"older_cluster": {
			change: func(s *CheckSnapshot) {
				s.Webhook.Policies.Served, s.Webhook.Policies.Injecting, s.DryRun = false, nil, nil
			},
			crosses: []string{"injects: the API server has no MutatingAdmissionPolicies, which Kubernetes 1.36 has: "},
			fix:     "helm upgrade r charts/oidc-injector --namespace injector --reuse-values --set mode=webhook",
		},
		"injecting_one_missing": {
			change:  func(s *CheckSnapshot) { s.Webhook.Policies.Injecting, s.DryRun = nil, nil },
			crosses: []string{"injects: there is no MutatingAdmissionPolicy p: nothing is injected"}, fix: asInstalled,
		},
		"binding_missing": {
			change:   func(s *CheckSnapshot) { s.Webhook.Policies.Injecting.Binding, s.DryRun = nil, nil },
			crosses:  []string{"injects: MutatingAdmissionPolicy p has no binding, and so no effect: nothing is injected"},
			unknowns: []string{"dry run: no namespace is known to be served"}, fix: asInstalled,
		},
		"denying_one_missing_without_Helm": {
			change: func(s *CheckSnapshot) {
				s.Webhook.Policies.Release = ""
				delete(s.Webhook.Policies.Validating, Denies)
			},
			crosses: []string{"denies: there is no ValidatingAdmissionPolicy p: pods can be without what they ask for"},
			fix:     "kubectl oidc-injector generate policy --name p --config FILE | kubectl apply --server-side -f -",
		},
		"warning_ones_missing": {
			change: func(s *CheckSnapshot) {
				delete(s.Webhook.Policies.Validating, Warns)
				s.Webhook.Policies.Validating[TellsDebuggers].Binding = nil
			},
			warnings: []string{
				"warns: there is no ValidatingAdmissionPolicy p-warnings: ",
				"debug containers: ValidatingAdmissionPolicy p-debug-containers has no binding, ",
			},
		},
		"without_debug_containers_and_workloads": {
			change: func(s *CheckSnapshot) {
				p := s.Webhook.Policies
				p.Injecting.Matches.ResourceRules = p.Injecting.Matches.ResourceRules[:1]
				s.Webhook.Config = parse(t, "policy: {workloads: 'Off'}")
				delete(p.Validating, TellsDebuggers)
				delete(p.Validating, TellsWorkloadAuthors)
			},
		},
		"actions_changed": {
			change: func(s *CheckSnapshot) {
				s.Webhook.Policies.Validating[Denies].Binding.Actions = []string{"Warn", "Audit"}
			},
			crosses: []string{
				"denies: the validationActions of ValidatingAdmissionPolicyBinding p are Warn, Audit instead of Deny: ",
			},
			fix: `kubectl patch validatingadmissionpolicybinding p --type merge --patch '{"spec":{"validationActions":["Deny"]}}'`,
		},
		"workloads_are_denied": {
			change: func(s *CheckSnapshot) { s.Webhook.Config = parse(t, "policy: {workloads: Deny}") },
			warnings: []string{
				"workloads: the validationActions of ValidatingAdmissionPolicyBinding p-workloads are Warn instead of Deny: ",
			},
		},
		"failure_policy_changed": {
			change:   func(s *CheckSnapshot) { s.Webhook.Policies.Injecting.FailurePolicy = admissionregistrationv1.Ignore },
			warnings: []string{"injects: the failurePolicy of MutatingAdmissionPolicy p is Ignore instead of Fail"},
		},
		"type_check": {
			change:   func(s *CheckSnapshot) { s.Webhook.Policies.Validating[Warns].Doubts = []string{"spec.a: b"} },
			warnings: []string{"type check: of ValidatingAdmissionPolicy p-warnings: spec.a: b"},
		},
		"not_in_force": {
			change:  func(s *CheckSnapshot) { s.DryRun = &DryRun{} },
			crosses: []string{"dry run: an annotated pod of namespace team came back without annotation oidc-injector.io/status: "},
			fix:     asInstalled,
		},
		"not_served": {
			change:  func(s *CheckSnapshot) { s.Tried, s.DryRun = "other", &DryRun{} },
			crosses: []string{"dry run: namespace other is not served: "},
			fix:     "kubectl label namespace other oidc-injector.io/enabled=true",
		},
		"binding_for_another_namespace": {
			change: func(s *CheckSnapshot) {
				s.Webhook.Policies.Injecting.Binding.Matches = &admissionregistrationv1.MatchResources{
					NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
				}
				s.DryRun = nil
			},
			warnings: []string{"served: none of 2 namespaces matches"}, unknowns: []string{"dry run: no namespace is known to be served"},
		},
		"denied_by_the_policy": {
			change:   func(s *CheckSnapshot) { s.DryRun = &DryRun{Reason: metav1.StatusReasonInvalid, Message: "audience"} },
			warnings: []string{"dry run: the policies deny a pod in namespace team: audience"},
		},
		"on_the_API_servers_disk": {
			change: func(s *CheckSnapshot) { s.Webhook.Policies = nil },
			unknowns: []string{
				"registered: nothing in the API injects, and the pod gets its token: policies on the API server's own disk",
			},
		},
		"not_read": {
			change: func(s *CheckSnapshot) {
				s.Webhook.Policies, s.Webhook.Unread = nil, []Unread{{RegistrationsUnread, "no"}, {PoliciesUnread, "no"}}
			},
			unknowns: []string{
				"registered: could not read MutatingWebhookConfigurations", "MutatingWebhookConfigurations: no", "admission policies: no",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := checked(t)
			s.Webhook, s.Issuer = withPolicies(t), nil
			c.change(s)
			steps := Check(s)
			for what, of := range map[string]struct {
				want []string
				mark report.Status
			}{"crosses": {c.crosses, report.Fail}, "warnings": {c.warnings, report.Warn}, "question marks": {c.unknowns, report.Unknown}} {
				compare(t, what, of.want, leaves(steps, of.mark))
			}
			if diff := cmp.Diff(c.fix, firstFix(steps)); diff != "" {
				t.Errorf("fix (-want +got):\n%s", diff)
			}
		})
	}
}

// explainByPolicies are of pods that policies are to inject.
var explainByPolicies = map[string]explainCase{
	"injected": {change: func(*testing.T, *Snapshot) {}},
	"namespace_without_label": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.NamespaceLabels = nil
		},
		crosses: []string{"namespaceSelector: namespace team does not match oidc-injector.io/enabled=true", "status: "},
		fix:     "kubectl label namespace team --overwrite oidc-injector.io/enabled=true && " + replace,
	},
	"selected_by_the_webhook_beside_them": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			s.Webhook.Registration = healthy(t).Registration
			s.Webhook.Policies.Injecting.Matches.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		},
	},
	"binding_for_another_namespace": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Webhook.Policies.Injecting.Binding.Matches = &admissionregistrationv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "other"}},
			}
		},
		crosses: []string{"namespaceSelector of the binding: namespace team does not match kubernetes.io/metadata.name=other", "status: "},
		fix:     "kubectl get mutatingadmissionpolicybinding p --output yaml",
	},
	"binding_missing": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Webhook.Policies.Injecting.Binding, s.DryRun = nil, &DryRun{}
		},
		crosses: []string{
			"injects: MutatingAdmissionPolicy p has no binding", "dry run: the API server admits the pod as it is: ", "status: ",
		},
		fix: asInstalled,
	},
	"what_policies_cannot_do": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			logsIn(t, s)
			s.DryRun = &DryRun{Reason: metav1.StatusReasonInvalid, Message: "a pod of Windows needs webhook mode"}
		},
		crosses: []string{"dry run: the API server denies the pod: a pod of Windows needs webhook mode"},
		fix:     "kubectl edit pod/app --namespace team",
	},
	"binding_of_the_configuration": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Pod.Annotations, s.Pod.Spec.ServiceAccountName = nil, "bound"
			s.Webhook.Policies.Injecting.Conditions = nil
			s.DryRun = &DryRun{Reason: metav1.StatusReasonInvalid, Message: "audience"}
		},
		crosses: []string{"bindings[b].annotations", "decision: denied", "status: "},
		fix:     "helm upgrade r charts/oidc-injector --namespace injector --reuse-values --values FILE",
	},
	"another_release": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.DryRun, s.Webhook.Policies.Release = &DryRun{}, "; rm"
		},
		crosses: []string{"dry run: ", "status: "},
	},
}

func TestExplainPolicies(t *testing.T) {
	t.Parallel()
	for name, c := range explainByPolicies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t)
			s.Webhook = withPolicies(t)
			c.change(t, s)
			e := Explain(s)
			compare(t, "crosses", c.crosses, leaves(e.Steps, report.Fail))
			compare(t, "question marks", c.unknowns, leaves(e.Steps, report.Unknown))
			if diff := cmp.Diff(c.fix, e.Fix); diff != "" {
				t.Errorf("fix (-want +got):\n%s", diff)
			}
			if slices.ContainsFunc(e.Steps, func(g Step) bool { return g.Name == "webhook" }) != (s.Webhook.Registration != nil) {
				t.Errorf("is there a webhook? %v", e.Steps)
			}
			if strings.Contains(e.Fix, ";") {
				t.Errorf("fix %s", e.Fix)
			}
		})
	}
}
