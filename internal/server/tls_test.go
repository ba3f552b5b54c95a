package server_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

func TestCertificateRotation(t *testing.T) {
	w := started(t, options(t))
	if a := w.expectAnswer(t, w.client(nil)); a.server != "webhook" {
		t.Errorf("served by %q", a.server)
	}
	next := w.ca.issue(t, "rotated", time.Hour)
	write(t, filepath.Join(w.Certs.Dir, "tls.crt"), next.cert)
	for range 10 { // half a pair is no pair
		if a := w.expectAnswer(t, w.client(nil)); a.server != "webhook" {
			t.Errorf("served by %q with half a pair", a.server)
		}
		if code, text := w.probe(t, "/readyz"); code != http.StatusOK {
			t.Errorf("readyz with half a pair: %s", text)
		}
	}
	write(t, filepath.Join(w.Certs.Dir, "tls.key"), next.key)
	testutil.Eventually(t, "new connections see the new certificate",
		func() bool { return w.expectAnswer(t, w.client(nil)).server == "rotated" })
	w.eventuallyReady(t)
	if metrics := w.metrics(t); !strings.Contains(metrics,
		`oidc_injector_certificate_expiration_timestamp_seconds{certificate="serving"} 1`) {
		t.Errorf("the expiry is not in the metrics:\n%s", metrics)
	}
}

func TestMinTLSVersion(t *testing.T) {
	for _, tt := range []struct {
		flag             string
		refused, allowed uint16
	}{
		{"VersionTLS12", tls.VersionTLS11, tls.VersionTLS12},
		{"VersionTLS13", tls.VersionTLS12, tls.VersionTLS13},
	} {
		o := options(t)
		o.TLSMinVersion = tt.flag
		w := started(t, o)
		only := func(version uint16) *http.Client {
			return w.client(func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
		}
		if _, err := w.post(t, only(tt.refused)); err == nil || !strings.Contains(err.Error(), "protocol version not supported") {
			t.Errorf("%s: %s: error %v", tt.flag, tls.VersionName(tt.refused), err)
		}
		w.expectAnswer(t, only(tt.allowed))
		w.expectAnswer(t, w.client(nil))
		w.stop()
		w.expectEnd(t)
	}
}

func TestHTTP2(t *testing.T) {
	for enabled, want := range map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"} {
		o := options(t)
		o.EnableHTTP2 = enabled
		w := started(t, o)
		if a := w.expectAnswer(t, w.client(nil)); a.proto != want {
			t.Errorf("enabled %t: %s", enabled, a.proto)
		}
		other := w.client(nil)
		other.Transport.(*http.Transport).ForceAttemptHTTP2 = false
		if a := w.expectAnswer(t, other); a.proto != "HTTP/1.1" {
			t.Errorf("enabled %t, not wanted by the client: %s", enabled, a.proto)
		}
		w.stop()
		w.expectEnd(t)
	}
}

func TestClientCA(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	o := options(t)
	o.ClientCAFile = filepath.Join(t.TempDir(), "ca.crt")
	write(t, o.ClientCAFile, first.pem)
	w := started(t, o) // the probe has no certificate, and sees that the webhook serves

	as := func(a *authority) *http.Client {
		cert := a.issue(t, "kube-apiserver", time.Hour).certificate(t)
		return w.client(func(c *tls.Config) { c.Certificates = []tls.Certificate{cert} })
	}
	expectRefused := func(who string, client *http.Client) {
		t.Helper()
		if a, err := w.post(t, client); err == nil {
			t.Errorf("%s got an answer: %d %s", who, a.code, a.body)
		}
	}
	firstClient, secondClient := as(first), as(second)
	firstClient.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	w.expectAnswer(t, firstClient)
	expectRefused("a client without a certificate", w.client(nil))
	expectRefused("a client of another CA", secondClient)
	expectRefused("a client whose certificate has expired", w.client(func(c *tls.Config) {
		c.Certificates = []tls.Certificate{first.issue(t, "kube-apiserver", -time.Minute).certificate(t)}
	}))

	write(t, o.ClientCAFile, []byte("garbage"))
	testutil.Eventually(t, "the log says that the file is broken", func() bool {
		return w.log.Has(`level=ERROR msg="client CA not reloaded, the previous one stays in force" path=` + o.ClientCAFile +
			` error="contains no PEM certificates"`)
	})
	w.expectAnswer(t, firstClient)
	expectRefused("a client of another CA", secondClient)

	write(t, o.ClientCAFile, second.pem)
	testutil.Eventually(t, "the log says that the file was read", func() bool { return w.log.Has(`msg="client CA reloaded"`) })
	w.expectAnswer(t, secondClient)
	expectRefused("a client of the CA that was replaced, although it has a session to resume", firstClient)
	if code, text := w.probe(t, "/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %s", text)
	}
}

func TestClientNames(t *testing.T) {
	ca := newAuthority(t)
	o := options(t)
	o.ClientCAFile, o.ClientAllowedNames = filepath.Join(t.TempDir(), "ca.crt"), []string{"kube-apiserver", "front-proxy"}
	write(t, o.ClientCAFile, ca.pem)
	w := started(t, o)
	as := func(name string) *http.Client {
		cert := ca.issue(t, name, time.Hour).certificate(t)
		return w.client(func(c *tls.Config) { c.Certificates = []tls.Certificate{cert} })
	}
	w.expectAnswer(t, as("kube-apiserver"))
	w.expectAnswer(t, as("front-proxy"))
	if a, err := w.post(t, as("kubelet")); err == nil {
		t.Errorf("another client of the CA got an answer: %d %s", a.code, a.body)
	}
}

// Probes, scanners and load balancers connect and go away.
func TestFailedHandshakesLog(t *testing.T) {
	for _, level := range []string{"debug", "info"} {
		o := options(t)
		o.LogLevel = level
		w := started(t, o)
		w.greet(t, "this is not TLS at all\n\n\n\n\n\n\n\n")
		if _, err := w.post(t, w.client(func(c *tls.Config) { c.RootCAs = nil })); err == nil {
			t.Error("a client that does not know the CA got an answer")
		}
		if level == "debug" {
			testutil.Eventually(t, "the log has the handshake error", func() bool {
				return w.log.Has(`level=DEBUG msg="http server" message="http: TLS handshake error from 127.0.0.1:`)
			})
		}
		w.stop()
		w.expectEnd(t)
		if level == "info" && w.log.Has("handshake") {
			t.Errorf("log at level info:\n%s", w.log)
		}
	}
}

// greet sends bytes that are no TLS, and waits until the server hangs up.
func (w *webhook) greet(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", loopback(w.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn) // until the server hangs up, in whatever way
}
