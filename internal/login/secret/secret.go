// Package secret keeps tokens out of logs and errors: ours by their type, and
// those that another party echoes by their shape.
package secret

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

// Text is a token. Formatting, logging or encoding it shows only that there is
// one.
type Text string

const redacted = "[redacted]"

// String hides the token from fmt.
func (Text) String() string { return redacted }

// GoString hides the token from %#v.
func (Text) GoString() string { return redacted }

// LogValue hides the token from slog.
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the token from encoders.
func (Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal is the token itself.
func (t Text) Reveal() string { return string(t) }

// maxToken is far above what relying parties issue.
const maxToken = 128 << 10

// Usable tells whether a token can be sent in a header and written into a file:
// printable ASCII without blanks, of a sane size.
func (t Text) Usable() bool {
	if t == "" || len(t) > maxToken {
		return false
	}
	for i := range len(t) {
		if t[i] <= ' ' || t[i] > '~' {
			return false
		}
	}
	return true
}

const (
	// maxQuoted bounds what is shown of another party's words, in bytes. Entra ID has
	// the ids that its support asks for behind a long text; three such words still fit
	// into a termination message.
	maxQuoted = 1000
	// minSecret is the length below which a string is no secret, and hiding it
	// would only make the words unreadable.
	minSecret = 4
)

// Quote makes the words of another party fit for a log: without the secrets and
// without what looks like a token, bounded, in quotes, control characters
// escaped.
func Quote(words string, secrets ...Text) string {
	return strconv.Quote(Cut(Redact(words, secrets...)))
}

// Cut bounds a text.
func Cut(words string) string { return truncate.String(words, maxQuoted) }

// Redact replaces the secrets, the parts of those that are JWTs, and whatever
// else has the shape of a JWT or of a Vault token.
func Redact(words string, secrets ...Text) string {
	// First, so that what stands between two pieces of a token cannot vanish later.
	words = strings.ToValidUTF8(words, "\uFFFD")
	for _, s := range parts(secrets) {
		words = strings.ReplaceAll(words, s, redacted)
	}
	return redactShapes(words)
}

// parts lists the secrets and the segments of JWTs among them, the longest
// first, so that none is found as a piece of another.
func parts(secrets []Text) []string {
	var all []string
	for _, s := range secrets {
		all = append(all, string(s))
		if segments := strings.Split(string(s), "."); len(segments) == 3 {
			all = append(all, segments...)
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < minSecret })
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

// redactShapes goes through the words and replaces the tokens it finds.
func redactShapes(words string) string {
	var out strings.Builder
	for i := 0; i < len(words); {
		if n := tokenAt(words, i); n > 0 {
			out.WriteString(redacted)
			i += n
			continue
		}
		out.WriteByte(words[i])
		i++
	}
	return out.String()
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

// isTokenChar tells whether c is of the alphabets base64url and base62.
func isTokenChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
