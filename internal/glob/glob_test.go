package glob

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
		if got := New(tt.pattern).Matches(tt.text); got != tt.want {
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
		if got, want := New(pattern).Matches(text), reference(pattern).MatchString(text); got != want {
			t.Errorf("%q matches %q: %t, want %t", pattern, text, got, want)
		}
	})
}

// TestGlobSteps gives the matcher what keeps
// one that tries every star again busy for longer than anybody waits.
func TestGlobSteps(t *testing.T) {
	t.Parallel()
	if New(strings.Repeat("*a", 500) + "b*c").Matches(strings.Repeat("a", 10_000) + "c") {
		t.Error("matches")
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a*", "abc", true},
		{"a*", "b*", false},
		{"*a", "*b", false},
		{"a*c", "ab*", true},
		{"a?c", "ab*", true},
		{"a?", "a", false},
		{"*", "?", true},
		{"?", "??", false},
		{"*x*", "*y*", true},
		{"a*b", "a?c*", true},
		{"a??b", "a*cb", true},
		{"a??b", "acd*cb", false},
		{"*ab*", "b?*a", true},
	} {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			if got := Overlap(New(pair[0]), New(pair[1])); got != tt.want {
				t.Errorf("%q and %q overlap: %t, want %t", pair[0], pair[1], got, tt.want)
			}
		}
	}
}

// FuzzOverlap looks for a text that both patterns match, among all short ones.
func FuzzOverlap(f *testing.F) {
	for _, seed := range [][2]string{{"a*b", "*a?"}, {"?", "*"}, {"a*", "*b"}, {"**", ""}, {"a?b?", "?a*"}} {
		f.Add(seed[0], seed[1])
	}
	var texts []string
	for previous := []string{""}; len(previous[0]) <= 7; {
		texts = append(texts, previous...)
		var next []string
		for _, text := range previous {
			next = append(next, text+"a", text+"b")
		}
		previous = next
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 4 || len(b) > 4 || strings.Trim(a+b, "ab*?") != "" {
			t.Skip("the texts would not be all that matter")
		}
		p, q := New(a), New(b)
		want := false
		for _, text := range texts {
			want = want || p.Matches(text) && q.Matches(text)
		}
		if got := Overlap(p, q); got != want {
			t.Errorf("%q and %q overlap: %t, want %t", a, b, got, want)
		}
	})
}

// TestCovers compares with all texts of a letter that patterns have and one that they lack.
func TestCovers(t *testing.T) {
	t.Parallel()
	texts := words("xz", 5)
	matched := map[string][]bool{}
	patterns := words("x*?", 4)
	for _, pattern := range patterns {
		expression := reference(pattern)
		for _, text := range texts {
			matched[pattern] = append(matched[pattern], expression.MatchString(text))
		}
	}
	for _, a := range patterns {
		for _, b := range patterns {
			want := true
			for i := range texts {
				want = want && (matched[a][i] || !matched[b][i])
			}
			got := Covers(New(a), New(b))
			missed := want && a != b && strings.Contains(a+b, "?")
			if got != want && !missed {
				t.Errorf("%q covers %q: %t, want %t", a, b, got, want)
			}
		}
	}
}

// words are all texts of some letters up to a length.
func words(letters string, length int) []string {
	all := []string{""}
	for from := 0; length > 0; length-- {
		to := len(all)
		for _, word := range all[from:to] {
			for _, letter := range letters {
				all = append(all, word+string(letter))
			}
		}
		from = to
	}
	return all
}
