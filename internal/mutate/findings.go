package mutate

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
)

// maxFindings bounds the errors, and the warnings, of one pod. It is more than an
// answer holds: a hostile pod could have hundreds of thousands of them.
const maxFindings = 200

// findings are the errors and warnings of one pod, each once, in the order in
// which they arise. A text is made only if it is kept.
type findings struct {
	errs     field.ErrorList
	warnings finding.Warnings
}

// fail adds an error.
func (f *findings) fail(rule finding.Rule, err func() *field.Error) {
	if len(f.errs) >= maxFindings {
		return
	}
	added := finding.Error(rule, err())
	same := func(e *field.Error) bool { return e.Field == added.Field && e.Detail == added.Detail }
	if !slices.ContainsFunc(f.errs, same) {
		f.errs = append(f.errs, added)
	}
}

// warn adds a warning about something that stands at a path.
func (f *findings) warn(rule finding.Rule, at func() *field.Path, format string, args ...any) {
	if len(f.warnings) >= maxFindings {
		return
	}
	if text := message(format, args...); !f.warnings.Has(text) {
		f.warnings = append(f.warnings, finding.Warning{Rule: rule, Field: at().String(), Text: text})
	}
}

// phrase is a part of a text whose own parts are shortened already.
type phrase string

// message formats a text for people. What it quotes of a pod is shortened.
func message(format string, args ...any) string {
	for i := range args {
		if text, ok := args[i].(string); ok {
			args[i] = annotations.Shorten(text)
		}
	}
	return fmt.Sprintf(format, args...)
}
