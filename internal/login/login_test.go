package login

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// vaultServer is a Vault that gives a token for a second, over TLS.
func vaultServer(t *testing.T) (address, bundle string, renewals *atomic.Int64) {
	t.Helper()
	renewals = &atomic.Int64{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/auth/token/renew-self":
			renewals.Add(1)
		case "/v1/auth/token/revoke-self":
			w.WriteHeader(http.StatusNoContent)
			return
		case "/token":
			_, _ = io.WriteString(w, `{"access_token":"at","token_type":"Bearer","issued_token_type":"x","expires_in":3600}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"auth": map[string]any{
			"client_token": "hvs.abcdefghijkl", "lease_duration": 1, "renewable": true, "token_type": "service",
		}, "warnings": []string{"a warning about hvs.abcdefghijkl"}})
	}))
	t.Cleanup(server.Close)
	return server.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})), renewals
}

func TestRunVault(t *testing.T) {
	f := newFixture(t, nil)
	address, bundle, renewals := vaultServer(t)
	config := f.config
	config.Options[loginspec.Address] = address
	config.CABundle, config.CAOutputFile, config.ListenAddress = bundle, filepath.Join(f.dir, "ca.crt"), "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	var log testutil.Log
	go func() { ended <- Run(ctx, config, &log, nil) }()
	testutil.Eventually(t, "the token is renewed", func() bool { return renewals.Load() > 1 })
	if ok, line := Ready(t.Context(), config.OutputFile, 10*time.Second); !ok || f.token(t) != "hvs.abcdefghijkl" {
		t.Error(line)
	}
	if data, err := os.ReadFile(config.CAOutputFile); string(data) != bundle || err != nil {
		t.Errorf("%v: %s", err, data)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if ok, line := Ready(t.Context(), config.OutputFile, 0); ok || f.token(t) != "" {
		t.Error(line)
	}
	for _, part := range []string{"logged in", "renewed", "revoked a token", `a warning about [redacted]`, "serving probes and metrics"} {
		if !log.Has(part) {
			t.Errorf("no %q in\n%s", part, log.String())
		}
	}
	if log.Has("hvs.") || log.Has("eyJ") {
		t.Errorf("a token is in the log:\n%s", log.String())
	}
}

func TestRunOAuth(t *testing.T) {
	f := newFixture(t, nil)
	address, bundle, _ := vaultServer(t)
	config := f.config
	config.Mode, config.Method, config.CABundle, config.LogFormat = loginspec.ModeInit, loginspec.MethodTokenExchange, bundle,
		loginspec.LogJSON
	config.Options[loginspec.Address] = address + "/token"
	var log testutil.Log
	if err := Run(t.Context(), config, &log, nil); err != nil || f.token(t) != "at" {
		t.Errorf("%v, token %q", err, f.token(t))
	}
	if !log.Has(`"msg":"logged in"`) {
		t.Error(log.String())
	}
	config.Options[loginspec.Issuer], config.Options[loginspec.Address] = config.Options[loginspec.Address], ""
	config.Timeout = 2 * time.Second
	if err := Run(t.Context(), config, &log, nil); err == nil ||
		!strings.Contains(err.Error(), "could not read the metadata of the issuer at") {
		t.Errorf("%v", err)
	}
}

func TestRunRedirected(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, port, _ := strings.Cut(r.Host, ":"); host != "localhost" {
			http.Redirect(w, r, "http://localhost:"+port+"/", http.StatusTemporaryRedirect)
			return
		}
		_, _ = io.WriteString(w, `{"auth":{"client_token":"hvs.abcdefghijkl","lease_duration":3600}}`)
	}))
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	for hosts, want := range map[string]string{
		"":                                "--redirect-hosts (annotation login-redirect-hosts) allows the host \"localhost:" + port + "\"",
		"vault.example localhost:" + port: "",
	} {
		config := newFixture(t, func(c *Config) { c.Mode, c.Timeout = loginspec.ModeInit, time.Second }).config
		config.Options[loginspec.Address], config.Options[loginspec.RedirectHosts] = server.URL, hosts
		var log testutil.Log
		err := Run(t.Context(), config, &log, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", hosts, err)
		}
	}
}

func TestTerminationLog(t *testing.T) {
	f := newFixture(t, nil)
	config := f.config
	config.Mode, config.Timeout = loginspec.ModeInit, 2*time.Second
	config.TerminationLog = filepath.Join(f.dir, "termination-log")
	config.Options[loginspec.Address] = "http://127.0.0.1:1"
	var log testutil.Log
	if err := Run(t.Context(), config, &log, nil); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(config.TerminationLog); err == nil {
		t.Error("the file was made")
	}
	if err := os.WriteFile(config.TerminationLog, []byte(strings.Repeat("old", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), config, &log, nil)
	data, _ := os.ReadFile(config.TerminationLog)
	if err == nil || string(data) != err.Error() || !strings.Contains(err.Error(), "could not log in to Vault at http://127.0.0.1:1: "+
		"dial tcp") {
		t.Errorf("%v: %s", err, data)
	}
	if !log.Has("the connection is not encrypted") {
		t.Error(log.String())
	}
	Terminate(config.TerminationLog, strings.Repeat("ä", 4000))
	if data, _ := os.ReadFile(config.TerminationLog); len(data) != maxTermination {
		t.Errorf("%d bytes", len(data))
	}
	config.ListenAddress = "300.0.0.1:1"
	if err := Run(t.Context(), config, &log, nil); err == nil || !strings.HasPrefix(err.Error(), "could not serve metrics: ") {
		t.Errorf("%v", err)
	}
}

func TestReadyWaits(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	before := time.Now()
	if ok, line := Ready(t.Context(), path, 300*time.Millisecond); ok || time.Since(before) < 300*time.Millisecond {
		t.Errorf("%s after %s", line, time.Since(before))
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		_ = os.WriteFile(path, []byte("token"), 0o600)
		_ = os.WriteFile(status.Path(path), status.Encode(status.Status{InPlace: true}), 0o600)
	}()
	if ok, line := Ready(t.Context(), path, time.Minute); !ok {
		t.Error(line)
	}
}
