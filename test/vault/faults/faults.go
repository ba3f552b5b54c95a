// Package faults is a reverse proxy in front of Vault that shows its clients
// what a network, a load balancer or an overloaded server would show them.
//
//	proxy := faults.StartForTest(t, server)
//	proxy.Set(faults.First(2, faults.Unavailable()))
//	// ... let the client log in at proxy.Address() ...
//	if n := proxy.Requests("/v1/auth/kubernetes/login"); n != 3 { ... }
//
// A server that is not there at all needs no proxy: vault.Server has Kill, and
// Pause for one that accepts connections and does nothing more.
package faults

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/test/vault"
)

// Upstream is the server in front of which a proxy stands.
type Upstream struct {
	// URL of the server.
	URL string
	// CA is the certificate, in PEM, by which the server is verified.
	CA []byte
	// Certificate is that of the proxy.
	Certificate tls.Certificate
}

// Proxy is a running proxy. Its methods can be called concurrently.
type Proxy struct {
	address  string
	port     int
	server   *http.Server
	upstream *httputil.ReverseProxy

	mu       sync.Mutex
	fault    Fault
	faults   map[string]Fault // by path
	requests map[string]int   // by path
}

// Start starts a proxy on a free port of the loopback that passes all requests.
// It runs until Stop is called or this process ends.
func Start(upstream Upstream) (*Proxy, error) {
	target, err := url.Parse(upstream.URL)
	if err != nil {
		return nil, fmt.Errorf("could not parse the URL of the server: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(upstream.CA) {
		return nil, errors.New("could not use the CA of the server: no certificate in it")
	}
	p := &Proxy{
		fault:    Pass(),
		faults:   map[string]Fault{},
		requests: map[string]int{},
		upstream: &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
			ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // the client gets a 502
		},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("could not start a proxy: %w", err)
	}
	p.port = listener.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // a TCP listener has no other
	p.address = "https://" + listener.Addr().String()
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // clients that hang up
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{upstream.Certificate}, MinVersion: tls.VersionTLS12},
		// With HTTP/2 to cut a connection would only reset a stream of it.
		Protocols: new(http.Protocols),
	}
	p.server.Protocols.SetHTTP1(true)
	go func() { _ = p.server.ServeTLS(listener, "", "") }() // it ends with Stop
	return p, nil
}

// StartForTest starts a proxy in front of Vault for a single test. Clients trust
// it as they trust Vault.
func StartForTest(t testing.TB, server *vault.Server) *Proxy {
	t.Helper()
	p, err := Start(Upstream{URL: server.Address(), CA: server.CA(), Certificate: server.Certificate()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Address is the URL of the proxy, such as https://127.0.0.1:40123.
func (p *Proxy) Address() string { return p.address }

// Port is that of the address.
func (p *Proxy) Port() int { return p.port }

// Stop stops the proxy and ends all connections.
func (p *Proxy) Stop() { _ = p.server.Close() } // it fails only if the listener is closed already

// Set says what happens to requests from now on, and forgets what SetPath said.
func (p *Proxy) Set(fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
	p.faults = map[string]Fault{}
}

// SetPath says what happens to the requests of a path, such as
// /v1/auth/token/renew-self, instead of what happens to all others.
func (p *Proxy) SetPath(path string, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[path] = fault
}

// Requests tells how often a path was requested, whatever became of it.
func (p *Proxy) Requests(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path]
}

// AllRequests is Requests for all paths.
func (p *Proxy) AllRequests() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.requests)
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests[r.URL.Path]++
	fault, found := p.faults[r.URL.Path]
	if !found {
		fault = p.fault
	}
	p.mu.Unlock()
	// Only after the end of the body does the server notice that a client is gone.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault(w, r, p.upstream)
}

// Fault answers a request, or passes it on to the server.
type Fault func(w http.ResponseWriter, r *http.Request, server http.Handler)

// Pass is no fault.
func Pass() Fault {
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) { server.ServeHTTP(w, r) }
}

// Answer answers in place of the server.
func Answer(status int, header http.Header, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client may have gone
	}
}

// Error answers with an error in the form of Vault.
func Error(status int, message string) Fault {
	header := http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}}
	return Answer(status, header, fmt.Sprintf("{\"errors\":[%q]}\n", message))
}

// Unavailable answers as a sealed Vault does.
func Unavailable() Fault { return Error(http.StatusServiceUnavailable, "Vault is sealed") }

// TooManyRequests answers as Vault does beyond a rate limit quota.
func TooManyRequests(retryAfter time.Duration) Fault {
	header := http.Header{
		"Content-Type": {"application/json"},
		"Retry-After":  {strconv.Itoa(int(retryAfter.Seconds()))},
	}
	return Answer(http.StatusTooManyRequests, header, `{"errors":["request path \"auth\": rate limit quota exceeded"]}`+"\n")
}

// InternalError answers as Vault does when its storage fails.
func InternalError() Fault { return Error(http.StatusInternalServerError, "internal error") }

// BadGateway answers as a load balancer does that cannot reach Vault.
func BadGateway() Fault {
	const body = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n" +
		"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
	return Answer(http.StatusBadGateway, http.Header{"Content-Type": {"text/html"}}, body)
}

// Delay passes requests on after a while.
func Delay(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		select {
		case <-r.Context().Done():
		case <-time.After(d):
			server.ServeHTTP(w, r)
		}
	}
}

// Hang never answers.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // or else there would be an answer
	}
}

// Drop closes the connection without an answer. The server does not hear of the
// request.
func Drop() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// Cut passes the request on, and closes the connection in the middle of the
// answer's body. For the server all is well: a login that was cut has made a
// token.
func Cut() Fault {
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		cut := &halfWriter{ResponseWriter: w}
		server.ServeHTTP(cut, r)
		cut.finish()
	}
}

// First lets one fault happen to the first n requests and passes all others.
func First(n int, fault Fault) Fault {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		mu.Lock()
		n--
		now := n >= 0
		mu.Unlock()
		if now {
			fault(w, r, server)
			return
		}
		server.ServeHTTP(w, r)
	}
}

// halfWriter keeps the body back, in order to know what half of it is.
type halfWriter struct {
	http.ResponseWriter

	body []byte
}

// Write keeps.
func (w *halfWriter) Write(data []byte) (int, error) {
	w.body = append(w.body, data...)
	return len(data), nil
}

// finish sends the first half of the body and closes the connection.
func (w *halfWriter) finish() {
	_, _ = w.ResponseWriter.Write(w.body[:len(w.body)/2]) // the client may have gone
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
