// Package policy decides what the annotations of a pod may ask for: which
// audiences, at which addresses to log in, which variables to set, and which
// directories to mount. Values in, values out.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/glob"
)

// What an [Error] is about, for errors.Is.
var (
	// ErrDenied: a denied list has it.
	ErrDenied = errors.New("denied by the policy")
	// ErrReserved: it is refused unless an allowed list names it literally.
	ErrReserved = errors.New("not allowed by name")
	// ErrNotListed: the allowed lists have others.
	ErrNotListed = errors.New("not in the allowed lists")
)

// Error is a refusal, in a sentence for the pod's author.
type Error struct {
	cause error
	text  string
}

func (e *Error) Error() string { return e.text }

// Unwrap returns the cause, one of this package's variables.
func (e *Error) Unwrap() error { return e.cause }

func refuse(cause error, format string, args ...any) error {
	return &Error{cause: cause, text: fmt.Sprintf(format, args...)}
}

// Policy is what a cluster's configuration allows. The policy of a cluster that
// configures none is that of an empty Spec; the zero value allows no mount path.
type Policy struct {
	overall    ruleset
	namespaces []namespaceRules
	// apiServer are audiences of the API server beside the well-known ones.
	apiServer []glob.Pattern
}

// ruleset is the rules of one place of the configuration.
type ruleset struct {
	audiences  rule[glob.Pattern, string]
	addresses  rule[addressPattern, address]
	secrets    rule[glob.Pattern, string]
	env        rule[glob.Pattern, string]
	mountPaths rule[pathPattern, directory]
}

type namespaceRules struct {
	names []glob.Pattern
	ruleset
}

// rule is two lists of patterns P of values V.
type rule[P pattern[V], V any] struct{ allowed, denied []P }

type pattern[V any] interface {
	fmt.Stringer
	Matches(value V) bool
}

// New compiles a specification that [Spec.Validate] has accepted. The audiences
// of the API server are those that are known beside the configured ones.
func New(spec Spec, apiServerAudiences []string) Policy {
	p := Policy{
		overall:   newRuleset(spec.Lists),
		apiServer: glob.All(slices.Concat(apiServerAudiences, spec.APIServerAudiences)),
	}
	if len(spec.MountPaths.Allowed) == 0 {
		p.overall.mountPaths.allowed = newPathPatterns(defaultMountPaths)
	}
	for _, ns := range spec.Namespaces {
		p.namespaces = append(p.namespaces, namespaceRules{
			names: glob.All(ns.Namespaces), ruleset: newRuleset(ns.Lists),
		})
	}
	return p
}

func newRuleset(l Lists) ruleset {
	return ruleset{
		audiences: rule[glob.Pattern, string]{allowed: glob.All(l.Audiences.Allowed), denied: glob.All(l.Audiences.Denied)},
		addresses: rule[addressPattern, address]{
			allowed: newAllowedAddresses(l.LoginAddresses.Allowed), denied: newAddressPatterns(l.LoginAddresses.Denied),
		},
		secrets: rule[glob.Pattern, string]{allowed: glob.All(l.LoginSecrets.Allowed), denied: glob.All(l.LoginSecrets.Denied)},
		env:     rule[glob.Pattern, string]{allowed: newVariables(l.Env.Allowed), denied: newVariables(l.Env.Denied)},
		mountPaths: rule[pathPattern, directory]{
			allowed: newPathPatterns(l.MountPaths.Allowed),
			denied:  newPathPatterns(l.MountPaths.Denied),
		},
	}
}

// Rules are what holds in one namespace, or in any that a pattern stands for.
type Rules struct {
	policy *Policy
	// namespace is its name, or the pattern.
	namespace string
	// own are the rulesets for this namespace beside those for every namespace.
	own []*ruleset
	// some are the rulesets for some of a pattern's namespaces: what one of them allows
	// is allowed somewhere, and what it denies is not denied everywhere.
	some []*ruleset
}

// For finds the rules that hold in a namespace: to be called once for a pod, as
// it compares the namespace with every pattern of the configuration.
func (p *Policy) For(namespace string) Rules {
	r := Rules{policy: p, namespace: namespace}
	for i := range p.namespaces {
		if ns := &p.namespaces[i]; glob.Any(ns.names, namespace) {
			r.own = append(r.own, &ns.ruleset)
		}
	}
	return r
}

// ForAny finds the rules of namespaces that a pattern stands for. What they refuse is
// refused in each of these namespaces; what they allow is perhaps allowed in one.
func (p *Policy) ForAny(pattern string) Rules {
	g := glob.New(pattern)
	if g.Literal() {
		return p.For(pattern)
	}
	r := Rules{policy: p, namespace: pattern}
	for i := range p.namespaces {
		ns := &p.namespaces[i]
		switch {
		case slices.ContainsFunc(ns.names, func(name glob.Pattern) bool { return glob.Covers(name, g) }):
			r.own = append(r.own, &ns.ruleset)
		case slices.ContainsFunc(ns.names, func(name glob.Pattern) bool { return glob.Overlap(name, g) }):
			r.some = append(r.some, &ns.ruleset)
		}
	}
	return r
}

// each visits the rulesets that hold, the one for every namespace first.
func (r Rules) each(yield func(*ruleset) bool) {
	if !yield(&r.policy.overall) {
		return
	}
	for _, rules := range r.own {
		if !yield(rules) {
			return
		}
	}
}

// verdict is what the lists of all rulesets together say of a value.
type verdict struct{ denied, allowed, limited bool }

// judge looks a value up in the lists of one kind.
func judge[P pattern[V], V any](r Rules, lists func(*ruleset) *rule[P, V], value V) verdict {
	matches := func(p P) bool { return p.Matches(value) }
	var v verdict
	for rules := range r.each {
		l := lists(rules)
		v.denied = v.denied || slices.ContainsFunc(l.denied, matches)
		v.allowed = v.allowed || slices.ContainsFunc(l.allowed, matches)
		v.limited = v.limited || len(l.allowed) > 0
	}
	for _, rules := range r.some {
		v.allowed = v.allowed || slices.ContainsFunc(lists(rules).allowed, matches)
	}
	return v
}

// named reports whether an allowed list has the text itself, rather than a
// pattern of it.
func (r Rules) named(lists func(*ruleset) *rule[glob.Pattern, string], text string) bool {
	for rules := range r.each {
		if glob.Names(lists(rules).allowed, text) {
			return true
		}
	}
	return slices.ContainsFunc(r.some, func(rules *ruleset) bool { return glob.Names(lists(rules).allowed, text) })
}

func (r Rules) denied(what string) error {
	return refuse(ErrDenied, "the injector's policy denies this %s in namespace %q", what, r.namespace)
}

// maxListed bounds the patterns that an error shows.
const maxListed = 20

// notListed is the refusal of what no allowed pattern matches.
func notListed[P pattern[V], V any](r Rules, lists func(*ruleset) *rule[P, V]) error {
	var shown []string
	more := 0
	for rules := range r.each {
		for _, p := range lists(rules).allowed {
			if len(shown) == maxListed {
				more++
				continue
			}
			shown = append(shown, p.String())
		}
	}
	text := strings.Join(shown, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return refuse(ErrNotListed, "the injector's policy allows in namespace %q: %s", r.namespace, text)
}
