package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

func TestReadyWithCertificate(t *testing.T) {
	w := start(t, options(t))
	testutil.Eventually(t, "the probes are served", func() bool {
		code, _ := w.probe(t, "/healthz")
		return code == http.StatusOK
	})
	if code, text := w.probe(t, "/readyz"); code != http.StatusServiceUnavailable ||
		text != "not ready: no serving certificate is loaded yet\n" {
		t.Errorf("readyz without a certificate: %d %q", code, text)
	}

	w.ca.issue(t, "webhook", time.Hour).write(t, w.Certs.Dir)
	w.eventuallyReady(t)
	if code, text := w.probe(t, "/readyz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("readyz: %d %q", code, text)
	}
	w.expectAnswer(t, w.client(nil))
}

func TestNotReadyWithExpiredCertificate(t *testing.T) {
	w := start(t, options(t))
	w.ca.issue(t, "webhook", -time.Minute).write(t, w.Certs.Dir)
	text := ""
	testutil.Eventually(t, "the certificate is loaded", func() bool {
		_, text = w.probe(t, "/readyz")
		return !strings.Contains(text, "no serving certificate") && strings.HasPrefix(text, "not ready: ")
	})
	if !strings.HasPrefix(text, "not ready: the serving certificate is valid from 20") || !strings.HasSuffix(text, " UTC only\n") {
		t.Errorf("readyz: %q", text)
	}
	if code, _ := w.probe(t, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d", code)
	}
	w.ca.issue(t, "webhook", time.Hour).write(t, w.Certs.Dir)
	w.eventuallyReady(t)
}

func TestReadyOnAllAddresses(t *testing.T) {
	for _, all := range []string{"", "0.0.0.0", "::"} {
		o := options(t)
		o.BindAddress = all
		w := started(t, o)
		w.expectAnswer(t, w.client(nil))
		w.stop()
		w.expectEnd(t)
	}
}
