// Package finding names what can be wrong with pods and workloads. Every error and
// warning has a rule: a stable name by which tools know it and people look it up. Texts
// may become better; names stay.
package finding

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Rule is the name of a kind of finding.
type Rule string

// Error gives an error its rule. It is in the error's Origin, which no text has.
func Error(rule Rule, err *field.Error) *field.Error { return err.WithOrigin(string(rule)) }

// Of returns the rule of an error.
func Of(err *field.Error) Rule { return Rule(err.Origin) }

// Warning is something doubtful.
type Warning struct {
	Rule Rule
	// Field is the path of what it is about, such as
	// metadata.annotations[oidc-injector.io/env]; empty where it is about all of the pod.
	Field string
	// Text is for people.
	Text string
}

// String returns the text.
func (w Warning) String() string { return w.Text }

// Warnings are those of a pod, in the order in which people read them.
type Warnings []Warning

// Texts returns the texts; nil where there are none.
func (w Warnings) Texts() []string {
	if len(w) == 0 {
		return nil
	}
	texts := make([]string, len(w))
	for i := range w {
		texts[i] = w[i].Text
	}
	return texts
}

// Has reports whether there is a warning of this text.
func (w Warnings) Has(text string) bool {
	return slices.ContainsFunc(w, func(other Warning) bool { return other.Text == text })
}
