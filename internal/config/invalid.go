package config

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// InvalidError is a file with something wrong in it.
type InvalidError struct {
	// Problems are all that is wrong, each with its path.
	Problems []string
}

func (e *InvalidError) Error() string {
	if len(e.Problems) == 1 {
		return "invalid configuration: " + e.Problems[0]
	}
	return "invalid configuration: [" + strings.Join(e.Problems, ", ") + "]"
}

// newInvalidError joins what could not be decoded and what is wrong with the rest. What
// is only wrong because it could not be decoded is left out.
func newInvalidError(undecodable, errs field.ErrorList) *InvalidError {
	e := &InvalidError{}
	left := make([]string, 0, len(undecodable))
	for _, err := range undecodable {
		e.Problems = append(e.Problems, err.Field+": "+err.Detail)
		left = append(left, steps(err.Field)+".")
	}
	for _, err := range errs {
		at := steps(err.Field) + "."
		// It may be empty without what was left out.
		follows := func(left string) bool {
			return strings.HasPrefix(at, left) || err.Type == field.ErrorTypeRequired && strings.HasPrefix(left, at)
		}
		if text := err.Error(); !slices.ContainsFunc(left, follows) && !slices.Contains(e.Problems, text) {
			e.Problems = append(e.Problems, text)
		}
	}
	return e
}

// steps is a path in one form: what is a key of a map to one is a field to the other.
func steps(path string) string { return strings.NewReplacer("[", ".", "]", "").Replace(path) }
