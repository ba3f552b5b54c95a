package exchange

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

func TestStatusClasses(t *testing.T) {
	for status, want := range map[int]failure.Class{
		400: failure.Denied, 401: failure.Denied, 403: failure.Denied, 404: failure.Denied, 405: failure.Denied,
		408: failure.Server, 412: failure.Server, 425: failure.Server, 429: failure.RateLimited,
		500: failure.Server, 502: failure.Server, 503: failure.Server, 504: failure.Server,
		204: failure.Protocol, 302: failure.Protocol,
	} {
		if got := ClassOf(status); got != want {
			t.Errorf("%d: %s instead of %s", status, got, want)
		}
	}
}

func TestUnexpectedAnswerShown(t *testing.T) {
	html := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	for _, tt := range []struct {
		name     string
		response Response
		want     string
	}{
		{"nothing", Response{Status: 502}, `502: "Bad Gateway"`},
		{"text", Response{Status: 503, Body: []byte(" no\n  upstream ")}, `503: "no upstream"`},
		{
			"a page",
			Response{Status: 502, Header: html, Body: []byte("<html><head><title>502 Bad Gateway</title>…")},
			`502: "HTML page: 502 Bad Gateway"`,
		},
		{"a page without a title", Response{Status: 502, Body: []byte("<h1>Sorry</h1><p>Not now</p>")}, `502: "HTML page: Sorry Not now"`},
		{"a page with an echo", Response{Status: 400, Header: html, Body: []byte("<p>" + jwt + "</p>")}, `400: "HTML page: [redacted]"`},
		{"a long text", Response{Status: 500, Body: []byte(strings.Repeat("x", 2000))}, `500: "` + strings.Repeat("x", 1000) + `…"`},
		{"a status of its own", Response{Status: 599}, `599: ""`},
	} {
		r := Request{Doing: "test", Secrets: []secret.Text{jwt}}
		err := r.Refused(tt.response, failure.Server)
		if diff := cmp.Diff("could not test: "+tt.want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// What answers with success and is not understood may hold a token, of which
// nobody knows the shape.
func TestSuccessNotShown(t *testing.T) {
	for _, tt := range []struct{ name, kind, body, want string }{
		{"another type of a field", "application/json", `{"access_token":"opaque","a":"x"}`, `"application/json, 33 bytes"`},
		{
			"a form", "application/x-www-form-urlencoded; charset=utf-8", "access_token=opaque",
			`"application/x-www-form-urlencoded, 19 bytes"`,
		},
		{"half an answer", "", `{"access_token":"opaque"`, `"no media type, 24 bytes"`},
		{"what calls itself a page", "text/html", `{"access_token":"opaque","x":"<title>opaque</title>"`, `"text/html, 52 bytes"`},
		{"a page without a title", "text/html", `<p>opaque</p>`, `"text/html, 13 bytes"`},
		{"a page", "text/html", "<html><title>Welcome</title>opaque", `"HTML page: Welcome"`},
		{"nothing", "", "", `"OK"`},
	} {
		response := Response{Status: 200, Header: http.Header{"Content-Type": {tt.kind}}, Body: []byte(tt.body)}
		var into struct{ A int }
		err := Request{Doing: "test"}.Decode(response, &into)
		if err == nil || !strings.HasPrefix(err.Error(), "could not test: 200: the answer is not the expected JSON: ") ||
			!strings.HasSuffix(err.Error(), ": "+tt.want) || strings.Contains(err.Error(), "opaque") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestErrorsShortened(t *testing.T) {
	response := Response{Status: 400, Header: http.Header{"Retry-After": {"3"}}}
	err := Request{Doing: "test"}.Refused(response, failure.Denied, "a", "b", "c", "d")
	e, ok := errors.AsType[*failure.Error](err)
	if !ok || e.Error() != `could not test: 400: "a"; "b"; "c"` || e.RetryAfter != 3*time.Second || e.Class != failure.Denied {
		t.Errorf("%+v", err)
	}
}

// A moment is named by the clock of who names it.
func TestServerClock(t *testing.T) {
	answered := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		header http.Header
		want   failure.Error
	}{
		{
			"a moment",
			http.Header{"Date": {stamp(answered)}, "Retry-After": {stamp(answered.Add(time.Minute))}},
			failure.Error{Answered: answered, RetryAfter: time.Minute},
		},
		{
			"seconds",
			http.Header{"Date": {stamp(answered)}, "Retry-After": {"7"}},
			failure.Error{Answered: answered, RetryAfter: 7 * time.Second},
		},
		{"no date", http.Header{"Retry-After": {stamp(answered)}}, failure.Error{}},
		{"no date that is one", http.Header{"Date": {"today"}}, failure.Error{}},
	} {
		e, ok := errors.AsType[*failure.Error](Request{Doing: "test"}.Refused(Response{Status: 429, Header: tt.header},
			failure.RateLimited))
		if !ok || !e.Answered.Equal(tt.want.Answered) || e.RetryAfter != tt.want.RetryAfter {
			t.Errorf("%s: %+v", tt.name, e)
		}
	}
}

func stamp(t time.Time) string { return t.Format(http.TimeFormat) }

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Second, "120": 2 * time.Minute, "3600": time.Hour, "3601": time.Hour, "18446744073709551615": time.Hour,
		"18446744073709551616": 0, "-1": 0, "1.5": 0, "soon": 0, " 1": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:04:04 GMT": 0, "Fri, 02 Jan 2027 03:04:05 GMT": time.Hour,
	} {
		if got := RetryAfter(value, now); got != want {
			t.Errorf("%q: %s instead of %s", value, got, want)
		}
	}
}

func TestLeaseBounded(t *testing.T) {
	for seconds, want := range map[float64]time.Duration{0: 0, 0.5: 500 * time.Millisecond, 2764800: 32 * 24 * time.Hour, 1e300: maxLease} {
		if got := Seconds(seconds); got != want {
			t.Errorf("%v: %s instead of %s", seconds, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "120", "Fri, 02 Jan 2026 03:05:05 GMT", "-5", "99999999999999999999"} {
		f.Add(seed, int64(1767323045))
	}
	f.Fuzz(func(t *testing.T, value string, now int64) {
		if got := RetryAfter(value, time.Unix(now, 0)); got < 0 || got > maxRetryAfter {
			t.Errorf("%s", got)
		}
	})
}

func FuzzExcerpt(f *testing.F) {
	f.Add("text/html", "<html><title>x</title>"+jwt)
	f.Add("application/json", `{"errors":["x`)
	f.Add("", "<<>><a "+jwt+">")
	f.Fuzz(func(t *testing.T, kind, body string) {
		r := Request{Doing: "test", Secrets: []secret.Text{jwt}}
		response := Response{Status: 500, Header: http.Header{"Content-Type": {kind}}, Body: []byte(body)}
		err := r.Refused(response, failure.Server)
		var into struct{ A int }
		for _, err := range []error{err, r.Decode(response, &into)} {
			if err == nil {
				continue
			}
			if text := err.Error(); len(text) > 6000 || strings.Contains(text, jwt) || strings.Contains(text, jwt[21:]) ||
				strings.Contains(text, "\n") {
				t.Errorf("%q", text)
			}
		}
	})
}
