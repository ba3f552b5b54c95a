package testutil

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/finding"
)

// WithoutRules are the findings that have no rule, and the warnings that have no place.
func WithoutRules(warnings finding.Warnings, errs field.ErrorList) []string {
	var without []string
	for _, w := range warnings {
		if _, known := finding.Find(w.Rule); !known || w.Field == "" {
			without = append(without, fmt.Sprintf("warning %q has rule %q and field %q", w.Text, w.Rule, w.Field))
		}
	}
	for _, err := range errs {
		if _, known := finding.Find(finding.Of(err)); !known {
			without = append(without, fmt.Sprintf("error %q has rule %q", err, finding.Of(err)))
		}
	}
	return without
}
