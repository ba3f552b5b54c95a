package exchange

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// redirector answers as the queries of its URLs say, such as /a?to=307+/b, and keeps
// what it was asked. Whatever host a client asks for, it gets there.
func redirector(t *testing.T) (client *Client, own Request, server *httptest.Server, asked *[]string) {
	t.Helper()
	asked = new([]string)
	client, own, server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*asked = append(*asked, r.Host+" "+r.Method+" "+r.URL.Path+" "+r.Header.Get("X-Kept")+" "+string(body))
		status, location, _ := strings.Cut(r.URL.Query().Get("to"), " ")
		if status == "" {
			_, _ = io.WriteString(w, "here")
			return
		}
		w.Header().Set("Location", strings.ReplaceAll(location, "PORT", server.URL[strings.LastIndex(server.URL, ":")+1:]))
		code, _ := strconv.Atoi(status)
		w.WriteHeader(code)
	})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		testutil.Tunnel(t, w, server.Listener.Addr().String())
	}))
	t.Cleanup(proxy.Close)
	client.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	own.Header = http.Header{"X-Kept": {"kept"}}
	return client, own, server, asked
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	client, own, _, asked := redirector(t)
	const (
		notFollowed = ", which is not followed: is the address right?"
		notProgram  = ", which is not for a program: is the address right?"
	)
	for _, tt := range []struct {
		name, method, to string
		allowed          []string
		want             string // the last host and path, or the error
	}{
		{"by path", "POST", "308 /there", nil, "OWN /there"},
		{"to the same host", "POST", "307 https://127.0.0.1:PORT/there", nil, "OWN /there"},
		{"to another port", "POST", "307 https://127.0.0.1:8200/there", nil, "127.0.0.1:8200 /there"},
		{"from standby to standby", "POST", "307 /a?to=307+/b?to=307%2B/there", nil, "OWN /there"},

		{"to another host", "POST", "307 https://example.com/there", nil, `307: a redirect to "https://example.com/there"` + notFollowed +
			` If so, --redirect-hosts (annotation login-redirect-hosts) allows the host "example.com"`},
		{"to an allowed host", "POST", "307 https://example.com/there", []string{"x", "example.com"}, "example.com /there"},
		{
			"to an allowed host in another case", "POST", "307 https://EXAMPLE.com:443/there",
			[]string{"Example.Com"},
			"EXAMPLE.com:443 /there",
		},
		{"to an allowed port", "POST", "307 https://example.com:8200/there", []string{"example.com:8200"}, "example.com:8200 /there"},
		{"to the default port, with that", "POST", "307 https://example.com/there", []string{"example.com:443"}, "example.com /there"},
		{
			"to a port that is not allowed", "POST", "307 https://example.com:8200/there",
			[]string{"example.com", "example.com:8201"},
			notFollowed + ` If so, --redirect-hosts (annotation login-redirect-hosts) allows the host "example.com:8200"`,
		},
		{"to the default port, with another", "POST", "307 https://example.com/there", []string{"example.com:8200"}, notFollowed},
		{
			"to a part of an allowed host", "POST", "307 https://example.com/there",
			[]string{"www.example.com", "ample.com", "com"},
			notFollowed,
		},
		{
			"back from an allowed host", "POST", "307 https://example.com/a?to=307+https://127.0.0.1:PORT/there",
			[]string{"example.com"},
			"OWN /there",
		},
		{
			"from an allowed host to another", "POST", "307 https://example.com/a?to=307+https://example.net/",
			[]string{"example.com"},
			`allows the host "example.net"`,
		},
		{
			"to a host before a user", "POST", "307 https://127.0.0.1:PORT@example.com/",
			[]string{"example.com"},
			`a redirect to "https://example.com/" with a user, which is not safe`,
		},
		{"with a user", "POST", "307 https://user:password@127.0.0.1:PORT/", nil, "with a user, which is not safe"},

		{"to a page", "POST", "302 /login?next=x", nil, `302: a redirect to "https://OWN/login"` + notProgram},
		{"to another page", "POST", "303 /login", nil, notProgram},
		{"moved", "POST", "301 /there", nil, notProgram},
		{"a choice", "GET", "300 /there", nil, notProgram},
		{"a GET, moved", "GET", "301 /there", nil, "OWN /there"},
		{"a GET, found", "GET", "302 /there", nil, "OWN /there"},
		{"a GET, see another", "GET", "303 https://example.com/there", []string{"example.com"}, "example.com /there"},
		{"a GET, for a moment", "GET", "307 /there", nil, "OWN /there"},
		{"a GET to another host", "GET", "302 https://example.com/there", nil, notFollowed},
		{"a GET out of TLS", "GET", "302 http://127.0.0.1:PORT/", nil, "which is not safe"},

		{"out of TLS", "POST", "307 http://127.0.0.1:PORT/", nil, `307: a redirect from https to "http://OWN/", which is not safe`},
		{
			"out of TLS to an allowed host", "POST", "307 http://example.com/",
			[]string{"example.com", "example.com:80"},
			"which is not safe",
		},
		{"to something else", "POST", "307 ftp://127.0.0.1/", nil, "which is not safe"},
		{"to nowhere", "POST", "307 ", nil, "307: a redirect without a valid Location"},
		{"to rubbish", "POST", "307 https://[::1", nil, "307: a redirect without a valid Location"},
		{"without a host", "POST", "307 https:/there", nil, "307: a redirect without a valid Location"},
		{"with a token in the path", "POST", "302 /" + jwt, nil, `/[redacted]"`},
		{"with a token as a host", "POST", "307 https://secret-of-ours/", nil, `allows the host "[redacted]"`},
	} {
		*asked = nil
		host := own.URL.Host
		client, r := *client, own
		client.RedirectHosts, r.Method = tt.allowed, tt.method
		r.Secrets = append(r.Secrets, "secret-of-ours")
		r.URL = &url.URL{Scheme: "https", Host: host, Path: "/here", RawQuery: url.Values{"to": {tt.to}}.Encode()}
		response, err := client.Do(t.Context(), r)
		want := strings.ReplaceAll(tt.want, "OWN", host)
		if !strings.HasSuffix(want, " /there") {
			wantFailure(t, err, failure.Protocol, "could not test: ", want)
			continue
		}
		if err != nil || string(response.Body) != "here" {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		host, path, _ := strings.Cut(want, " ")
		want = host + " " + tt.method + " " + path + " kept body " + jwt
		if diff := cmp.Diff(want, (*asked)[len(*asked)-1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestRedirectLoop(t *testing.T) {
	t.Parallel()
	client, r, _, asked := redirector(t)
	for _, redirects := range []int{maxRedirects, maxRedirects + 1, 100} {
		*asked = nil
		to := ""
		for i := range redirects {
			to = fmt.Sprintf("307 /%d?%s", i, url.Values{"to": {to}}.Encode())
		}
		r.URL.RawQuery = url.Values{"to": {to}}.Encode()
		_, err := client.Do(t.Context(), r)
		if redirects <= maxRedirects {
			if err != nil {
				t.Error(err)
			}
			continue
		}
		wantFailure(t, err, failure.Protocol, "could not test: more than 5 redirects in a row")
		if len(*asked) != maxRedirects+1 {
			t.Errorf("asked %d times", len(*asked))
		}
	}
}

// TestRedirectFailure: a failure behind a redirect says where it was.
func TestRedirectFailure(t *testing.T) {
	t.Parallel()
	client, r, _, _ := redirector(t)
	client.RedirectHosts = []string{"vault.example.net:8200"} // the certificate has no such name
	r.URL.RawQuery = url.Values{"to": {"307 https://vault.example.net:8200/"}}.Encode()
	_, err := client.Do(t.Context(), r)
	wantFailure(t, err, failure.TLS, `not vault.example.net (redirected to "vault.example.net:8200") (through the proxy `)
}

// Wherever a server sends a request, it goes to a host that it may go to, and never
// out of TLS.
func FuzzRedirection(f *testing.F) {
	for _, location := range []string{
		"/x", "//example.net/", "https://a.example:8200", "https://b.example", "https://a.example@c.example/", "http://a.example/",
		"https://a.example.c.example",
		"https:a.example", "https://A.EXAMPLE./", "https://[::1]:8200/", "https://a.example%00.c.example/", `https://a.example\.c.example/`,
	} {
		f.Add(location, 307, "POST")
	}
	f.Fuzz(func(t *testing.T, location string, status int, method string) {
		own := &url.URL{Scheme: "https", Host: "a.example"}
		c := Client{RedirectHosts: []string{"b.example", "[::1]:8200"}}
		response := Response{Status: status, Header: http.Header{"Location": {location}}}
		target, err := c.redirection(own, Request{Method: method, URL: own, Secrets: []secret.Text{jwt}}, response)
		if err != nil {
			if text := err.Error(); len(text) > 9000 || strings.Contains(text, jwt) || strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("%q", text)
			}
			return
		}
		if target == nil {
			return
		}
		host := strings.ToLower(target.Hostname())
		ok := host == "a.example" || authority(target) == "b.example:443" || authority(target) == "[::1]:8200"
		if target.Scheme != "https" || target.User != nil || !ok {
			t.Errorf("%q leads to %s", location, target)
		}
	})
}
