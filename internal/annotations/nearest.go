package annotations

import (
	"strconv"
	"strings"
)

// nearest returns the candidate that a mistyped word most likely means, or
// nothing where none is near.
func nearest(word string, candidates []string) string {
	if len(word) > 2*maxTokenName {
		return "" // no key is that long, and the distance takes quadratic time
	}
	word = strings.ToLower(word)
	best, distance := "", 1+len(word)/3
	for _, candidate := range candidates {
		if len(candidate)-len(word) >= distance || len(word)-len(candidate) >= distance {
			continue
		}
		if d := editDistance(word, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance is the Levenshtein distance of two words, in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

func quote(s string) string { return strconv.Quote(Shorten(s)) }
