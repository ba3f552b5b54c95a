// Package binding selects the pods that get tokens without asking for them by annotations
// of their own: by their namespace, their ServiceAccount and their labels, which are all in
// an admission review. Values in, values out.
package binding

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/glob"
)

// Selector selects pods, as the configuration file has it.
type Selector struct {
	// Namespaces are names of namespaces, or patterns of them: '*' stands for any text
	// and '?' for one character.
	Namespaces []string `json:"namespaces"`
	// ServiceAccounts are those that pods run as (core/v1 PodSpec.serviceAccountName,
	// "default" where it is empty), or patterns of their names.
	ServiceAccounts []string `json:"serviceAccounts"`
	// PodLabels are labels that a pod has to have, all of them.
	PodLabels map[string]string `json:"podLabels,omitempty"`
}

// maxPatterns bounds the lists of a selector, so that comparing selectors stays cheap.
const maxPatterns = 100

// Validate reports what is wrong with a selector.
func (s *Selector) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, list := range []struct {
		name     string
		patterns []string
		check    func(string) []string
	}{
		// A namespace is named by a DNS label, a ServiceAccount by a subdomain
		// (apimachinery, apis/meta/v1 and core/validation).
		{"namespaces", s.Namespaces, validation.IsDNS1123Label},
		{"serviceAccounts", s.ServiceAccounts, validation.IsDNS1123Subdomain},
	} {
		at := path.Child(list.name)
		switch {
		case len(list.patterns) == 0:
			errs = append(errs, field.Required(at, `names or patterns; "*" stands for all`))
		case len(list.patterns) > maxPatterns:
			errs = append(errs, field.TooMany(at, len(list.patterns), maxPatterns))
			continue
		}
		for i, pattern := range list.patterns {
			for _, problem := range checkPattern(pattern, list.check) {
				errs = append(errs, field.Invalid(at.Index(i), pattern, problem))
			}
		}
	}
	return append(errs, s.validateLabels(path.Child("podLabels"))...)
}

func (s *Selector) validateLabels(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(s.PodLabels)) {
		for _, problem := range validation.IsQualifiedName(name) {
			errs = append(errs, field.Invalid(path, name, problem))
		}
		for _, problem := range validation.IsValidLabelValue(s.PodLabels[name]) {
			errs = append(errs, field.Invalid(path.Key(name), s.PodLabels[name], problem))
		}
	}
	return errs
}

// checkPattern reports why no name could match a pattern.
func checkPattern(pattern string, check func(string) []string) []string {
	if pattern == "" {
		return []string{"must not be empty"}
	}
	// With an 'a' in their places, wildcards stand for names that are as short as can be.
	return check(strings.NewReplacer("*", "a", "?", "a").Replace(pattern))
}

// compiled is a selector that is ready to match.
type compiled struct {
	namespaces, serviceAccounts []glob.Pattern
	labels                      []label
}

type label struct{ name, value string }

func compile(s *Selector) compiled {
	c := compiled{namespaces: glob.All(s.Namespaces), serviceAccounts: glob.All(s.ServiceAccounts)}
	for _, name := range slices.Sorted(maps.Keys(s.PodLabels)) {
		c.labels = append(c.labels, label{name, s.PodLabels[name]})
	}
	return c
}

// Labels are those of a pod.
type Labels interface {
	Get(name string) (value string, exists bool)
}

func (c *compiled) matches(namespace, serviceAccount string, labels Labels) bool {
	return glob.Any(c.namespaces, namespace) && glob.Any(c.serviceAccounts, serviceAccount) && c.matchesLabels(labels)
}

func (c *compiled) matchesLabels(labels Labels) bool {
	for _, l := range c.labels {
		if value, exists := labels.Get(l.name); !exists || value != l.value {
			return false
		}
	}
	return true
}

// overlaps reports whether there can be a pod that both match.
func (c *compiled) overlaps(other *compiled) bool {
	return anyOverlap(c.namespaces, other.namespaces) && anyOverlap(c.serviceAccounts, other.serviceAccounts) &&
		!c.contradicts(other)
}

func anyOverlap(some, others []glob.Pattern) bool {
	for _, a := range some {
		for _, b := range others {
			if glob.Overlap(a, b) {
				return true
			}
		}
	}
	return false
}

// contradicts reports whether a label cannot be as both want it.
func (c *compiled) contradicts(other *compiled) bool {
	return slices.ContainsFunc(c.labels, func(a label) bool {
		return slices.ContainsFunc(other.labels, func(b label) bool { return a.name == b.name && a.value != b.value })
	})
}
