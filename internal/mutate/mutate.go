// Package mutate computes the patch that gives a pod the tokens and the logins
// that its annotations ask for.
//
// It works in steps, each of which takes values and returns one: a plan says
// which container gets what, volumes are found or made for it, both are checked,
// and only then the operations are written (docs/design/plan.md). These are all
// `add` operations whose indices come from a minimal view of the raw pod. Nothing
// is marshalled again, so fields that this code does not know survive, lists keep
// their order, and what the pod's author wrote is never overwritten. A pod that
// has everything already gets an empty patch.
package mutate

import (
	"slices"

	"gomodules.xyz/jsonpatch/v2"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/nameset"
)

// Options are what a patch depends on beside the pod and its annotations.
type Options struct {
	// Prefix is the prefix of the annotations.
	Prefix annotations.Prefix
	// Version is the program's version, recorded in the status annotation.
	Version string
	// Login is what login containers are made of.
	Login LoginContainer
	// InjectedContainers are the containers that other injectors add: annotations do
	// not mean them unless they name them.
	InjectedContainers nameset.Set
	// SetTokenUser has volumes of tokens name the user that may read them, where all that
	// mount one run as one user (core/v1 ServiceAccountTokenProjection.user).
	SetTokenUser bool
	// Bindings are the names of those that gave the pod something, for the status.
	Bindings []string
	// Warnings are those that there are already. The status annotation repeats them.
	Warnings finding.Warnings
	// Template is true for the pod of a template, to which other injectors have added
	// nothing yet.
	Template bool
}

// Result is what [Patch] and [PatchEphemeral] found.
type Result struct {
	// Operations is the patch, made of `add` operations whose values are
	// *json.RawMessage; empty where there is nothing to do.
	Operations []jsonpatch.Operation
	// Warnings are for the person at kubectl: those of the Options, and more.
	Warnings finding.Warnings
	// Tokens are the names of the tokens that some container now has, Logins those
	// of the logins, and Containers the names of the containers that have any of
	// them: all in the order of the pod.
	Tokens, Logins, Containers []string
}

// Patch returns the operations that add the Spec's tokens and logins to a pod
// that is being created. Where there are errors, there are no operations.
func Patch(pod *Pod, spec annotations.Spec, o Options) (Result, field.ErrorList) {
	f := &findings{warnings: slices.Clip(o.Warnings)}
	p, volumes := prepare(pod, spec, o, f)
	return finish(pod, p, volumes, o, f)
}

// Check returns what [Patch] finds, without the operations: for a pod that is
// denied anyway.
func Check(pod *Pod, spec annotations.Spec, o Options) (warnings finding.Warnings, errs field.ErrorList) {
	f := &findings{warnings: slices.Clip(o.Warnings)}
	prepare(pod, spec, o, f)
	return f.warnings, f.errs
}

// prepare plans, places and checks.
func prepare(pod *Pod, spec annotations.Spec, o Options, f *findings) (plan, []placement) {
	if pod.excess != nil {
		f.fail(finding.TooLarge, func() *field.Error { return pod.excess })
		return plan{}, nil
	}
	p := newPlan(pod, newViews(pod, spec, o), o, f)
	volumes := place(pod, p, o, f)
	checker{pod: pod, o: o, findings: f}.check(p, volumes)
	return p, volumes
}

// PatchEphemeral returns the operations that give the tokens and the results of
// logins to the ephemeral containers that an update of pods/ephemeralcontainers
// adds to a running pod. Only they may change: a pod's volumes and annotations are
// fixed by then, so a debug container gets what the pod has, and a warning says
// what it lacks.
//
// A debug container sees what the container sees that it targets (kubectl debug
// --target), unless an annotation names the debug container itself.
func PatchEphemeral(pod, old *Pod, spec annotations.Spec, o Options) (Result, field.ErrorList) {
	if pod.excess != nil {
		return Result{Warnings: o.Warnings}, field.ErrorList{finding.Error(finding.TooLarge, pod.excess)}
	}
	f, views, added := &findings{warnings: slices.Clip(o.Warnings)}, newViews(pod, spec, o), addedContainers(pod, old)
	adoptLogins(pod, views)
	volumes := findVolumes(pod, views)
	p := newDebugPlan(planner{pod: pod, views: views, o: o, f: f}, added, volumes)
	checker{pod: pod, o: o, findings: f}.checkDebug(p, old, volumes, added)
	return finish(pod, p, volumes, o, f)
}

// finish writes the operations of a plan without errors.
func finish(pod *Pod, p plan, volumes []placement, o Options, f *findings) (Result, field.ErrorList) {
	if len(f.errs) > 0 {
		return Result{Warnings: f.warnings}, f.errs
	}
	result := p.result()
	result.Warnings = f.warnings
	operations, err := render(pod, p, volumes, result, o)
	if err != nil {
		return Result{Warnings: f.warnings}, field.ErrorList{finding.Error(finding.TooLarge, err)}
	}
	result.Operations = operations
	return result, nil
}

// Record returns the operations that write the warnings of the Options into the
// status of a pod that gets nothing.
func Record(pod *Pod, o Options) []jsonpatch.Operation {
	operations, _ := render(pod, plan{}, nil, Result{Warnings: o.Warnings}, o) // a single operation is within the budget
	return operations
}
