// Package admission answers admission reviews: it reads the review, lets
// annotations, policy and mutate decide, and writes the response. It does no
// I/O beside the request: everything that decides is in the review or in the
// configuration.
package admission

import (
	"cmp"
	"slices"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// Outcome is what became of a request: a label of the metrics, a field of the
// log, an audit annotation.
type Outcome string

// The outcomes.
const (
	// Mutated requests got a patch.
	Mutated Outcome = "mutated"
	// Unchanged requests asked for nothing that was not there. A pod with warnings
	// gets a record of them.
	Unchanged Outcome = "unchanged"
	// Denied requests asked for something that cannot be granted.
	Denied Outcome = "denied"
	// Failed requests were not understood, or broke the webhook.
	Failed Outcome = "failed"
)

// Reason says why there was this outcome.
type Reason string

// The reasons, by outcome.
const (
	// Injected: at least one mount, variable or annotation was added.
	Injected Reason = "injected"

	// AlreadyInjected: the pod has all that it asks for.
	AlreadyInjected Reason = "already_injected"
	// NotRequested: no annotation asks for a token.
	NotRequested Reason = "not_requested"
	// OptedOut: the pod says inject: "false".
	OptedOut Reason = "opted_out"
	// NoContainer: tokens are asked for, but for no container of the pod.
	NoContainer Reason = "no_container"
	// Unsupported: the operation, the resource or the kind of pod is not one
	// that can be injected.
	Unsupported Reason = "unsupported"
	// Checked: the workload was looked at, and is admitted.
	Checked Reason = "checked"
	// DebugSkipped: a debug container could not get the tokens of its pod.
	DebugSkipped Reason = "debug_skipped"

	// InvalidAnnotations: an annotation cannot be granted as it is written.
	InvalidAnnotations Reason = "invalid_annotations"
	// PolicyDenied: the policy does not allow what an annotation asks for, or the
	// configuration allows no logins.
	PolicyDenied Reason = "policy"
	// Conflict: the annotations contradict what the pod says itself.
	Conflict Reason = "conflict"
	// TooLarge: the pod, or what its annotations ask for, is over a bound. Failed
	// requests have it, too, whose body is over the limit.
	TooLarge Reason = "too_large"

	// NotReview: the request was not of the form in which API servers send
	// reviews, for example by a port scanner.
	NotReview Reason = "not_review"
	// Malformed: the request's body was not an admission review.
	Malformed Reason = "malformed"
	// Overloaded: there was no memory for a large request or answer, or no turn,
	// within the call's time.
	Overloaded Reason = "overloaded"
	// Panicked: an internal error.
	Panicked Reason = "panic"
)

// outcomes lists which reasons each outcome may have.
var outcomes = map[Outcome][]Reason{
	Mutated:   {Injected},
	Unchanged: {AlreadyInjected, NotRequested, OptedOut, NoContainer, Unsupported, DebugSkipped},
	Denied:    {InvalidAnnotations, PolicyDenied, Conflict, TooLarge},
	Failed:    {NotReview, Malformed, TooLarge, Overloaded, Panicked},
}

// Decision is the answer to a request.
type Decision struct {
	Outcome Outcome
	Reason  Reason
	// Operations is the patch.
	Operations []jsonpatch.Operation
	// Warnings are shown by kubectl.
	Warnings finding.Warnings
	// Errors say everything that is wrong with a Denied pod.
	Errors field.ErrorList
	// Tokens and Logins are those that some container now has, and Containers the
	// names of those containers.
	Tokens     []annotations.Token
	Logins     []annotations.Login
	Containers []string
	// Bindings are the names of the bindings that gave the pod something, or asked for a
	// part of what it was denied for.
	Bindings []string
}

// mirrorAnnotation marks the API server's copy of a static pod, which may not
// have ServiceAccount tokens (core/v1 MirrorPodAnnotationKey).
const mirrorAnnotation = "kubernetes.io/config.mirror"

// Decide answers a request. It is a function of its arguments alone.
func Decide(cfg *config.Config, version string, q *Request) Decision {
	switch {
	case q.Template != "":
		return decideWorkload(cfg, version, q)
	case q.Pod == nil || !q.supported():
		return Decision{Outcome: Unchanged, Reason: Unsupported}
	case q.Operation == admissionv1.Create:
		return decideCreate(cfg, version, q)
	default:
		return decideDebug(cfg, version, q)
	}
}

// supported reports whether the operation is one that can inject: the creation of
// a pod, and the addition of a debug container.
func (q *Request) supported() bool {
	create := q.Operation == admissionv1.Create && q.SubResource == ""
	debug := q.Operation == admissionv1.Update && q.SubResource == ephemeralContainers && q.OldPod != nil
	return q.aboutPods() && (create || debug)
}

func decideCreate(cfg *config.Config, version string, q *Request) Decision {
	spec, warnings, invalid := cfg.Parser.Parse(q.input(cfg))
	forbidden := checkPolicy(cfg, q, spec, invalid)
	_, mirror := q.Pod.Annotations.Get(mirrorAnnotation)
	if d, done := nothingToInject(spec, warnings, len(invalid)); done {
		if !mirror {
			d.Operations = mutate.Record(q.Pod, mutateOptions(cfg, version, q, spec, d.Warnings))
		}
		return d
	}
	if mirror {
		warnings = append(warnings, finding.Warning{
			Rule: finding.StaticPod, Text: "a static pod cannot have ServiceAccount tokens: none was injected",
		})
		return Decision{Outcome: Unchanged, Reason: Unsupported, Warnings: warnings}
	}
	options := mutateOptions(cfg, version, q, spec, warnings)
	if len(invalid)+len(forbidden) > 0 { // what else is wrong is said, too
		more, conflicts := mutate.Check(q.Pod, spec, options)
		return denied(spec, invalid, slices.Concat(invalid, forbidden, conflicts), more)
	}
	result, conflicts := mutate.Patch(q.Pod, spec, options)
	if len(conflicts) > 0 {
		return denied(spec, nil, conflicts, result.Warnings)
	}
	return decision(result, spec)
}

// denied names the bindings as well: whoever reads of it in the audit log may find nothing
// in the pod that asks for a token.
func denied(spec annotations.Spec, invalid, all field.ErrorList, warnings finding.Warnings) Decision {
	return Decision{
		Outcome: Denied, Reason: denialReason(invalid, all), Warnings: warnings, Errors: all, Bindings: spec.Bindings,
	}
}

// nothingToInject is the decision where the annotations ask for no token.
func nothingToInject(spec annotations.Spec, warnings finding.Warnings, problems int) (Decision, bool) {
	switch {
	case problems > 0:
		return Decision{}, false
	case spec.OptedOut:
		return Decision{Outcome: Unchanged, Reason: OptedOut}, true
	case len(spec.Tokens) == 0: // nor for a login, which would need one
		return Decision{Outcome: Unchanged, Reason: NotRequested, Warnings: warnings}, true
	default:
		return Decision{}, false
	}
}

// denialReason names the first cause, in the order in which an author would
// take them: wrong annotations, then the policy, then the rest of the pod.
func denialReason(invalid, all field.ErrorList) Reason {
	forbidden := func(err *field.Error) bool { return err.Type == field.ErrorTypeForbidden }
	tooLarge := func(err *field.Error) bool {
		return err.Type == field.ErrorTypeTooMany || err.Type == field.ErrorTypeTooLong
	}
	switch {
	case len(invalid) > 0:
		return InvalidAnnotations
	case slices.ContainsFunc(all, forbidden):
		return PolicyDenied
	case slices.ContainsFunc(all, tooLarge):
		return TooLarge
	default:
		return Conflict
	}
}

// decideDebug answers the addition of debug containers to a running pod. What
// is wrong with the pod's annotations is not the fault of the person who debugs
// and must not stand in the way: it is a warning here.
func decideDebug(cfg *config.Config, version string, q *Request) Decision {
	spec, warnings, problems := cfg.Parser.Parse(q.input(cfg))
	problems = append(problems, checkPolicy(cfg, q, spec, problems)...)
	if d, done := nothingToInject(spec, warnings, len(problems)); done {
		return d
	}
	if len(problems) > 0 {
		for _, p := range problems {
			warnings = append(warnings, finding.Warning{
				Rule: finding.DebugContainer, Field: p.Field, Text: "no token for the debug container: " + p.Error(),
			})
		}
		return Decision{Outcome: Unchanged, Reason: DebugSkipped, Warnings: warnings, Bindings: spec.Bindings}
	}
	result, conflicts := mutate.PatchEphemeral(q.Pod, q.OldPod, spec, mutateOptions(cfg, version, q, spec, warnings))
	if len(conflicts) > 0 {
		return denied(spec, nil, conflicts, result.Warnings)
	}
	d := decision(result, spec)
	if d.Reason == NoContainer {
		d.Reason = DebugSkipped
	}
	return d
}

func mutateOptions(cfg *config.Config, version string, q *Request, spec annotations.Spec, warnings finding.Warnings) mutate.Options {
	return mutate.Options{
		Prefix: cfg.Parser.Prefix, Version: version, Login: mutate.LoginContainer(cfg.Login), InjectedContainers: cfg.InjectedContainers,
		SetTokenUser: cfg.SetTokenUser, Bindings: spec.Bindings, Warnings: warnings, Template: q.Template != "",
	}
}

// input is what the parser may know of the pod.
func (q *Request) input(cfg *config.Config) annotations.Input {
	serviceAccount := cmp.Or(q.Pod.ServiceAccountName, "default")
	return annotations.Input{
		Annotations: q.Pod.Annotations, OS: q.Pod.OS, Bound: cfg.Bindings.For(q.Namespace, serviceAccount, &q.Pod.Labels),
		Pod: provider.Pod{Namespace: q.Namespace, Name: cmp.Or(q.Pod.Name, q.name()), ServiceAccountName: serviceAccount},
	}
}

// checkPolicy reports what the policy of the pod's namespace does not allow.
func checkPolicy(cfg *config.Config, q *Request, spec annotations.Spec, invalid field.ErrorList) field.ErrorList {
	if len(spec.Tokens)+len(spec.Logins) == 0 {
		return nil
	}
	return cfg.Policy.For(q.Namespace).Check(spec, q.Pod.OS, invalid)
}

// decision is that of a pod without errors. What nobody got is deleted from the Spec.
func decision(result mutate.Result, spec annotations.Spec) Decision {
	d := Decision{
		Outcome: Mutated, Reason: Injected, Operations: result.Operations, Warnings: result.Warnings, Containers: result.Containers,
		Bindings: spec.Bindings,
		Tokens: slices.DeleteFunc(spec.Tokens, func(t annotations.Token) bool {
			return !slices.Contains(result.Tokens, t.DisplayName())
		}),
		Logins: slices.DeleteFunc(spec.Logins, func(l annotations.Login) bool {
			return !slices.Contains(result.Logins, l.DisplayName())
		}),
	}
	switch {
	case len(result.Containers) == 0:
		d.Outcome, d.Reason = Unchanged, NoContainer
	case len(result.Operations) == 0:
		d.Outcome, d.Reason = Unchanged, AlreadyInjected
	}
	return d
}
