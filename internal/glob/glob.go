// Package glob matches texts with patterns, in which '*' stands for any text and '?'
// for one character.
package glob

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Pattern is a pattern: '*' stands for any text, '/' included, and '?' for one
// character. The zero value matches the empty text.
type Pattern struct {
	text string
	// wild is false where the pattern is a text without wildcards.
	wild bool
	// head and tail are the text before the first and behind the last wildcard,
	// by which most texts that do not match are known at once; middle is what lies
	// between, wildcards at both of its ends.
	head, middle, tail string
}

const wildcards = "*?"

// New returns the pattern of a text.
func New(text string) Pattern {
	first, last := strings.IndexAny(text, wildcards), strings.LastIndexAny(text, wildcards)
	if first < 0 {
		return Pattern{text: text}
	}
	return Pattern{text: text, wild: true, head: text[:first], middle: text[first : last+1], tail: text[last+1:]}
}

// All returns the patterns of texts.
func All(texts []string) []Pattern {
	patterns := make([]Pattern, 0, len(texts))
	for _, text := range texts {
		patterns = append(patterns, New(text))
	}
	return patterns
}

// Literal reports whether the pattern matches one text only, itself.
func (g Pattern) Literal() bool { return !g.wild }

// String is the text of the pattern.
func (g Pattern) String() string { return g.text }

// Matches reports whether the pattern stands for the whole text.
func (g Pattern) Matches(text string) bool { return matches(&g, text) }

// matches does not copy the pattern, as there may be thousands.
func matches(g *Pattern, text string) bool {
	if !g.wild {
		return text == g.text
	}
	if len(text) < len(g.head)+len(g.tail) || !strings.HasPrefix(text, g.head) || !strings.HasSuffix(text, g.tail) {
		return false
	}
	return matchWild(g.middle, text[len(g.head):len(text)-len(g.tail)])
}

// matchWild takes at most len(pattern)·len(text) steps: what follows the last
// star that was met is tried at one place after the other, and no earlier star
// has to be looked at again.
func matchWild(pattern, text string) bool {
	behindStar, retry := "", "" // where to go on when what follows the star does not match
	starred := false
	for pattern != "" || text != "" {
		if pattern != "" && pattern[0] == '*' {
			pattern = pattern[1:]
			if pattern == "" {
				return true
			}
			starred, behindStar, retry = true, pattern, text
			continue
		}
		if n := matchOne(pattern, text); n > 0 {
			pattern, text = pattern[1:], text[n:]
			continue
		}
		if !starred || retry == "" {
			return false
		}
		_, size := utf8.DecodeRuneInString(retry)
		retry = retry[size:]
		pattern, text = behindStar, retry
	}
	return true
}

// matchOne returns how many bytes of the text the first byte of the pattern
// stands for, 0 where it does not match.
func matchOne(pattern, text string) int {
	switch {
	case pattern == "" || text == "":
		return 0
	case pattern[0] == '?':
		_, size := utf8.DecodeRuneInString(text)
		return size
	case pattern[0] == text[0]:
		return 1
	default:
		return 0
	}
}

// Any reports whether one of the patterns matches the text.
func Any(patterns []Pattern, text string) bool {
	for i := range patterns {
		if matches(&patterns[i], text) {
			return true
		}
	}
	return false
}

// Names reports whether one of the patterns is the text itself.
func Names(patterns []Pattern, text string) bool {
	return slices.ContainsFunc(patterns, func(g Pattern) bool { return g.text == text })
}

// Overlap reports whether there is a text that both patterns match. It takes at most
// len(a)·len(b) steps.
func Overlap(a, b Pattern) bool {
	switch {
	case !a.wild:
		return b.Matches(a.text)
	case !b.wild:
		return a.Matches(b.text)
	case !begin(a.head, b.head), !end(a.tail, b.tail):
		return false
	}
	return overlap([]rune(a.text), []rune(b.text))
}

// begin reports whether one of two texts begins with the other, and end, whether one
// ends with the other.
func begin(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
func end(a, b string) bool   { return strings.HasSuffix(a, b) || strings.HasSuffix(b, a) }

// overlap walks through both patterns at once, from their ends: meet[j] says whether what
// was seen of a, and what is left of b from j on, can be the same text.
func overlap(a, b []rune) bool {
	meet := make([]bool, len(b)+1)
	meet[len(b)] = true
	for j := len(b) - 1; j >= 0 && b[j] == '*'; j-- { // of an empty a
		meet[j] = true
	}
	for _, letter := range slices.Backward(a) {
		diagonal := meet[len(b)] // meet[j+1] without this letter
		meet[len(b)] = diagonal && letter == '*'
		for j := len(b) - 1; j >= 0; j-- {
			below := meet[j] // without this letter
			if letter == '*' || b[j] == '*' {
				meet[j] = below || meet[j+1]
			} else {
				meet[j] = diagonal && (letter == b[j] || letter == '?' || b[j] == '?')
			}
			diagonal = below
		}
	}
	return meet[0]
}

// Covers reports whether a pattern matches every text that another one matches. With
// question marks it may miss that, as of "?*", which covers "*x". It takes at most
// len(a)·len(b) steps.
func Covers(a, b Pattern) bool {
	switch {
	case !b.wild:
		return a.Matches(b.text)
	case !a.wild:
		return false
	}
	return covers([]rune(a.text), []rune(b.text))
}

// covers walks through both patterns at once, from their ends: rest[j] says whether what was
// seen of a matches all that b from j on stands for.
func covers(a, b []rune) bool {
	rest := make([]bool, len(b)+1)
	rest[len(b)] = true
	for _, letter := range slices.Backward(a) {
		diagonal := rest[len(b)] // rest[j+1] without this letter
		rest[len(b)] = diagonal && letter == '*'
		for j := len(b) - 1; j >= 0; j-- {
			below := rest[j] // without this letter
			switch letter {
			case '*':
				rest[j] = below || rest[j+1]
			case '?':
				rest[j] = diagonal && b[j] != '*'
			default:
				rest[j] = diagonal && b[j] == letter
			}
			diagonal = below
		}
	}
	return rest[0]
}
