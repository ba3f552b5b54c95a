package policy

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// reference is what a glob means, as a regular expression.
func reference(pattern string) *regexp.Regexp {
	expr := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	return regexp.MustCompile("(?s)^" + expr + "$")
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "a/b\n", true},
		{"a*", "a", true},
		{"*a", "a", true},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"?", "ä", true},
		{"?", "", false},
		{"*?", "", false},
		{"*?", "ä", true},
		{"*??", "ä", false},
		{"*???", "€a", false},
		{"a*b*c", "axbxbxc", true},
		{"a*b*c", "axcxb", false},
		{"*ab", "aab", true},
		{"*a?c*", "xxabcab", true},
		{"**", "x", true},
		{"a?c*e", "abcde", true},
	} {
		if got := newGlob(tt.pattern).matches(tt.text); got != tt.want {
			t.Errorf("%q matches %q: %t, want %t", tt.pattern, tt.text, got, tt.want)
		}
	}
}

// FuzzGlob compares with regular expressions.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{
		{"a*b?c", "axbyc"},
		{"*", ""},
		{"??*", "äö"},
		{"*.*.svc", "a.b.svc"},
		{`\*[a]`, `\x[a]`},
		{"*???", "€a"},
		{"*?a", "\xe2\x82a"},
		{"**a**", "\n"},
		{strings.Repeat("*a", 20), strings.Repeat("a", 40)},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if !utf8.ValidString(pattern) {
			t.Skip("the configuration is UTF-8")
		}
		if got, want := newGlob(pattern).matches(text), reference(pattern).MatchString(text); got != want {
			t.Errorf("%q matches %q: %t, want %t", pattern, text, got, want)
		}
	})
}

// TestGlobTakesNoMoreStepsThanItsArgumentsMultiplied gives the matcher what keeps
// one that tries every star again busy for longer than anybody waits.
func TestGlobTakesNoMoreStepsThanItsArgumentsMultiplied(t *testing.T) {
	t.Parallel()
	if newGlob(strings.Repeat("*a", 500) + "b*c").matches(strings.Repeat("a", 10_000) + "c") {
		t.Error("matches")
	}
}
