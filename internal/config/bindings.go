package config

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/binding"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/policy"
)

// Binding gives pods what they do not ask for themselves.
type Binding struct {
	// Name names the binding in the status of pods, in the audit log and in errors.
	Name string `json:"name"`

	binding.Selector

	// Annotations are what the pods are given: annotations without their prefix, as
	// those of profiles, and `profile` for one.
	Annotations annotations.Preset `json:"annotations"`
}

const (
	// maxBindings bounds the bindings, so that a file is checked within seconds.
	maxBindings = 5000
	// maxOverlaps bounds the pairs of bindings that can match the same pod: each is
	// tried for contradictions.
	maxOverlaps = 20_000
	// maxContradictions bounds the pairs of which it is said that they contradict each
	// other.
	maxContradictions = 20
)

// Bindings are those of a configuration, ready for use.
type Bindings struct {
	selectors []binding.Selector
	set       *binding.Set
	bound     []*annotations.Bound
	// notes are what is doubtful.
	notes []string
}

// Notes are what is doubtful about the bindings: texts for the log.
func (b *Bindings) Notes() []string { return b.notes }

// Len is the number of bindings.
func (b *Bindings) Len() int { return len(b.bound) }

// For returns what the bindings give that match a pod.
func (b *Bindings) For(namespace, serviceAccount string, labels binding.Labels) []*annotations.Bound {
	indices := b.set.Match(namespace, serviceAccount, labels)
	if len(indices) == 0 {
		return nil
	}
	given := make([]*annotations.Bound, 0, len(indices))
	for _, i := range indices {
		given = append(given, b.bound[i])
	}
	return given
}

// MayMatch returns the names of the bindings that match a pod if it has one of their
// ServiceAccounts, which its metadata does not say.
func (b *Bindings) MayMatch(namespace string, labels binding.Labels) []string {
	indices := b.set.MayMatch(namespace, labels)
	if len(indices) == 0 {
		return nil
	}
	names := make([]string, 0, len(indices))
	for _, i := range indices {
		names = append(names, b.bound[i].Name)
	}
	return names
}

// MatchCondition is the expression by which API servers send the pods that annotations
// or bindings are about.
func (b *Bindings) MatchCondition(prefix annotations.Prefix) string {
	return binding.MatchCondition(string(prefix), b.selectors)
}

// compileBindings checks the bindings, and whether they contradict each other.
func (c *InjectorConfig) compileBindings(parser *annotations.Parser) (Bindings, field.ErrorList) {
	all, path := Bindings{}, field.NewPath("bindings")
	if len(c.Bindings) > maxBindings {
		return all, field.ErrorList{field.TooMany(path, len(c.Bindings), maxBindings)}
	}
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range c.Bindings {
		b := &c.Bindings[i]
		at := path.Index(i)
		for _, problem := range validation.IsDNS1123Label(b.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), b.Name, problem))
		}
		if len(b.Name) > annotations.MaxBindingName {
			errs = append(errs, field.TooLong(at.Child("name"), b.Name, annotations.MaxBindingName))
		}
		if seen[b.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), b.Name))
		}
		seen[b.Name] = true
		errs = append(errs, b.Validate(at)...)
		bound, wrong := parser.Bind(b.Name, b.Annotations, path.Key(b.Name).Child("annotations"))
		errs = append(errs, wrong...)
		if bound.LogsIn() && c.Login.Image == "" {
			errs = append(errs, field.Required(field.NewPath("login", "image"),
				fmt.Sprintf("binding %s asks for a login, and without an image all of its pods would be denied", b.Name)))
		}
		all.selectors, all.bound = append(all.selectors, b.Selector), append(all.bound, bound)
	}
	if len(errs) > 0 {
		return all, errs
	}
	all.set = binding.NewSet(all.selectors)
	errs = all.contradictions(parser, path)
	errs = append(errs, c.forbidden(parser, &all)...)
	return all, errs
}

// forbidden reports the bindings that give what the policy forbids in each of their
// namespaces, and notes those that do so in some. Audiences of the API server that only
// the environment knows have no part in it: a file that was accepted stays so.
func (c *InjectorConfig) forbidden(parser *annotations.Parser, b *Bindings) field.ErrorList {
	judge := policy.New(c.Policy, nil)
	var errs field.ErrorList
	for i, bound := range b.bound {
		spec, os := parser.Given(bound)
		var refused field.ErrorList // in the first namespaces where anything is
		var names []string
		for _, namespaces := range b.selectors[i].Namespaces {
			if wrong := judge.ForAny(namespaces).Check(spec, os, nil); len(wrong) > 0 {
				refused, names = append(refused, wrong...), append(names, namespaces)
			}
		}
		switch {
		case len(refused) == 0:
		case len(names) == len(b.selectors[i].Namespaces):
			errs = append(errs, refusals(bound.Name, refused)...)
		case len(b.notes) < maxContradictions:
			b.notes = append(b.notes, fmt.Sprintf("binding %s: pods in %s that say nothing else will be denied: %v", bound.Name,
				strings.Join(names, ", "), refused[0]))
		}
		if len(errs) >= maxContradictions {
			break
		}
	}
	return errs
}

// refusals are errors of the policy as those of a binding, one for each value.
func refusals(name string, all field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	for _, err := range all {
		if slices.ContainsFunc(errs, func(other *field.Error) bool { return other.Field == err.Field }) {
			continue
		}
		said := *err
		said.Detail += fmt.Sprintf(" (rule %s: pods of binding %s that say nothing else would all be denied)", finding.Of(err), name)
		errs = append(errs, &said)
	}
	return errs
}

// contradictions reports the bindings that can match the same pod and do not fit together.
func (b *Bindings) contradictions(parser *annotations.Parser, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	overlaps, contradicting := 0, 0
	b.set.Overlaps(func(i, j int) bool {
		overlaps++
		if overlaps > maxOverlaps {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf(
				"more than %d pairs of bindings can match the same pod: name namespaces and ServiceAccounts more precisely", maxOverlaps)))
			return false
		}
		wrong := parser.Contradictions(b.bound[i], b.bound[j])
		for _, err := range wrong {
			err.Detail += fmt.Sprintf(" (bindings %s and %s can match the same pod)", b.bound[i].Name, b.bound[j].Name)
		}
		errs = append(errs, wrong...)
		if len(wrong) > 0 {
			contradicting++
		}
		return contradicting < maxContradictions
	})
	return errs
}
