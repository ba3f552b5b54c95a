package secret

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

const (
	// maxQuoted bounds what is shown of another party's words, in bytes. Entra ID has
	// the ids that its support asks for behind a long text; three such words still fit
	// into a termination message.
	maxQuoted = 1000
	// maxRead bounds what is searched for secrets, in bytes. So much is read that what
	// is shown is found behind an echo of a long token, too.
	maxRead = 16 * maxQuoted
	// minSecret is the length below which a string is no secret, and hiding it
	// would only make the words unreadable.
	minSecret = 4
	// minRun is the length of what may not be shared with a secret.
	minRun = 16
)

// Quote makes the words of another party fit for a log: redacted and bounded as
// by Redact, in quotes, control characters escaped.
func Quote(words string, secrets ...Text) string {
	return strconv.Quote(Redact(words, secrets...))
}

// Redact bounds the words of another party, and replaces in them
//   - the secrets, and the parts of those that are JWTs;
//   - any run of 16 or more characters that is also part of a secret, be it as it
//     is or in one of the forms, in parts or escaped, in whatever case;
//   - whatever else has the shape of a JWT or of a Vault token.
//
// Its work is linear in the length of the words and of the secrets.
func Redact(words string, secrets ...Text) string {
	words = strings.ToValidUTF8(truncate.Prefix(words, maxRead), "\uFFFD")
	hidden := make(cover, len(words))
	for _, part := range parts(secrets) {
		hidden.literally(words, part)
	}
	hideShared(hidden, runsOf(words), runsOf(bothWays(secrets)...))
	hideShared(hidden, gramsOfWords(words), gramsOfSecrets(secrets))
	hidden.shapes(words)
	return truncate.String(hidden.apply(words), maxQuoted)
}

// cover tells of each byte of a text whether it is hidden.
type cover []bool

// hide covers the bytes of a text from one to before another.
func (c cover) hide(from, to int) {
	for i := from; i < to; i++ {
		c[i] = true
	}
}

// apply replaces what is covered.
func (c cover) apply(words string) string {
	var out strings.Builder
	for i := 0; i < len(words); {
		covered, from := c[i], i
		for i < len(words) && c[i] == covered {
			i++
		}
		if covered {
			out.WriteString(redacted)
		} else {
			out.WriteString(words[from:i])
		}
	}
	return out.String()
}

// parts lists the secrets and the segments of JWTs among them.
func parts(secrets []Text) []string {
	var all []string
	for _, s := range secrets {
		all = append(all, string(s))
		if segments := strings.Split(string(s), "."); len(segments) == 3 {
			all = append(all, segments...)
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return len(s) < minSecret })
}

// literally covers a text wherever it stands.
func (c cover) literally(words, text string) {
	for from := 0; ; from += len(text) {
		i := strings.Index(words[from:], text)
		if i < 0 {
			return
		}
		from += i
		c.hide(from, from+len(text))
	}
}

// span is where something stands in a text.
type span struct{ from, to int }

// hideShared covers the pieces of words that are pieces of secrets, too.
func hideShared[piece comparable](c cover, words, secrets iter.Seq2[piece, span]) {
	shared := map[piece]bool{}
	for p := range words {
		shared[p] = false
	}
	if len(shared) == 0 {
		return
	}
	for p := range secrets {
		if _, found := shared[p]; found {
			shared[p] = true
		}
	}
	for p, at := range words {
		if shared[p] {
			c.hide(at.from, at.to)
		}
	}
}

// runsOf are all runs of minRun bytes of some texts.
func runsOf(texts ...string) iter.Seq2[string, span] {
	return func(yield func(string, span) bool) {
		for _, text := range texts {
			for i := minRun; i <= len(text); i++ {
				if !yield(text[i-minRun:i], span{i - minRun, i}) {
					return
				}
			}
		}
	}
}

// bothWays are the secrets, forwards and backwards.
func bothWays(secrets []Text) []string {
	all := make([]string, 0, 2*len(secrets))
	for _, s := range secrets {
		all = append(all, string(s), reversed(string(s)))
	}
	return all
}

// shapes covers the tokens that are known by how they look.
func (c cover) shapes(words string) {
	for i := 0; i < len(words); {
		n := tokenAt(words, i)
		c.hide(i, i+n)
		i += max(n, 1)
	}
}

// shapes are how tokens begin, and how many characters follow at least. Those
// that are no more than a letter and a dot count only where a word begins.
var shapes = []struct {
	prefix    string
	atLeast   int
	wordStart bool
}{
	{prefix: "eyJ", atLeast: 12}, // a JSON object in base64url: a JWT, or a piece of one
	{prefix: "hvs.", atLeast: 8},
	{prefix: "hvb.", atLeast: 8},
	{prefix: "hvr.", atLeast: 8},
	{prefix: "s.", atLeast: 20, wordStart: true},
	{prefix: "b.", atLeast: 20, wordStart: true},
	{prefix: "r.", atLeast: 20, wordStart: true},
}

// tokenAt is the length of the token that begins at i, or 0.
func tokenAt(words string, i int) int {
	for _, shape := range shapes {
		if !strings.HasPrefix(words[i:], shape.prefix) {
			continue
		}
		if shape.wordStart && i > 0 && (isTokenChar(words[i-1]) || words[i-1] == '.') {
			continue
		}
		end := i + len(shape.prefix)
		for end < len(words) && isTokenChar(words[end]) {
			end++
		}
		if end-i-len(shape.prefix) < shape.atLeast {
			continue
		}
		// The rest of a JWT, or the namespace behind a Vault token.
		for end < len(words) && (isTokenChar(words[end]) || words[end] == '.') {
			end++
		}
		return end - i
	}
	return 0
}

// isTokenChar reports whether c is of the alphabets base64url and base62.
func isTokenChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
