package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// wellKnownAPIServerAudiences are the names that a cluster gives to its own API
// server, and that installers therefore choose as its issuer.
var wellKnownAPIServerAudiences = []string{
	"https://kubernetes",
	"https://kubernetes.default",
	"https://kubernetes.default.svc",
	"https://kubernetes.default.svc.*",
	"kubernetes.default.svc",
	"kubernetes.default.svc.*",
}

// Policy decides which audiences a namespace may ask for, and to which addresses
// its login containers may send tokens. The zero value allows all audiences, and
// all addresses with https.
type Policy struct {
	overall    rule
	addresses  addressRule
	namespaces []namespaceRule
	// apiServer are the API server's own audiences.
	apiServer []pattern
}

type rule struct{ allowed, denied []pattern }

type namespaceRule struct {
	names []pattern
	rule
	addresses addressRule
}

func newPolicy(spec PolicySpec, apiServerAudiences []string) Policy {
	p := Policy{
		overall:   newRule(spec.Audiences),
		addresses: newAddressRule(spec.LoginAddresses),
		apiServer: newPatterns(slices.Concat(wellKnownAPIServerAudiences, apiServerAudiences, spec.APIServerAudiences)),
	}
	for _, ns := range spec.Namespaces {
		p.namespaces = append(p.namespaces, namespaceRule{
			names: newPatterns(ns.Namespaces), rule: newRule(ns.Audiences), addresses: newAddressRule(ns.LoginAddresses),
		})
	}
	return p
}

func newRule(spec Rule) rule {
	return rule{allowed: newPatterns(spec.Allowed), denied: newPatterns(spec.Denied)}
}

// Check returns why pods of the namespace may not have tokens of the audience,
// in a sentence for the pod's author, or nothing where they may.
func (p *Policy) Check(namespace, audience string) string {
	r := p.ruleFor(namespace)
	switch {
	case matches(r.denied, audience):
		return fmt.Sprintf("the injector's policy denies this audience in namespace %q", namespace)
	case matches(p.apiServer, audience) && !names(r.allowed, audience):
		return "this is an audience of the API server itself, which the injector's policy does not allow by name"
	case len(r.allowed) > 0 && !matches(r.allowed, audience):
		return fmt.Sprintf("the injector's policy allows in namespace %q: %s", namespace, texts(r.allowed))
	default:
		return ""
	}
}

// ruleFor adds up the rules that hold for a namespace.
func (p *Policy) ruleFor(namespace string) rule {
	sum := p.overall
	for _, ns := range p.namespaces {
		if matches(ns.names, namespace) {
			sum.allowed = slices.Concat(sum.allowed, ns.allowed)
			sum.denied = slices.Concat(sum.denied, ns.denied)
		}
	}
	return sum
}

// pattern is a glob: '*' stands for any text, '/' included, '?' for one
// character.
type pattern struct {
	text string
	re   *regexp.Regexp
}

func newPatterns(texts []string) []pattern {
	patterns := make([]pattern, 0, len(texts))
	for _, text := range texts {
		expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(text))
		// (?s) because '.' is to stand for every character.
		patterns = append(patterns, pattern{text: text, re: regexp.MustCompile("(?s)^" + expr + "$")})
	}
	return patterns
}

func matches(patterns []pattern, text string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return p.re.MatchString(text) })
}

// names tells whether a pattern is the text itself: a wildcard is not meant to
// let the API server's audiences through.
func names(patterns []pattern, text string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool { return p.text == text })
}

func texts(patterns []pattern) string {
	all := make([]string, 0, len(patterns))
	for _, p := range patterns {
		all = append(all, p.text)
	}
	return strings.Join(all, ", ")
}

func (s *PolicySpec) validate(path *field.Path) field.ErrorList {
	errs := append(s.Audiences.validate(path.Child("audiences")), s.LoginAddresses.validateAddresses(path.Child("loginAddresses"))...)
	for i, ns := range s.Namespaces {
		at := path.Child("namespaces").Index(i)
		if len(ns.Namespaces) == 0 {
			errs = append(errs, field.Required(at.Child("namespaces"), "name at least one namespace or pattern"))
		}
		errs = append(errs, validateNamespacePatterns(ns.Namespaces, at.Child("namespaces"))...)
		if len(ns.Audiences.Allowed)+len(ns.Audiences.Denied)+len(ns.LoginAddresses.Allowed)+len(ns.LoginAddresses.Denied) == 0 {
			errs = append(errs, field.Required(at.Child("audiences"), "a rule without allowed or denied audiences or loginAddresses does nothing"))
		}
		errs = append(errs, ns.Audiences.validate(at.Child("audiences"))...)
		errs = append(errs, ns.LoginAddresses.validateAddresses(at.Child("loginAddresses"))...)
	}
	return append(errs, validatePatterns(s.APIServerAudiences, path.Child("apiServerAudiences"))...)
}

func (r *Rule) validate(path *field.Path) field.ErrorList {
	return append(validatePatterns(r.Allowed, path.Child("allowed")), validatePatterns(r.Denied, path.Child("denied"))...)
}

// namespacePattern is what can match the name of a namespace, a DNS label
// (RFC 1123).
var namespacePattern = regexp.MustCompile(`^[-a-z0-9*?]+$`)

func validateNamespacePatterns(patterns []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, p := range patterns {
		if !namespacePattern.MatchString(p) {
			errs = append(errs, field.Invalid(path.Index(i), p,
				"must be lower-case letters, digits and '-', with '*' and '?' as wildcards: it could match no namespace"))
		}
	}
	return errs
}

func validatePatterns(patterns []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, p := range patterns {
		if strings.TrimSpace(p) != p || p == "" || strings.ContainsFunc(p, unicode.IsControl) {
			errs = append(errs, field.Invalid(path.Index(i), p, "must not be empty, hold control characters, or begin or end with white space"))
		}
	}
	return errs
}
