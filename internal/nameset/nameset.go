// Package nameset matches names with a list of names and patterns.
package nameset

import (
	"path"
	"strings"
)

// Set is a set of names, some of them by patterns of [path.Match].
type Set struct {
	names    map[string]bool
	patterns []pattern
}

// pattern is one of [path.Match], and the text that all it matches begin with, which
// settles nearly every name.
type pattern struct{ text, prefix string }

// New returns the set of these names and patterns.
func New(namesAndPatterns []string) Set {
	s := Set{names: make(map[string]bool, len(namesAndPatterns))}
	for _, name := range namesAndPatterns {
		if meta := strings.IndexAny(name, "*?"); meta >= 0 {
			s.patterns = append(s.patterns, pattern{name, name[:meta]})
		} else {
			s.names[name] = true
		}
	}
	return s
}

// Len is the number of names and patterns.
func (s Set) Len() int { return len(s.names) + len(s.patterns) }

// Has reports whether the name is in the set.
func (s Set) Has(name string) bool {
	if s.names[name] {
		return true
	}
	for _, p := range s.patterns {
		if !strings.HasPrefix(name, p.prefix) {
			continue
		}
		if same, err := path.Match(p.text, name); same && err == nil {
			return true
		}
	}
	return false
}
