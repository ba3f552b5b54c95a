package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"

// serve runs a TLS server, and makes a client that trusts it and a request to it.
func serve(t *testing.T, handler http.HandlerFunc, configure ...func(*httptest.Server)) (*Client, Request, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	for _, change := range configure {
		change(server)
	}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // its clients are meant to fail
	server.StartTLS()
	t.Cleanup(server.Close)
	client := &Client{TLS: TLS{CA: NewCA("", bundle(server))}, Timeout: 10 * time.Second, UserAgent: "test"}
	return client, request(t, server.URL), server
}

func bundle(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func request(t *testing.T, address string) Request {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return Request{
		Doing: "test", Method: http.MethodPost, URL: u, Header: http.Header{"Content-Type": {"text/x"}}, Body: []byte("body " + jwt),
		Secrets: []secret.Text{jwt},
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	client, r, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := []string{r.Method, r.Proto, string(body), r.Header.Get("User-Agent"), r.Header.Get("Accept"), r.Header.Get("Content-Type")}
		if diff := cmp.Diff([]string{"POST", "HTTP/1.1", "body " + jwt, "test", "application/json", "text/x"}, got); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		if !r.Close {
			t.Error("the connection would be kept")
		}
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "answer")
	}, func(server *httptest.Server) { server.EnableHTTP2 = true })
	response, err := client.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if response.Status != http.StatusTeapot || string(response.Body) != "answer" || response.Header.Get("X-Answer") != "yes" {
		t.Errorf("answer %+v", response)
	}
}

// wantFailure checks the class and the text of a failure, and that it shows no
// token.
func wantFailure(t *testing.T, err error, class failure.Class, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*failure.Error](err)
	if !ok {
		t.Errorf("not a failure: %v", err)
		return
	}
	if e.Class != class {
		t.Errorf("class %s instead of %s: %v", e.Class, class, err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in %q", part, err)
		}
	}
	if strings.Contains(err.Error(), "eyJ") {
		t.Errorf("a token is shown: %v", err)
	}
}

func TestConnectionErrors(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	client, good, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-hang
		case "/half":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		case "/large":
			_, _ = w.Write(make([]byte, maxBody+1))
		case "/header":
			w.Header().Set("X-Large", strings.Repeat("x", 2*maxHeader))
		}
	})
	t.Cleanup(func() { close(hang) }) // before the server waits for its requests
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // its clients are meant to fail
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()

	path := func(p string) func(*Client, *Request) {
		return func(_ *Client, r *Request) { r.URL = r.URL.JoinPath(p) }
	}
	to := func(address string) func(*Client, *Request) {
		return func(_ *Client, r *Request) { r.URL, _ = url.Parse(address) }
	}
	for _, tt := range []struct {
		name   string
		change func(*Client, *Request)
		class  failure.Class
		want   string
	}{
		{"nobody listens", to(closed.URL), failure.Network, "connection refused"},
		{"plain HTTP", to(strings.Replace(plain.URL, "http:", "https:", 1)), failure.TLS, "is it https at this port?"},
		{"old TLS", to(old.URL), failure.TLS, "protocol version"},
		{
			"another CA", func(c *Client, _ *Request) { c.TLS.CA = NewCA("", otherCA(t)) }, failure.TLS,
			"is its CA given by ca-file or ca-bundle?",
		},
		{"system CAs", func(c *Client, _ *Request) { c.TLS.CA = nil }, failure.TLS, "certificate signed by unknown authority"},
		{"another name", func(c *Client, _ *Request) { c.TLS.ServerName = "vault.example.net" }, failure.TLS, "not vault.example.net"},
		{
			"no CA file", func(c *Client, _ *Request) { c.TLS.CA = NewCA("/no/such/file", "") }, failure.TLS,
			"open /no/such/file: no such file",
		},
		{
			"no client certificate", func(c *Client, _ *Request) { c.TLS.CertFile = "/no/such/cert" }, failure.TLS,
			"could not read the client certificate",
		},
		{
			"no end of waiting", func(c *Client, r *Request) { path("/hang")(c, r); c.Timeout = 50 * time.Millisecond }, failure.Timeout,
			"no answer within 50ms",
		},
		{"half an answer", path("/half"), failure.Network, "could not read the answer: unexpected EOF"},
		{"a large answer", path("/large"), failure.Protocol, "larger than 1 MiB"},
		{"a large header", path("/header"), failure.Network, "header"},
		{
			"a proxy that is not there", func(c *Client, r *Request) {
				c.Proxy = func(*http.Request) (*url.URL, error) {
					return url.Parse(strings.Replace(closed.URL, "//", "//user:password@", 1))
				}
				r.URL, _ = url.Parse("https://vault.example.net")
			}, failure.Network, "(through the proxy http://user:xxxxx@127.0.0.1:",
		},
		{
			"a proxy that is wrong", func(c *Client, _ *Request) {
				c.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("invalid proxy address") }
			}, failure.Network, "invalid proxy address",
		},
	} {
		c, r := *client, good
		tt.change(&c, &r)
		_, err := c.Do(t.Context(), r)
		t.Logf("%s: %v", tt.name, err)
		wantFailure(t, err, tt.class, "could not test: ", tt.want)
	}
}

func otherCA(t *testing.T) string {
	t.Helper()
	cert, _ := testutil.IssueCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}, nil, nil)
	return string(cert)
}

// TestContextEnded: its end is no failure.
func TestContextEnded(t *testing.T) {
	t.Parallel()
	client, r, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Do(ctx, r)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, ok := errors.AsType[*failure.Error](err); ok {
		t.Errorf("a failure: %v", err)
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	client, r, server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "through") })
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "example.com:443" {
			t.Errorf("%s %s", r.Method, r.Host)
		}
		testutil.Tunnel(t, w, server.Listener.Addr().String())
	}))
	t.Cleanup(proxy.Close)
	client.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	r.URL, _ = url.Parse("https://example.com/x") // httptest's certificate has this name
	response, err := client.Do(t.Context(), r)
	if err != nil || string(response.Body) != "through" {
		t.Errorf("%q, %v", response.Body, err)
	}
}

// TestCARotation: a new CA counts at once, a broken one does not.
func TestCARotation(t *testing.T) {
	t.Parallel()
	client, r, server := serve(t, func(http.ResponseWriter, *http.Request) {})
	file := filepath.Join(t.TempDir(), "ca.crt")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client.TLS.CA = NewCA(file, "")
	write("no certificate")
	_, err := client.Do(t.Context(), r)
	wantFailure(t, err, failure.TLS, file+" has no certificate in PEM")
	write(otherCA(t))
	_, err = client.Do(t.Context(), r)
	wantFailure(t, err, failure.TLS, "unknown authority")
	write(otherCA(t) + bundle(server))
	for _, then := range []string{"", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := client.Do(t.Context(), r); err != nil {
			t.Error(err)
		}
		write(then)
	}
	if _, err := client.TLS.CA.PEM(); err == nil {
		t.Error("the broken file is not reported")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(t.Context(), r); err != nil {
		t.Errorf("the last good one is forgotten: %v", err)
	}
}

func TestClientCertificateRotation(t *testing.T) {
	t.Parallel()
	var names []string
	client, r, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		names = append(names, r.TLS.PeerCertificates[0].Subject.CommonName)
	}, func(server *httptest.Server) { server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert} })
	dir := t.TempDir()
	client.TLS.CertFile, client.TLS.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for _, name := range []string{"first", "second"} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		template.Subject.CommonName = name
		cert, key := testutil.IssueCertificate(t, template, nil, nil)
		for path, data := range map[string][]byte{client.TLS.CertFile: cert, client.TLS.KeyFile: key} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.Do(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"first", "second"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	client.TLS.CertFile, client.TLS.KeyFile = "", ""
	_, err := client.Do(t.Context(), r)
	wantFailure(t, err, failure.TLS, "certificate required")
}

func TestNoLeaks(t *testing.T) {
	var open int
	states := make(chan http.ConnState, 1000)
	client, r, _ := serve(t, func(http.ResponseWriter, *http.Request) {}, func(server *httptest.Server) {
		server.Config.ConnState = func(_ net.Conn, s http.ConnState) { states <- s }
	})
	if _, err := client.Do(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 50 {
		if _, err := client.Do(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	testutil.Eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	testutil.Eventually(t, "all connections are closed", func() bool {
		for {
			select {
			case s := <-states:
				if s == http.StateNew {
					open++
				}
				if s == http.StateClosed {
					open--
				}
				continue
			default:
				return open == 0
			}
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer server.Close()
	client := &Client{TLS: TLS{CA: NewCA("", bundle(server))}, Timeout: 10 * time.Second, UserAgent: "test"}
	u, _ := url.Parse(server.URL)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Do(b.Context(), Request{
			Method: http.MethodPost, URL: u, Header: http.Header{},
			Body: []byte(jwt),
		}); err != nil {
			b.Fatal(err)
		}
	}
}
