package diagnose

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/oidc-injector/oidc-injector/internal/policy"
)

// Policies are the admission policies by which API servers inject without a webhook.
type Policies struct {
	// Name is that of the injecting one, with which those of the others begin.
	Name string
	// Release and Namespace are those of Helm; empty where Helm does not manage them.
	Release, Namespace string
	// Served says that the API server knows MutatingAdmissionPolicies.
	Served bool
	// Injecting is nil where it is missing, as are others in Validating.
	Injecting *AdmissionPolicy
	// Validating are those that deny and warn, by [Part].
	Validating map[Part]*AdmissionPolicy
}

// Part says by the end of its name what a policy does.
type Part string

// The parts.
const (
	Denies               Part = ""
	Warns                Part = "-warnings"
	TellsDebuggers       Part = "-debug-containers"
	TellsWorkloadAuthors Part = "-workloads"
)

// AdmissionPolicy is a MutatingAdmissionPolicy or a ValidatingAdmissionPolicy.
type AdmissionPolicy struct {
	FailurePolicy admissionregistrationv1.FailurePolicyType
	Matches       admissionregistrationv1.MatchResources
	Conditions    []admissionregistrationv1.MatchCondition
	// Binding is nil where there is none, and the policy has no effect.
	Binding *PolicyBinding
	// Doubts are what the type check of the cluster says of its expressions.
	Doubts []string
}

// PolicyBinding has a policy be in force.
type PolicyBinding struct {
	Name string
	// Actions are those of a ValidatingAdmissionPolicyBinding.
	Actions []string
	// Matches narrows the policy's own; nil where it does not.
	Matches *admissionregistrationv1.MatchResources
}

// PoliciesUnread is what the [Unread] of the policies is called.
const PoliciesUnread = "admission policies"

// policyKind is a kind of policies, and its binding, as kubectl has it.
type policyKind string

const (
	mutating   policyKind = "MutatingAdmissionPolicy"
	validating policyKind = "ValidatingAdmissionPolicy"
)

// kubectl is a kind in a command.
func (k policyKind) kubectl() string { return strings.ToLower(string(k)) }

// inOrder judges what is there of the policies.
func (p *Policies) inOrder(w *Webhook) []Step {
	if !p.Served {
		return []Step{fail("injects", p.upgrade("mode=webhook"), "the API server has no MutatingAdmissionPolicies, which Kubernetes 1.36 "+
			"has: ValidatingAdmissionPolicies alone deny annotated pods")}
	}
	var steps []Step
	for _, e := range p.expected(w) {
		steps = append(steps, p.judge(&e)...)
	}
	return steps
}

// expected is a policy as it should be.
type expected struct {
	step   string
	kind   policyKind
	part   Part
	policy *AdmissionPolicy
	fails  admissionregistrationv1.FailurePolicyType
	action string
	// without is what happens where it is missing, and advice says that this is not so bad.
	without string
	advice  bool
}

func (p *Policies) expected(w *Webhook) []expected {
	all := []expected{
		{
			step: "injects", kind: mutating, policy: p.Injecting, fails: admissionregistrationv1.Fail,
			without: "nothing is injected",
		},
		{
			step: "denies", kind: validating, part: Denies, fails: admissionregistrationv1.Fail, action: "Deny",
			without: "pods can be without what they ask for, and nobody is told",
		},
		{
			step: "warns", kind: validating, part: Warns, fails: admissionregistrationv1.Ignore, action: "Warn",
			without: "nobody is warned", advice: true,
		},
	}
	if p.Injecting != nil && p.Injecting.isAbout("pods/ephemeralcontainers") {
		all = append(all, expected{
			step: "debug containers", kind: validating, part: TellsDebuggers, fails: admissionregistrationv1.Ignore, action: "Warn",
			without: "whoever debugs is not told why a container has no token", advice: true,
		})
	}
	if w.Config.Workloads != policy.Off {
		all = append(all, expected{
			step: "workloads", kind: validating, part: TellsWorkloadAuthors, fails: admissionregistrationv1.Ignore,
			action: string(w.Config.Workloads), without: "authors of Deployments are told nothing", advice: true,
		})
	}
	for i := range all[1:] {
		all[i+1].policy = p.Validating[all[i+1].part]
	}
	return all
}

// isAbout reports whether a policy is about a resource.
func (a *AdmissionPolicy) isAbout(resource string) bool {
	return slices.ContainsFunc(a.Matches.ResourceRules, func(r admissionregistrationv1.NamedRuleWithOperations) bool {
		return slices.Contains(r.Resources, resource)
	})
}

func (p *Policies) judge(e *expected) []Step {
	name := p.Name + string(e.part)
	worse := fail
	if e.advice {
		worse = warn
	}
	switch {
	case e.policy == nil:
		return []Step{worse(e.step, p.again(), "there is no %s %s: %s", e.kind, name, e.without)}
	case e.policy.Binding == nil:
		return []Step{worse(e.step, p.again(), "%s %s has no binding, and so no effect: %s", e.kind, name, e.without)}
	case e.action != "" && !slices.Contains(e.policy.Binding.Actions, e.action):
		fix := patch(string(e.kind)+"Binding", e.policy.Binding.Name, fmt.Sprintf(`"validationActions":[%q]`, e.action))
		return []Step{worse(e.step, fix, "the validationActions of %sBinding %s are %s instead of %s: %s", e.kind,
			e.policy.Binding.Name, list(e.policy.Binding.Actions), e.action, e.without)}
	}
	detail := fmt.Sprintf("%s %s and its binding, failurePolicy %s", e.kind, name, e.policy.FailurePolicy)
	if e.action != "" {
		detail += ", " + e.action
	}
	steps := []Step{pass(e.step, "%s", detail)}
	if e.policy.FailurePolicy != e.fails {
		steps[0] = warn(e.step, patch(string(e.kind), name, fmt.Sprintf(`"failurePolicy":%q`, e.fails)),
			"the failurePolicy of %s %s is %s instead of %s", e.kind, name, e.policy.FailurePolicy, e.fails)
	}
	for _, doubt := range e.policy.Doubts {
		look := fmt.Sprintf("kubectl get %s %s --output yaml", e.kind.kubectl(), name)
		steps = append(steps, warn("type check", look, "of %s %s: %s", e.kind, name, shorten(doubt)))
	}
	return steps
}

// patch changes the spec of an object of the cluster.
func patch(kind, name, spec string) string {
	return fmt.Sprintf(`kubectl patch %s %s --type merge --patch '{"spec":{%s}}'`, strings.ToLower(kind), name, spec)
}

// again has all policies be as they were installed.
func (p *Policies) again() string {
	if p.Release != "" {
		// Applying Helm's manifest would make objects that Helm does not know as its own.
		return fmt.Sprintf("helm upgrade %s charts/oidc-injector --namespace %s --reuse-values", p.Release, p.Namespace)
	}
	return fmt.Sprintf("kubectl oidc-injector generate policy --name %s --config FILE | kubectl apply --server-side -f -", p.Name)
}

// upgrade has Helm change a value; what is in capitals is to be filled in.
func (p *Policies) upgrade(value string) string {
	if p.Release == "" {
		return "helm install oidc-injector charts/oidc-injector --namespace oidc-injector --create-namespace --set " + value
	}
	return fmt.Sprintf("helm upgrade %s charts/oidc-injector --namespace %s --reuse-values --set %s", p.Release, p.Namespace, value)
}

// chooser says which pods API servers do something about.
type chooser struct {
	// object is the one that says so, as in a command.
	object           string
	namespace, named *metav1.LabelSelector
	conditions       []admissionregistrationv1.MatchCondition
	// of is behind the names of its steps.
	of string
}

// choosers are those of the policies, of which a pod needs all.
func (p *Policies) choosers() []chooser {
	if p.Injecting == nil {
		return nil
	}
	all := []chooser{{
		object:    mutating.kubectl() + " " + p.Name,
		namespace: p.Injecting.Matches.NamespaceSelector, named: p.Injecting.Matches.ObjectSelector, conditions: p.Injecting.Conditions,
	}}
	if b := p.Injecting.Binding; b != nil && b.Matches != nil {
		all = append(all, chooser{
			object: mutating.kubectl() + "binding " + b.Name, namespace: b.Matches.NamespaceSelector, named: b.Matches.ObjectSelector,
			of: " of the binding",
		})
	}
	return all
}

func (r *Registration) choosers() []chooser {
	return []chooser{{
		object:    "mutatingwebhookconfiguration " + r.Configuration,
		namespace: r.NamespaceSelector, named: r.ObjectSelector, conditions: r.MatchConditions,
	}}
}

// choosers are those of the policies, and those of the webhook: either may inject.
func (w *Webhook) choosers() [][]chooser {
	var all [][]chooser
	if w.Policies != nil && w.Policies.Injecting != nil {
		all = append(all, w.Policies.choosers())
	}
	if w.Registration != nil {
		all = append(all, w.Registration.choosers())
	}
	return all
}

// Serves reports whether the webhook, or policies, serve a namespace.
func (w *Webhook) Serves(namespace string, own map[string]string) bool {
	return slices.ContainsFunc(w.choosers(), func(all []chooser) bool {
		return !slices.ContainsFunc(all, func(c chooser) bool { return !selects(c.namespace, namespaceLabels(namespace, own)) })
	})
}

// selects reports whether a selector does, where none selects all, as API servers have it.
func selects(from *metav1.LabelSelector, of labels.Set) bool {
	if from == nil {
		return true
	}
	selector, err := metav1.LabelSelectorAsSelector(from)
	return err == nil && selector.Matches(of)
}

// PodLabels are those that pods need to be injected.
func (w *Webhook) PodLabels() labels.Set {
	all := labels.Set{}
	for _, choosers := range w.choosers() {
		for _, c := range choosers {
			if c.named != nil {
				all = labels.Merge(all, c.named.MatchLabels)
			}
		}
	}
	return all
}

// Known reports whether something is there that injects, as far as the API shows.
func (w *Webhook) Known() bool { return len(w.choosers()) > 0 }

// injects are the steps about what injects: the webhook, policies, or both; and where neither is to
// be seen, a pod that comes back with its token is of policies on API servers' own disks.
func (w *Webhook) injects(injected bool, dryRun []Step, webhook func() []Step) []Step {
	if injected && !w.Known() && w.Policies == nil && !w.hides(RegistrationsUnread) && !w.hides(PoliciesUnread) {
		return []Step{group("webhook or policies", append([]Step{unknown("registered", "nothing in the API injects, and the pod gets its "+
			"token: policies on the API server's own disk (manifest-based admission) are not visible")}, dryRun...))}
	}
	var all []Step
	if w.Registration != nil || w.Installation != nil || w.Policies == nil {
		name := "webhook"
		if w.Registration == nil && w.hides(RegistrationsUnread) {
			name = "webhook or policies"
		}
		all = append(all, group(name, webhook()))
	}
	if w.Policies != nil {
		all = append(all, group("policies", w.Policies.inOrder(w)))
	}
	last := &all[len(all)-1]
	*last = group(last.Name, append(last.Steps, dryRun...))
	return all
}
