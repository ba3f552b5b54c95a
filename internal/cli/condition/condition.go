// Package condition evaluates the match conditions of webhooks (CEL).
package condition

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// costLimit bounds the evaluation of a condition, as API servers do (k8s.io/apiserver
// pkg/apis/cel PerCallLimit).
const costLimit = 1_000_000

// newConditions is the environment of match conditions: CEL with the parts of Kubernetes'
// own environment (k8s.io/apiserver pkg/cel/environment) that cel-go has. Kubernetes'
// libraries, such as quantities and the authorizer, are in k8s.io/apiserver alone, which is
// larger than all that the plugin has: conditions with those cannot be judged here.
func newConditions() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("object", cel.DynType), cel.Variable("oldObject", cel.DynType), cel.Variable("request", cel.DynType),
		cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(ext.StringsVersion(2)), ext.Sets(),
	)
}

var errNotBool = errors.New("the result is neither true nor false")

// Matches evaluates a condition for the creation of a pod.
func Matches(condition admissionregistrationv1.MatchCondition, pod *corev1.Pod, namespace string) (bool, error) {
	env, err := newConditions()
	if err != nil {
		return false, fmt.Errorf("could not create the CEL environment: %w", err)
	}
	ast, issues := env.Compile(condition.Expression)
	if issues.Err() != nil {
		return false, fmt.Errorf("could not compile the expression: %w", issues.Err())
	}
	program, err := env.Program(ast, cel.CostLimit(costLimit))
	if err != nil {
		return false, fmt.Errorf("could not compile the expression: %w", err)
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return false, fmt.Errorf("could not read the pod: %w", err)
	}
	object["apiVersion"], object["kind"] = "v1", "Pod"
	result, _, err := program.Eval(map[string]any{"object": object, "oldObject": nil, "request": map[string]any{
		"operation": "CREATE", "namespace": namespace, "name": pod.Name, "subResource": "", "dryRun": false,
		"kind":     map[string]any{"group": "", "version": "v1", "kind": "Pod"},
		"resource": map[string]any{"group": "", "version": "v1", "resource": "pods"},
	}})
	if err != nil {
		return false, fmt.Errorf("could not evaluate the expression: %w", err)
	}
	matched, ok := result.Value().(bool)
	if !ok {
		return false, errNotBool
	}
	return matched, nil
}
