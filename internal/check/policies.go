package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/oidc-injector/oidc-injector/internal/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/installation"
)

// policies reads those of the prefix; nil where there are none, or they may not be read.
func (r *Reader) policies(ctx context.Context, w *diagnose.Webhook, which Which) (*installation.Policies, error) {
	all, err := installation.FindPolicies(ctx, r.admission)
	if apierrors.IsForbidden(err) {
		w.Unread = append(w.Unread, diagnose.Unread{What: diagnose.PoliciesUnread, Why: err.Error()})
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(all, func(p *installation.Policies) bool {
		return !p.Called(which.Installation) || which.Prefix != "" && p.Prefix != which.Prefix
	})
	if len(found) == 0 {
		return nil, nil
	}
	if len(found) > 1 {
		names := make([]string, 0, len(found))
		for _, p := range found {
			names = append(names, p.String())
		}
		return nil, fmt.Errorf("the cluster has policies of several installations of oidc-injector: name one of %s",
			strings.Join(names, ", "))
	}
	w.Policies = describePolicies(found[0])
	return found[0], nil
}

func describePolicies(p *installation.Policies) *diagnose.Policies {
	d := &diagnose.Policies{
		Name: p.Name, Release: p.Release, Namespace: p.Namespace, Served: p.Served,
		Validating: map[diagnose.Part]*diagnose.AdmissionPolicy{},
	}
	if m := p.Injecting; m != nil {
		d.Injecting = describePolicy(m.Spec.FailurePolicy, m.Spec.MatchConstraints, m.Spec.MatchConditions)
		if b := p.InjectingBinding; b != nil {
			d.Injecting.Binding = &diagnose.PolicyBinding{Name: b.Name, Matches: b.Spec.MatchResources}
		}
	}
	for suffix, v := range p.Validating {
		a := describePolicy(v.Policy.Spec.FailurePolicy, v.Policy.Spec.MatchConstraints, v.Policy.Spec.MatchConditions)
		if b := v.Binding; b != nil {
			a.Binding = &diagnose.PolicyBinding{Name: b.Name, Matches: b.Spec.MatchResources}
			for _, action := range b.Spec.ValidationActions {
				a.Binding.Actions = append(a.Binding.Actions, string(action))
			}
		}
		if checked := v.Policy.Status.TypeChecking; checked != nil {
			for _, doubt := range checked.ExpressionWarnings {
				a.Doubts = append(a.Doubts, doubt.FieldRef+": "+doubt.Warning)
			}
		}
		d.Validating[diagnose.Part(suffix)] = a
	}
	return d
}

func describePolicy(
	fails *admissionregistrationv1.FailurePolicyType, matches *admissionregistrationv1.MatchResources,
	conditions []admissionregistrationv1.MatchCondition,
) *diagnose.AdmissionPolicy {
	a := &diagnose.AdmissionPolicy{FailurePolicy: admissionregistrationv1.Fail, Conditions: conditions} // the default of the API
	if fails != nil {
		a.FailurePolicy = *fails
	}
	if matches != nil {
		a.Matches = *matches
	}
	return a
}
