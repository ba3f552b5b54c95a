package exchange

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func deflated(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// brotli is what "brotli -c" makes of {"token":"x"}.
const brotli = "\x0f\x06\x80{\"token\":\"x\"}\x03"

func TestDecode(t *testing.T) {
	t.Parallel()
	const text = `{"token":"x"}`
	var codings []string
	var body string
	var status int
	client, r, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Values("Accept-Encoding"); len(got) != 1 || got[0] != "identity" {
			t.Errorf("Accept-Encoding: %q", got)
		}
		w.Header()["Content-Encoding"] = codings
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	for _, tt := range []struct {
		name    string
		codings []string
		body    string
		want    string // an error, if it is not the text
	}{
		{"plain", nil, text, text},
		{"a byte order mark", nil, byteOrderMark + text, text},
		{"nothing", nil, "", ""},
		{"identity", []string{"Identity"}, text, text},
		{"identity of something", []string{"identity"}, "\x00", "\x00"},
		{"gzip", []string{"gzip"}, gzipped(t, text), text},
		{"x-gzip", []string{"X-GZIP"}, gzipped(t, text), text},
		{"gzip without a header", nil, gzipped(t, text), text},
		{"gzip with another header", []string{"identity", "gzip"}, gzipped(t, byteOrderMark+text), text},
		{"gzip in two parts", []string{"gzip"}, gzipped(t, text[:5]) + gzipped(t, text[5:]), text},
		{"a header alone", []string{"gzip"}, text, text},
		{"a header and nothing", []string{"br"}, "", ""},
		{"a header that is none", []string{"UTF-8"}, text, text},

		{"half of gzip", []string{"gzip"}, gzipped(t, text)[:20], "could not read the answer: it is not decompressed: unexpected EOF"},
		{"broken gzip", nil, gzipMagic + "rubbish rubbish", "could not read the answer: it is not decompressed: "},
		{
			"gzip with something behind", nil, gzipped(t, text) + "rubbish rubbish",
			"could not read the answer: it is not decompressed: gzip: invalid header",
		},
		{
			"deflate",
			[]string{"deflate"},
			deflated(t, text),
			`could not read the answer: it is not decompressed, as its Content-Encoding is "deflate"`,
		},
		{"brotli", []string{"br"}, brotli, `Content-Encoding is "br"`},
		{"zstd", []string{"zstd"}, "\x28\xb5\x2f\xfd\x04\x00", `Content-Encoding is "zstd"`},
		{"several", []string{"br", "zstd"}, brotli, `Content-Encoding is "br, zstd"`},
		{
			"a bomb",
			[]string{"gzip"},
			gzipped(t, strings.Repeat("x", maxBody+1)),
			"could not read the answer: it is not decompressed: it is larger than 1 MiB",
		},
		{"a large answer", nil, strings.Repeat("x", maxBody+1), "could not read the answer: it is larger than 1 MiB"},
	} {
		codings, body, status = tt.codings, tt.body, http.StatusOK
		response, err := client.Do(t.Context(), r)
		if err == nil && string(response.Body) == tt.want {
			continue
		}
		wantFailure(t, err, failure.Protocol, "could not test: ", tt.want)
		if err == nil {
			t.Errorf("%s: %q", tt.name, response.Body)
		}
		// A refusal is one, whatever it says.
		status = http.StatusServiceUnavailable
		if response, err := client.Do(t.Context(), r); err != nil || response.Status != status {
			t.Errorf("%s, refused: %v", tt.name, err)
		}
	}
}

func TestGzipBomb(t *testing.T) {
	bomb := []byte(gzipped(t, strings.Repeat("x", 64<<20)))
	if len(bomb) > maxBody {
		t.Fatalf("%d bytes", len(bomb))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := decode(bomb, nil)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; err == nil || got > 16<<20 {
		t.Errorf("%d bytes, %v", got, err)
	}
}

// What is no text would be rubbish in a log, and may be anything.
func TestBinaryNotShown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, kind, body, want string }{
		{"a picture", "image/png", "\x89PNG\r\n\x1a\nhidden", `500: "image/png, 14 bytes"`},
		{"control characters", "text/plain", "hidden\x00", `500: "text/plain, 7 bytes"`},
		{"colours", "", "\x1b[31mhidden", `500: "no media type, 11 bytes"`},
		{"another character set", "text/html; charset=latin1", "<p>hidd\xe9n</p>", `500: "text/html, 13 bytes"`},
		{"a title of another character set", "text/html", "<title>hidd\xe9n</title>", `500: "text/html, 21 bytes"`},
		{"the title of a page of another character set", "text/html", "<title>Sorry</title>hidd\xe9n", `500: "HTML page: Sorry"`},
		{"gzip in gzip", "application/json", gzipMagic + "hidden", `500: "application/json, 9 bytes"`},
		{"a coding", "text/x", brotli, `500: "text/x (br), 17 bytes"`},
		{"text", "", "Grüße\r\n\tan alle\n", `500: "Grüße an alle"`},
	} {
		header := http.Header{"Content-Type": {tt.kind}}
		if tt.kind == "text/x" {
			header.Set("Content-Encoding", "br")
		}
		response := Response{Status: 500, Header: header, Body: []byte(tt.body)}
		if err := (Request{Doing: "test"}).Refused(response, failure.Server); err.Error() != "could not test: "+tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A body of any kind is decoded to something of bounded size, or refused in words.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(gzipped(f, "text")), "gzip")
	f.Add([]byte(brotli), "br")
	f.Add([]byte(byteOrderMark+"{}"), "")
	f.Fuzz(func(t *testing.T, body []byte, coding string) {
		plain, err := decode(body, []string{coding})
		if len(plain) > max(maxBody+1, len(body)) || err == nil && isText(body) && !bytes.HasSuffix(body, plain) {
			t.Errorf("%d bytes of %q", len(plain), body)
		}
		if err != nil && (len(err.Error()) > 4200 || strings.ContainsAny(err.Error(), "\n\x1b\x00")) {
			t.Errorf("%q", err)
		}
	})
}
