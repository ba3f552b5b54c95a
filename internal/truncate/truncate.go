// Package truncate shortens what others wrote before it is shown. It imports the
// standard library alone.
package truncate

import "unicode/utf8"

// Prefix returns the longest beginning of a text that has at most so many bytes
// and does not end within a character.
func Prefix(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:max(most, 0)]
}

// String is Prefix, with an ellipsis behind a text that was longer.
func String(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return Prefix(s, most) + "…"
}
