package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { testutil.Main(m, main) }

// outcome is what a user sees of a call.
type outcome struct {
	Code           int
	Stdout, Stderr string
}

func call(environ []string, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, environ, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

func TestHelp(t *testing.T) {
	golden := filepath.Join("testdata", "help.golden")
	for _, args := range [][]string{{"--help"}, {"-h"}, {"ready", "--help"}, {"help"}} {
		got := call(nil, args...)
		if *update {
			if err := os.WriteFile(golden, []byte(got.Stdout), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(outcome{Stdout: string(text)}, got); diff != "" {
			t.Errorf("oidc-login %s (-want +got):\n%s", args, diff)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		if diff := cmp.Diff(outcome{Stdout: version.String("oidc-login") + "\n"}, call(nil, arg)); diff != "" {
			t.Errorf("oidc-login %s (-want +got):\n%s", arg, diff)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	termination := filepath.Join(t.TempDir(), "termination-log")
	environ := []string{"OIDC_LOGIN_TERMINATION_LOG=" + termination}
	const see = "\nSee 'oidc-login --help'.\n"
	for _, tt := range []struct {
		args, want, message string
	}{
		{"--rolle=x", "error: flag provided but not defined: -rolle" + see, "flag provided but not defined: -rolle"},
		{"--role", "error: flag needs an argument: -role" + see, "flag needs an argument: -role"},
		{"serve", `error: unexpected argument "serve"` + see, `unexpected argument "serve"`},
		{"ready now", `error: unexpected argument "now"` + see, ""},
		{"ready --role=x", "error: flag provided but not defined: -role" + see, ""},
		{
			"ready --wait=soon", `error: invalid value "soon" for flag -wait: parse error` + see, "",
		},
		{
			"--mode=x --method=y", "error: --method: invalid value \"y\": must be vault, token-exchange, jwt-bearer, client-assertion " +
				"or http\n" +
				"--mode: invalid value \"x\": must be sidecar or init" + see,
			"--method: invalid value \"y\": must be vault, token-exchange, jwt-bearer, client-assertion or http\n" +
				"--mode: invalid value \"x\": must be sidecar or init",
		},
	} {
		if err := os.WriteFile(termination, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(outcome{Code: 2, Stderr: tt.want}, call(environ, strings.Fields(tt.args)...)); diff != "" {
			t.Errorf("oidc-login %s (-want +got):\n%s", tt.args, diff)
		}
		message, err := os.ReadFile(termination)
		if string(message) != tt.message || err != nil {
			t.Errorf("oidc-login %s: %v, termination message %q", tt.args, err, message)
		}
	}
}

// party is a Vault over TLS, for names that a proxy knows.
type party struct {
	*httptest.Server
	bundle string
	jwt    string

	mu    sync.Mutex
	asked []string
	hang  chan struct{} // what a revocation waits for
}

func (p *party) set(change func(*party)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func newParty(t *testing.T) *party {
	t.Helper()
	p := &party{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var hang chan struct{}
		p.set(func(p *party) {
			p.asked = append(p.asked, r.Method+" "+r.Host+r.URL.Path)
			hang = p.hang
		})
		var body struct{ Role string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/revoke-self"):
			if hang != nil {
				<-hang
			}
			w.WriteHeader(http.StatusNoContent)
		case body.Role != "demo":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"errors":["role \"`+body.Role+`\" could not be found"]}`)
		default:
			_, _ = io.WriteString(w, `{"auth":{"client_token":"hvs.abcdefghijkl","lease_duration":3600,"renewable":true,`+
				`"token_type":"service"}}`)
		}
	}))
	t.Cleanup(p.Close)
	p.bundle = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	p.jwt = filepath.Join(t.TempDir(), "jwt")
	if err := os.WriteFile(p.jwt, []byte(encode("{}")+"."+encode("{}")+"."+encode("signature")), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *party) questions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// environ are the variables for a login in the directory.
func (p *party) environ(dir string, more ...string) []string {
	return append([]string{
		"OIDC_LOGIN_ADDRESS=" + p.URL, "OIDC_LOGIN_CA_BUNDLE=" + p.bundle, "OIDC_LOGIN_JWT_FILE=" + p.jwt, "OIDC_LOGIN_ROLE=demo",
		"OIDC_LOGIN_OUTPUT_FILE=" + filepath.Join(dir, "token"), "OIDC_LOGIN_TERMINATION_LOG=" + filepath.Join(dir, "termination-log"),
	}, more...)
}

func TestInitAndReady(t *testing.T) {
	p, dir := newParty(t), t.TempDir()
	termination := filepath.Join(dir, "termination-log")
	if err := os.WriteFile(termination, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused := p.environ(dir, "OIDC_LOGIN_ROLE=x", "OIDC_LOGIN_MODE=init", "OIDC_LOGIN_TIMEOUT=600ms")
	got := call(refused)
	const reason = `could not log in to Vault at ADDRESS: 400: "role \"x\" could not be found" (attempt 1`
	want := strings.ReplaceAll(reason, "ADDRESS", p.URL)
	if got.Code != 1 || !strings.HasSuffix(got.Stderr, "error: not logged in within 600ms: "+want+")\n") {
		t.Errorf("init: %+v", got)
	}
	if message, _ := os.ReadFile(termination); string(message) != "not logged in within 600ms: "+want+")" {
		t.Errorf("termination message %q", message)
	}
	if got := call(refused, "ready"); got.Code != 1 || !strings.HasPrefix(got.Stdout, "not logged in yet: "+want+", next ") ||
		strings.Count(got.Stdout, "\n") != 1 || got.Stderr != "" {
		t.Errorf("ready: %+v", got)
	}
	environ := p.environ(dir, "OIDC_LOGIN_MODE=init", "OIDC_LOGIN_ROLLE=typo")
	if got := call(environ); got.Code != 0 || got.Stdout != "" || !strings.Contains(got.Stderr, "name=OIDC_LOGIN_ROLLE") {
		t.Errorf("init: %+v", got)
	}
	if got := call(nil, "ready", "--wait=1s", "--output-file="+filepath.Join(dir, "token")); got.Code != 0 ||
		!strings.HasPrefix(got.Stdout, "logged in, the token expires in ") || got.Stderr != "" {
		t.Errorf("ready: %+v", got)
	}
}

func TestTerminationRevokes(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p, dir := newParty(t), t.TempDir()
		process := testutil.Spawn(t, p.environ(dir))
		process.Await(t, "logged in")
		ready := testutil.Spawn(t, p.environ(dir), "ready", "--wait=10s")
		if err := ready.Wait(); err != nil {
			t.Errorf("ready: %v\n%s", err, ready.Output)
		}
		if err := process.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", signal, err, process.Output)
		}
		host := strings.TrimPrefix(p.URL, "https://")
		want := []string{"POST " + host + "/v1/auth/jwt/login", "POST " + host + "/v1/auth/token/revoke-self"}
		if diff := cmp.Diff(want, p.questions()); diff != "" {
			t.Errorf("%s: asked (-want +got):\n%s", signal, diff)
		}
		if _, err := os.Stat(filepath.Join(dir, "token")); err == nil {
			t.Error("a revoked token is in the file")
		}
		if process.Output.Has("hvs.") || process.Output.Has("e30") {
			t.Errorf("a token is in the log:\n%s", process.Output)
		}
	}
}

// SIGHUP asks whether the token is good; by default it would end the program.
func TestHangupChecksToken(t *testing.T) {
	p, dir := newParty(t), t.TempDir()
	process := testutil.Spawn(t, p.environ(dir), "--log-level=debug")
	process.Await(t, "logged in")
	if err := process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	process.Await(t, "asked to check the token")
	_ = process.Process.Signal(syscall.SIGTERM)
	if err := process.Wait(); err != nil {
		t.Errorf("%v\n%s", err, process.Output)
	}
}

func TestRevokeOnExitOff(t *testing.T) {
	p, dir := newParty(t), t.TempDir()
	process := testutil.Spawn(t, p.environ(dir), "--revoke-on-exit=false")
	process.Await(t, "logged in")
	ready := testutil.Spawn(t, p.environ(dir), "ready", "--wait=10s")
	if err := ready.Wait(); err != nil {
		t.Errorf("ready: %v\n%s", err, ready.Output)
	}
	_ = process.Process.Signal(syscall.SIGTERM)
	if err := process.Wait(); err != nil {
		t.Error(err)
	}
	if got := p.questions(); len(got) != 1 {
		t.Errorf("asked %v", got)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "token")); string(data) != "hvs.abcdefghijkl" || err != nil {
		t.Errorf("%v: %q", err, data)
	}
}

// Whoever is in a hurry sends the signal twice.
func TestSecondSignalKills(t *testing.T) {
	p, dir := newParty(t), t.TempDir()
	hang := make(chan struct{})
	defer close(hang)
	p.set(func(p *party) { p.hang = hang })
	process := testutil.Spawn(t, p.environ(dir))
	process.Await(t, "logged in")
	process.KillBySecondSignal(t, "ending")
}

func TestProxy(t *testing.T) {
	p, dir := newParty(t), t.TempDir()
	var connected testutil.Log
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(&connected, r.Method+" "+r.Host)
		testutil.Tunnel(t, w, p.Listener.Addr().String())
	}))
	t.Cleanup(proxy.Close)
	// httptest's certificate has the name example.com.
	environ := p.environ(dir, "OIDC_LOGIN_ADDRESS=https://example.com:8200", "OIDC_LOGIN_MODE=init", "OIDC_LOGIN_TIMEOUT=10s",
		"HTTPS_PROXY="+proxy.URL)
	process := testutil.Spawn(t, environ)
	if err := process.Wait(); err != nil || connected.String() != "CONNECT example.com:8200" {
		t.Errorf("%v, %q\n%s", err, &connected, process.Output)
	}
}
