package secret

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestQuote(t *testing.T) {
	for _, tt := range []struct{ words, want string }{
		{"", `""`},
		{`role "x" could not be found`, `"role \"x\" could not be found"`},
		{"bad token " + jwt + "!", `"bad token [redacted]!"`},
		{"signature c2lnbmF0dXJlLXNpZ25hdHVyZQ is wrong", `"signature [redacted] is wrong"`},
		{"payload eyJzdWIiOiJzeXN0ZW0ifQ", `"payload [redacted]"`},
		{"another eyJhbGciOiJub25lIn0.eyJhIjoiYiJ9.", `"another [redacted]"`},
		{"cut eyJhbGciOiJub25lIn0.eyJh", `"cut [redacted]"`},
		{
			"token hvs.CAESIJ1234abcd, b.AAAAAQKr7g8hQ2ZkLmNvbQ.ns and hvb.AAAAAQJ_x-1234567",
			`"token [redacted], [redacted] and [redacted]"`,
		},
		{"s.abcdefghijklmnopqrstuvwx", `"[redacted]"`},
		{"host vaults.example.com, eyJ, hvs., s.short", `"host vaults.example.com, eyJ, hvs., s.short"`},
		{"svc.clusters.abcdefghijklmnopqrstuvwxyz.example", `"svc.clusters.abcdefghijklmnopqrstuvwxyz.example"`},
		{"a\nlevel=INFO msg=\"fake\"\x1b[31m\u202e", `"a\nlevel=INFO msg=\"fake\"\x1b[31m\u202e"`},
		{"secret-of-ours", `"[redacted]"`},
		{strings.Repeat("ä", maxQuoted), `"` + strings.Repeat("ä", maxQuoted/2) + `…"`},
		{"x" + strings.Repeat("ä", maxQuoted), `"x` + strings.Repeat("ä", maxQuoted/2-1) + `…"`},
	} {
		if diff := cmp.Diff(tt.want, Quote(tt.words, jwt, "secret-of-ours", "", "x")); diff != "" {
			t.Errorf("%.40q (-want +got):\n%s", tt.words, diff)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("bad "+jwt, jwt)
	f.Add("hvs.abcdefgh", "hvs.abcdefgh")
	f.Add("eyJeyJeyJeyJeyJeyJ", "eyJe")
	f.Fuzz(func(t *testing.T, words, token string) {
		got := Quote(words, Text(token))
		if len(got) > 4*maxQuoted+len(`"…"`) {
			t.Errorf("%d bytes", len(got))
		}
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Errorf("control characters: %s", got)
		}
		// What is short is shown, and what is a piece of the replacement looks so.
		rest := strings.ReplaceAll(Redact(words, Text(token)), redacted, "|")
		if len(token) >= minSecret && !strings.Contains(redacted, token) && !strings.Contains(token, "|") && strings.Contains(rest, token) {
			t.Errorf("%q is shown: %q", token, rest)
		}
	})
}

// echoes are how a server shows what it was sent. Each is a row, and none of them
// is a row of the code as well: forms knows seven, the rest is in how it reads.
var echoes = map[string]func(string) string{
	"as it is":           func(s string) string { return s },
	"reversed":           reversed,
	"in capitals":        strings.ToUpper,
	"in small letters":   strings.ToLower,
	"hex":                func(s string) string { return hex.EncodeToString([]byte(s)) },
	"hex, capitals":      func(s string) string { return fmt.Sprintf("%X", s) },
	"hex, spaced":        func(s string) string { return fmt.Sprintf("% x", s) },
	"hex, C":             func(s string) string { return fmt.Sprintf("% #x", s) },
	"hex, colons":        func(s string) string { return strings.ReplaceAll(fmt.Sprintf("% x", s), " ", ":") },
	"hex, reversed":      func(s string) string { return reversed(hex.EncodeToString([]byte(s))) },
	"hex of reversed":    func(s string) string { return hex.EncodeToString([]byte(reversed(s))) },
	"dumped":             func(s string) string { return withoutText(hex.Dump([]byte(s))) },
	"bytes":              func(s string) string { return fmt.Sprintf("%d", []byte(s)) },
	"bytes, Go syntax":   func(s string) string { return fmt.Sprintf("%#v", []byte(s)) },
	"base64":             func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64url":          func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"base64 behind 1":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(":" + s)) },
	"base64 behind 2":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte("x:" + s)) },
	"base64 of reversed": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(reversed(s))) },
	"base64, MIME lines": func(s string) string { return chunks(base64.StdEncoding.EncodeToString([]byte(s)), 19, "\r\n") },
	"percent":            func(s string) string { return each(s, "%%%02X") },
	"percent twice":      func(s string) string { return strings.ReplaceAll(each(s, "%%%02x"), "%", "%25") },
	"query":              url.QueryEscape,
	"JSON":               func(s string) string { return each(s, `\u%04x`) },
	"JSON twice":         func(s string) string { return each(s, `\\u%04X`) },
	"Go":                 func(s string) string { return each(s, `\x%02x`) },
	"runes":              func(s string) string { return each(s, `\U%08x`) },
	"HTML":               func(s string) string { return each(s, "&#%d;") },
	"HTML, hex":          func(s string) string { return each(s, "&#x%x;") },
	"HTML, escaped":      html.EscapeString,
	"blanks":             func(s string) string { return chunks(s, 4, " ") },
	"dashes":             func(s string) string { return chunks(s, 5, "-") },
	"a list":             func(s string) string { return chunks(s, 7, `", "`) },
	"escaped lines":      func(s string) string { return chunks(s, 3, `\n`) },
	"entities":           func(s string) string { return chunks(s, 3, "&nbsp;") },
	"control characters": func(s string) string { return chunks(s, 1, "\x00") },
	"bad UTF-8":          func(s string) string { return chunks(s, 6, "\xff") },
	"wide blanks":        func(s string) string { return chunks(s, 2, "\u200b") },
}

func each(s, format string) string {
	var out strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&out, format, s[i])
	}
	return out.String()
}

func chunks(s string, size int, between string) string {
	var out strings.Builder
	for len(s) > size {
		out.WriteString(s[:size] + between)
		s = s[size:]
	}
	return out.String() + s
}

// withoutText is the middle of the lines of a dump, whose addresses and texts
// stand between.
func withoutText(dump string) string {
	var out strings.Builder
	for line := range strings.Lines(dump) {
		out.WriteString(line[10:58] + "\n")
	}
	return out.String()
}

func randomText(random *rand.Rand, alphabet string, length int) string {
	out := make([]byte, length)
	for i := range out {
		out[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(out)
}

const (
	alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	base64url    = alphanumeric + "-_"
)

// TestRedactEcho takes pieces of secrets of each kind, echoes them in
// each way, and looks for what is left between words that are to stay.
func TestRedactEcho(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	secrets := map[string]string{
		"JWT":             "eyJhbGciOiJSUzI1NiJ9." + randomText(random, base64url, 700) + "." + randomText(random, base64url, 342),
		"Vault token":     "hvs.CAESI" + randomText(random, alphanumeric, 86),
		"opaque token":    randomText(random, base64url, 43),
		"short password":  randomText(random, alphanumeric, 16),
		"number":          randomText(random, "0123456789", 24),
		"UUID":            "6f1d8a52-9d1c-4b0e-8a7e-0c1f2d3e4a5b",
		"of odd letters":  "p%41-w0rd=" + randomText(random, alphanumeric, 24),
		"basic auth pair": base64.StdEncoding.EncodeToString([]byte("billing:" + randomText(random, alphanumeric, 24))),
	}
	for _, kind := range slices.Sorted(maps.Keys(secrets)) {
		whole := secrets[kind]
		for _, name := range slices.Sorted(maps.Keys(echoes)) {
			echo := echoes[name]
			for range 8 {
				from, length := 0, len(whole)
				if length > 16 && random.IntN(2) == 0 {
					length = 16 + random.IntN(len(whole)-16)
					from = random.IntN(len(whole) - length + 1)
				}
				piece := whole[from : from+length]
				shown := echo(piece)
				got := Redact("the token ("+shown+") is not known", Text("another-secret"), Text(whole))
				// The letter beside an echo may be the next one of the secret by chance. A long
				// echo takes all that is read.
				if !strings.HasPrefix(got, "the t") || !strings.HasSuffix(got, "not known") && len(shown) < maxRead-100 {
					t.Errorf("%s, %s: too much is hidden: %q", kind, name, got)
				}
				// At both ends there may be less than a whole letter of a form.
				if visible := count(strings.ReplaceAll(got, redacted, "")) - count("the token is not known"); visible > 8 ||
					!strings.Contains(got, redacted) {
					t.Errorf("%s, %s: of %d characters, shown as %.200q, there stays %.200q", kind, name, length, shown, got)
				}
			}
		}
	}
}

// count is how many letters and digits there are to see.
func count(text string) (n int) {
	for range letters(text, char) {
		n++
	}
	return n
}

// TestQuoteKeepsText has words that look alike.
func TestQuoteKeepsText(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	token := Text("eyJhbGciOiJSUzI1NiJ9." + randomText(random, base64url, 900) + "." + randomText(random, base64url, 342))
	for _, words := range []string{
		"",
		"permission denied",
		"AADSTS700213: No matching federated identity record found for presented assertion subject 'system:serviceaccount:demo:app'. " +
			"Trace ID: 2b4a8a5e-6a3c-4f51-9a4d-0f7c9a1b2c3d Correlation ID: 7d1f0b6e-2c3d-4e5f-8a9b-0c1d2e3f4a5b Timestamp: 2026-11-26 " +
			"12:34:56Z",
		"error validating claims: claim \"iss\" does not match: got https://kubernetes.default.svc.cluster.local, want " +
			"https://oidc.example.com/id/0123456789ABCDEF0123456789ABCDEF",
		"x509: certificate signed by unknown authority (serial number 4096-1234567890-abcdef, SHA-256 " +
			strings.Repeat("0123456789abcdef", 4) + ")",
		strings.Repeat("100 ", 200),
	} {
		if got := Redact(words, token, "hvs.CAESIabcdefgh", "correct horse battery staple"); got != words {
			t.Errorf("%q is shown as %q", words, got)
		}
	}
}

func TestRedactHex(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	raw := make([]byte, 64)
	for i := range raw {
		raw[i] = byte(random.IntN(256))
	}
	token := Text("eyJhbGciOiJFUzI1NiJ9.eyJhIjoiYiJ9." + base64.RawURLEncoding.EncodeToString(raw))
	if got := Redact(fmt.Sprintf("signature %x is wrong", raw), token); got != "signature [redacted] is wrong" {
		t.Error(got)
	}
}

func BenchmarkQuote(b *testing.B) {
	random := rand.New(rand.NewPCG(7, 8))
	token := Text("eyJhbGciOiJSUzI1NiJ9." + randomText(random, base64url, 900) + "." + randomText(random, base64url, 342))
	huge := Text(randomText(random, base64url, maxToken))
	for _, bb := range []struct {
		name, words string
		secret      Text
	}{
		{"short", "permission denied", token},
		{"long", strings.Repeat("error validating token: no known key has signed it. ", 20), token},
		{"echo", "cannot read " + string(token), token},
		{"page of echoes", strings.Repeat(string(token), 1+maxRead/len(token)), token},
		{"page of escapes", strings.Repeat(`%25\\`, maxRead), token},
		{"huge token", "permission denied", huge},
		{"huge repetitive token", strings.Repeat("a", maxRead), Text(strings.Repeat("a", maxToken))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Quote(bb.words, bb.secret)
			}
		})
	}
}
