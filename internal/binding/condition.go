package binding

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ConditionName is the name of the match condition by which API servers send those pods
// only that ask for something, or are bound.
const ConditionName = "annotated"

// MatchCondition is the expression of that condition, in CEL (admissionregistration.k8s.io/v1
// MatchCondition), for annotations with a prefix and pods that the selectors match. The
// chart makes the same text, of the same configuration.
func MatchCondition(prefix string, selectors []Selector) string {
	terms := []string{`has(object.metadata.annotations) && object.metadata.annotations.exists(key, key.startsWith("` + prefix + `/"))`}
	// Those that want no labels are one term together: what they name is looked up in a
	// list, and what they describe is one regular expression.
	var names, patterns []string
	var labelled []string
	for i := range selectors {
		s := &selectors[i]
		if len(s.PodLabels) == 0 {
			more, expressions := s.accounts()
			names, patterns = append(names, more...), append(patterns, expressions...)
			continue
		}
		labelled = append(labelled, "("+strings.Join(accountTerms(s.accounts()), " || ")+")"+labelTerms(s.PodLabels))
	}
	terms = append(terms, accountTerms(names, patterns)...)
	return strings.Join(append(terms, unique(labelled)...), " || ")
}

// accounts are the ServiceAccounts that a selector names, as NAMESPACE/NAME, or else a
// regular expression of those.
func (s *Selector) accounts() (names, patterns []string) {
	wild := func(text string) bool { return strings.ContainsAny(text, "*?") }
	if slices.ContainsFunc(s.Namespaces, wild) || slices.ContainsFunc(s.ServiceAccounts, wild) ||
		len(s.Namespaces)*len(s.ServiceAccounts) > maxExact {
		return nil, []string{Alternatives(s.Namespaces) + "/" + Alternatives(s.ServiceAccounts)}
	}
	for _, namespace := range s.Namespaces {
		for _, name := range s.ServiceAccounts {
			names = append(names, namespace+"/"+name)
		}
	}
	return names, nil
}

// Alternatives is a regular expression (RE2) of names.
func Alternatives(patterns []string) string {
	all := make([]string, 0, len(patterns))
	for _, p := range unique(patterns) {
		all = append(all, strings.NewReplacer(`\*`, "[^/]*", `\?`, "[^/]").Replace(regexp.QuoteMeta(p)))
	}
	return "(" + strings.Join(all, "|") + ")"
}

// serviceAccount is the pod's, in CEL.
const serviceAccount = `(request.namespace + "/" + object.spec.?serviceAccountName.orValue("default"))`

func accountTerms(names, patterns []string) []string {
	var terms []string
	if len(names) > 0 {
		terms = append(terms, serviceAccount+" in "+Literal(unique(names)))
	}
	if len(patterns) > 0 {
		terms = append(terms, serviceAccount+".matches("+Literal("^("+strings.Join(unique(patterns), "|")+")$")+")")
	}
	return terms
}

func labelTerms(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&b, " && object.metadata.?labels[?%s] == optional.of(%s)", Literal(name), Literal(labels[name]))
	}
	return b.String()
}

// Literal is a value made of texts, in CEL: JSON's are CEL's, too, without what the encoder
// does for HTML.
func Literal(value any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err) //nolint:forbidigo // there is no such value
	}
	return strings.TrimSuffix(b.String(), "\n")
}
