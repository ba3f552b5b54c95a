package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// glob is a pattern: '*' stands for any text, '/' included, and '?' for one
// character.
type glob struct {
	text string
	// wild is false where the pattern is a text without wildcards.
	wild bool
	// head and tail are the text before the first and behind the last wildcard,
	// by which most texts that do not match are known at once; middle is what lies
	// between, wildcards at both of its ends.
	head, middle, tail string
}

const wildcards = "*?"

func newGlob(text string) glob {
	first, last := strings.IndexAny(text, wildcards), strings.LastIndexAny(text, wildcards)
	if first < 0 {
		return glob{text: text}
	}
	return glob{text: text, wild: true, head: text[:first], middle: text[first : last+1], tail: text[last+1:]}
}

func newGlobs(texts []string) []glob {
	globs := make([]glob, 0, len(texts))
	for _, text := range texts {
		globs = append(globs, newGlob(text))
	}
	return globs
}

func (g glob) String() string { return g.text }

// matches reports whether the pattern stands for the whole text.
func (g glob) matches(text string) bool {
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

func matchesAny(globs []glob, text string) bool {
	return slices.ContainsFunc(globs, func(g glob) bool { return g.matches(text) })
}

// names reports whether one of the patterns is the text itself.
func names(globs []glob, text string) bool {
	return slices.ContainsFunc(globs, func(g glob) bool { return g.text == text })
}
