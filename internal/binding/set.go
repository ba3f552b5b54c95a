package binding

import (
	"slices"

	"github.com/oidc-injector/oidc-injector/internal/glob"
)

// Set finds those of many selectors that match a pod. It is immutable.
type Set struct {
	selectors []compiled
	// Most selectors name what they match, so that few are left to be tried for a pod:
	// exact are those of one namespace and one ServiceAccount, by both; the others
	// are by one of the two where they name it, or among the rest.
	exact                         map[account][]int
	byServiceAccount, byNamespace map[string][]int
	rest                          []int
}

type account struct{ namespace, serviceAccount string }

// maxExact bounds the entries that one selector has among the exact ones.
const maxExact = 1000

// NewSet returns the set of selectors, which are valid.
func NewSet(selectors []Selector) *Set {
	s := &Set{
		selectors: make([]compiled, 0, len(selectors)), exact: map[account][]int{}, byServiceAccount: map[string][]int{},
		byNamespace: map[string][]int{},
	}
	for i := range selectors {
		s.selectors = append(s.selectors, compile(&selectors[i]))
		s.index(i, unique(selectors[i].Namespaces), unique(selectors[i].ServiceAccounts))
	}
	return s
}

func unique(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

func (s *Set) index(i int, namespaces, serviceAccounts []string) {
	c := &s.selectors[i]
	named, accounts := allLiteral(c.namespaces), allLiteral(c.serviceAccounts)
	switch {
	case named && accounts && len(namespaces)*len(serviceAccounts) <= maxExact:
		for _, namespace := range namespaces {
			for _, name := range serviceAccounts {
				s.exact[account{namespace, name}] = append(s.exact[account{namespace, name}], i)
			}
		}
	case accounts:
		for _, name := range serviceAccounts {
			s.byServiceAccount[name] = append(s.byServiceAccount[name], i)
		}
	case named:
		for _, namespace := range namespaces {
			s.byNamespace[namespace] = append(s.byNamespace[namespace], i)
		}
	default:
		s.rest = append(s.rest, i)
	}
}

func allLiteral(patterns []glob.Pattern) bool {
	return !slices.ContainsFunc(patterns, func(p glob.Pattern) bool { return !p.Literal() })
}

// Len is the number of selectors.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.selectors)
}

// Match returns the indices of the selectors that match a pod, in ascending order; nil
// where there are none, as for nearly all pods.
func (s *Set) Match(namespace, serviceAccount string, labels Labels) []int {
	if s.Len() == 0 {
		return nil
	}
	var found []int
	for _, candidates := range [][]int{
		s.exact[account{namespace, serviceAccount}], s.byServiceAccount[serviceAccount], s.byNamespace[namespace], s.rest,
	} {
		for _, i := range candidates {
			if s.selectors[i].matches(namespace, serviceAccount, labels) {
				found = append(found, i)
			}
		}
	}
	slices.Sort(found)
	return found
}

// MayMatch returns the indices of the selectors that match the pod if it has one of their
// ServiceAccounts, which its metadata does not say.
func (s *Set) MayMatch(namespace string, labels Labels) []int {
	var found []int
	for i := range s.Len() {
		if c := &s.selectors[i]; glob.Any(c.namespaces, namespace) && c.matchesLabels(labels) {
			found = append(found, i)
		}
	}
	return found
}

// Overlaps calls do with each two selectors that can match the same pod, until it
// returns false.
func (s *Set) Overlaps(do func(i, j int) bool) {
	for j := range s.selectors {
		for i := range j {
			if s.selectors[i].overlaps(&s.selectors[j]) && !do(i, j) {
				return
			}
		}
	}
}
