package providers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// An SDK is tried as an app has it: nobody tells it by code to ask another server, or to
// trust another certificate. The world around it is one that the test has made: every
// request goes to a proxy, which knows the hosts that the test plays and no other, and
// the certificates are of an authority that the program trusts instead of the system's.

// world is that proxy, and the server behind it.
type world struct {
	proxy *httptest.Server
	// secure is where all https goes.
	secure *httptest.Server
	// public is the authority that everybody trusts, private one that has to be named.
	public, private authority

	mu    sync.Mutex
	hosts map[string]host
	// strangers are the hosts that were asked for and that nobody plays.
	strangers []string
}

type host struct {
	handler http.Handler
	signer  *authority
}

// internet is the world of all tests of this package.
var internet = &world{hosts: map[string]host{}}

func TestMain(m *testing.M) {
	internet.start()
	m.Run()
	internet.proxy.Close()
	internet.secure.Close()
}

// start comes before all tests: net/http reads the variables of the proxy once, and
// crypto/x509 the authorities.
func (w *world) start() {
	w.public, w.private = newAuthority("public"), newAuthority("private")
	roots := x509.NewCertPool()
	roots.AddCert(w.public.certificate)
	x509.SetFallbackRoots(roots) // for the go:debug line of providers_test.go, instead of the system's

	w.secure = httptest.NewUnstartedServer(http.HandlerFunc(w.answer))
	w.secure.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: w.certificate}
	w.secure.StartTLS()
	w.proxy = httptest.NewServer(http.HandlerFunc(w.forward))
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY"} {
		must(os.Setenv(name, w.proxy.URL))
	}
	for _, name := range []string{"NO_PROXY", "no_proxy", "https_proxy", "http_proxy"} {
		must(os.Unsetenv(name))
	}
}

// serve plays a host until the test ends, as name or name:port.
func (w *world) serve(t *testing.T, name string, handler http.HandlerFunc) {
	t.Helper()
	w.add(t, name, host{handler, &w.public})
}

// servePrivately plays a host with a certificate of the authority that has to be named.
func (w *world) servePrivately(t *testing.T, name string, handler http.HandlerFunc) {
	t.Helper()
	w.add(t, name, host{handler, &w.private})
}

func (w *world) add(t *testing.T, name string, h host) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[name] = h
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.hosts, name)
	})
}

// watch fails a test that asks hosts which it does not play.
func (w *world) watch(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.strangers) > 0 {
			t.Errorf("other hosts are asked: %q", w.strangers)
			w.strangers = nil
		}
	})
}

// find is a host by what a client calls it; a port that goes without saying is left out.
func (w *world) find(name, usualPort string) (host, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if plain, port, err := net.SplitHostPort(name); err == nil && port == usualPort {
		name = plain
	}
	h, found := w.hosts[name]
	if !found && !slices.Contains(w.strangers, name) {
		w.strangers = append(w.strangers, name)
	}
	return h, found
}

// forward is the proxy: CONNECT leads to the one server for https, and other requests are
// answered here.
func (w *world) forward(response http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		w.answerBy(response, r, "80")
		return
	}
	if _, found := w.find(r.Host, "443"); !found {
		http.Error(response, "there is no such host", http.StatusForbidden)
		return
	}
	var d net.Dialer
	server, err := d.DialContext(r.Context(), "tcp", w.secure.Listener.Addr().String())
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	response.WriteHeader(http.StatusOK)
	client, buffered, err := http.NewResponseController(response).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, buffered)
	}()
	_, _ = io.Copy(client, server)
}

func (w *world) answer(response http.ResponseWriter, r *http.Request) {
	w.answerBy(response, r, "443")
}

func (w *world) answerBy(response http.ResponseWriter, r *http.Request, usualPort string) {
	h, found := w.find(r.Host, usualPort)
	if !found {
		http.Error(response, "there is no such host", http.StatusForbidden)
		return
	}
	h.handler.ServeHTTP(response, r)
}

// certificate is that of a host. Ports are not known here: one host is of one authority.
func (w *world) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	signer := &w.public
	for name, h := range w.hosts {
		if plain, _, err := net.SplitHostPort(name); err == nil {
			name = plain
		}
		if name == hello.ServerName {
			signer = h.signer
		}
	}
	return signer.issue(hello.ServerName)
}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(name string) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	certificate, err := x509.ParseCertificate(der)
	must(err)
	return authority{certificate, key}
}

// must is for what comes before any test.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// pem is the authority's certificate, as clients take it.
func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func (a *authority) issue(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.certificate, key.Public(), a.key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
