package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/oidc-injector/oidc-injector/internal/server"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// authority is a CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// pair is a certificate and its key in PEM.
type pair struct{ cert, key []byte }

// issue makes a certificate for 127.0.0.1 that ends after a time.
func (a *authority) issue(t *testing.T, name string, valid time.Duration) pair {
	t.Helper()
	cert, key := testutil.IssueCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-12 * time.Hour), NotAfter: time.Now().Add(valid),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, a.key)
	return pair{cert: cert, key: key}
}

func (p pair) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	cert, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// write replaces a file at once.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), ".next")
	if err := os.WriteFile(next, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func (p pair) write(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "tls.crt"), p.cert)
	write(t, filepath.Join(dir, "tls.key"), p.key)
}

// freePort is a loopback port that nobody listens on. It is below those that the
// kernel gives to connections (32768 and up), of which one could take it in the
// meantime, and no other test of this package gets it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 20_000 + mathrand.IntN(12_000)
		if _, taken := portsGiven.LoadOrStore(port, true); taken {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", loopback(port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

var portsGiven sync.Map

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// options are the defaults of the flags, on free loopback ports and with an
// empty directory for the certificate.
func options(t *testing.T) server.Options {
	t.Helper()
	var o server.Options
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(flags)
	if err := flags.Parse(nil); err != nil {
		t.Fatal(err)
	}
	o.BindAddress, o.Port, o.Certs.Dir = "127.0.0.1", freePort(t), t.TempDir()
	o.MetricsBindAddress, o.HealthProbeBindAddress = loopback(freePort(t)), loopback(freePort(t))
	o.LogLevel, o.LogFormat = "debug", "text"
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	return o
}

// webhook is a server that runs.
type webhook struct {
	server.Options
	ca     *authority
	log    *testutil.Log
	stop   context.CancelFunc
	ended  chan struct{}
	result error
}

// start runs a server until the test ends. The tests that call it do not run
// side by side: the libraries have one logger for the whole program.
func start(t *testing.T, o server.Options) *webhook {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &webhook{Options: o, ca: newAuthority(t), log: &testutil.Log{}, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		w.result = server.Run(ctx, o, w.log)
	}()
	t.Cleanup(func() {
		stop()
		w.expectEnd(t)
		if t.Failed() {
			t.Logf("log of the server:\n%s", w.log)
		}
	})
	return w
}

// started is a server that serves a certificate.
func started(t *testing.T, o server.Options) *webhook {
	t.Helper()
	w := start(t, o)
	w.ca.issue(t, "webhook", time.Hour).write(t, o.Certs.Dir)
	w.eventuallyReady(t)
	return w
}

func (w *webhook) expectEnd(t *testing.T) {
	t.Helper()
	select {
	case <-w.ended:
		if w.result != nil {
			t.Errorf("the server ended with: %v", w.result)
		}
	case <-time.After(time.Minute):
		t.Error("the server does not end")
	}
}

func (w *webhook) url() string { return "https://" + loopback(w.Port) + server.Path }

// get is the code and the text of a page over plain HTTP; 0 and the error where
// there is no answer.
func get(t *testing.T, url string) (code int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

func (w *webhook) probe(t *testing.T, path string) (code int, text string) {
	t.Helper()
	return get(t, "http://"+w.HealthProbeBindAddress+path)
}

func (w *webhook) eventuallyReady(t *testing.T) {
	t.Helper()
	testutil.Eventually(t, "the webhook is ready", func() bool {
		code, _ := w.probe(t, "/readyz")
		return code == http.StatusOK
	})
}

func (w *webhook) metrics(t *testing.T) string {
	t.Helper()
	code, text := get(t, "http://"+w.MetricsBindAddress+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("metrics: %d %s", code, text)
	}
	return text
}

// client makes a new connection for each request and trusts the webhook's CA.
func (w *webhook) client(change func(*tls.Config)) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.cert)
	c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if change != nil {
		change(c)
	}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true, ForceAttemptHTTP2: true}, Timeout: time.Minute,
	}
}

const review = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"7f0a6c2e","kind":{"group":"",` +
	`"version":"v1","kind":"Pod"},` +
	`"resource":{"group":"","version":"v1","resource":"pods"},"name":"app","namespace":"default","operation":"CREATE",` +
	`"object":{"metadata":{"annotations":{"oidc-injector.io/audience":"vault"}},"spec":{"containers":[{"name":"app"}]}}}}`

// answer is what a client gets for a review.
type answer struct {
	code   int
	body   string
	proto  string
	server string // the name in the server's certificate
	closes bool   // the server wants no further request on this connection
}

func (w *webhook) post(t *testing.T, client *http.Client) (answer, error) {
	t.Helper()
	return w.send(t, client, strings.NewReader(review))
}

func (w *webhook) send(t *testing.T, client *http.Client, body io.Reader) (answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, w.url()+"?timeout=10s", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, string(text), response.Proto, response.TLS.PeerCertificates[0].Subject.CommonName, response.Close},
		nil
}

// expectAnswer posts a review and expects the patch.
func (w *webhook) expectAnswer(t *testing.T, client *http.Client) answer {
	t.Helper()
	a, err := w.post(t, client)
	if err != nil {
		t.Error(err)
		return a
	}
	expectPatch(t, a)
	return a
}

func expectPatch(t *testing.T, a answer) {
	t.Helper()
	if a.code != http.StatusOK || !strings.Contains(a.body, `"uid":"7f0a6c2e","allowed":true,"patch":"`) {
		t.Errorf("HTTP %d: %s", a.code, a.body)
	}
}
