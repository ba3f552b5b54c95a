package secret

import (
	"encoding/base64"
	"encoding/hex"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// forms are how others write a secret, besides as it is: a row each. What only
// separates, escapes or changes the case needs no row, as letters and digits alone
// are compared, see char.
var forms = []func(secret string) string{
	func(secret string) string { return secret },
	func(secret string) string { return hex.EncodeToString([]byte(secret)) },
	decimals,
	// Three letters are four of base64, and what stands before the secret decides at
	// which of the three it begins. The alphabets differ in no letter or digit.
	func(secret string) string { return base64.RawURLEncoding.EncodeToString([]byte(secret)) },
	func(secret string) string { return base64.RawURLEncoding.EncodeToString([]byte(secret[1:])) },
	func(secret string) string { return base64.RawURLEncoding.EncodeToString([]byte(secret[2:])) },
	signature,
}

// written is a secret in each form, before and after which it may be reversed.
func written(secret string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if len(secret) < minSecret {
			return
		}
		for _, way := range []string{secret, reversed(secret)} {
			for _, form := range forms {
				if text := form(way); !yield(text) || !yield(reversed(text)) {
					return
				}
			}
		}
	}
}

// decimals are the bytes of a secret as Go and JavaScript print them.
func decimals(secret string) string {
	var out []byte
	for i := range len(secret) {
		out = append(strconv.AppendUint(out, uint64(secret[i]), 10), ' ')
	}
	return string(out)
}

// signature is the signature of a JWT in hex. Its other parts are no secrets once
// they are decoded.
func signature(secret string) string {
	segments := strings.Split(secret, ".")
	if len(segments) != 3 {
		return ""
	}
	// What could be decoded of a signature that is none serves as well.
	raw, _ := base64.RawURLEncoding.DecodeString(segments[2])
	return hex.EncodeToString(raw)
}

// gram is letters and digits that follow each other, as a number of base 36.
type gram uint64

const (
	// window is how many letters and digits are a gram. So many fit into 64 bits. A run
	// of minRun characters of a token has as many, but for one in thousands: of the 64
	// characters of base64url, two are neither.
	window = 12
	// A gram is below base to the power of window.
	base, rest = 36, 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36 // base to the power of window-1
)

// gramsOfWords are those of the words of another party. What looks like an escape
// may be one, or a part of the secret itself.
func gramsOfWords(words string) iter.Seq2[gram, span] {
	return func(yield func(gram, span) bool) {
		for _, read := range []func(string, int) (byte, int){char, literal} {
			if !all(gramsOf(letters(words, read)), yield) {
				return
			}
		}
	}
}

// gramsOfSecrets are those of the secrets in each form, and of the secrets whose own
// letters look like escapes, as they are read where they are echoed.
func gramsOfSecrets(secrets []Text) iter.Seq2[gram, span] {
	return func(yield func(gram, span) bool) {
		for _, s := range secrets {
			secret := string(s)
			for text := range written(secret) {
				if !all(gramsOf(letters(text, literal)), yield) {
					return
				}
			}
			if strings.ContainsAny(secret, `%\&`) && !all(gramsOf(letters(secret, char)), yield) {
				return
			}
		}
	}
}

// all yields the grams, and reports whether more are wanted.
func all(grams iter.Seq2[gram, span], yield func(gram, span) bool) bool {
	for g, at := range grams {
		if !yield(g, at) {
			return false
		}
	}
	return true
}

// gramsOf makes grams of letters.
func gramsOf(letters iter.Seq2[byte, span]) iter.Seq2[gram, span] {
	return func(yield func(gram, span) bool) {
		var (
			g      gram
			starts [window]int
			n      int
		)
		for letter, at := range letters {
			g = g%rest*base + gram(letter)
			starts[n%window] = at.from
			n++
			if n >= window && !yield(g, span{starts[n%window], at.to}) {
				return
			}
		}
	}
}

// letters goes through the letters and digits of a text, as numbers below 36 and
// without regard to case. A function reads the character at a position, and says
// how many bytes it takes.
func letters(text string, read func(text string, i int) (c byte, n int)) iter.Seq2[byte, span] {
	return func(yield func(byte, span) bool) {
		for i := 0; i < len(text); {
			c, n := read(text, i)
			if value := digit(c); value < base && !yield(value, span{i, i + n}) {
				return
			}
			i += n
		}
	}
}

// literal reads a character as it is.
func literal(text string, i int) (c byte, n int) { return text[i], 1 }

// separator stands for what is no letter or digit.
const separator = 0

// char reads the character at i, which may be escaped as in JSON, in URLs or in
// HTML, and its length. Escapes that were escaped again are read through.
func char(text string, i int) (c byte, n int) {
	switch text[i] {
	case '\\':
		n = len(text[i:]) - len(strings.TrimLeft(text[i:], `\`))
		return escaped(text, i, n)
	case '%':
		n = 1
		for strings.HasPrefix(text[i+n:], "25") {
			n += 2
		}
		return coded(text, i, n, 2)
	case '&':
		return reference(text, i)
	case '0':
		// The prefix of a number in hex.
		if len(text) > i+3 && text[i+1]|0x20 == 'x' && digit(text[i+2]) < 16 && digit(text[i+3]) < 16 &&
			(i == 0 || digit(text[i-1]) >= base) {
			return separator, 2
		}
	}
	return text[i], 1
}

// escaped reads the escape behind n backslashes at i.
func escaped(text string, i, n int) (c byte, length int) {
	if i+n == len(text) {
		return separator, n
	}
	switch text[i+n] {
	case 'u':
		return coded(text, i, n+1, 4)
	case 'U':
		return coded(text, i, n+1, 8)
	case 'x':
		return coded(text, i, n+1, 2)
	case 'a', 'b', 'f', 'n', 'r', 't', 'v':
		return separator, n + 1
	}
	return separator, n
}

// coded reads the code of a character in so many digits of hex, which begin n
// bytes behind i.
func coded(text string, i, n, digits int) (c byte, length int) {
	if len(text) < i+n+digits {
		return separator, n
	}
	code, err := strconv.ParseUint(text[i+n:i+n+digits], 16, 32)
	if err != nil {
		return separator, n
	}
	return ascii(code), n + digits
}

// maxReference is longer than any character reference that is read, in bytes.
const maxReference = 12

// reference reads a character reference of HTML at i. Those with names stand for
// no letter or digit.
func reference(text string, i int) (c byte, n int) {
	end := strings.IndexByte(text[i:min(len(text), i+maxReference)], ';')
	if end < 0 {
		return separator, 1
	}
	name := text[i+1 : i+end]
	number, numeric := strings.CutPrefix(name, "#")
	switch {
	case numeric:
		code, err := strconv.ParseUint("0"+number, 0, 32)
		if number != "" && number[0]|0x20 != 'x' {
			code, err = strconv.ParseUint(number, 10, 32)
		}
		if err == nil {
			return ascii(code), end + 1
		}
	case name != "" && strings.IndexFunc(name, func(r rune) bool { return r|0x20 < 'a' || r|0x20 > 'z' }) < 0:
		return separator, end + 1
	}
	return separator, 1
}

// ascii is a character of which letters and digits can be told apart.
func ascii(code uint64) byte {
	if code > '~' {
		return separator
	}
	return byte(code)
}

// digit is the value of a letter or digit, or base.
func digit(c byte) byte {
	switch lower := c | 0x20; {
	case c >= '0' && c <= '9':
		return c - '0'
	case lower >= 'a' && lower <= 'z':
		return lower - 'a' + 10
	}
	return base
}

// reversed is a text from its end to its beginning.
func reversed(text string) string {
	bytes := []byte(text)
	slices.Reverse(bytes)
	return string(bytes)
}
