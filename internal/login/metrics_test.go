package login

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMetrics(t *testing.T) {
	now := time.Unix(1767323045, 0)
	r := newReport()
	r.logins, r.renewals = 2, 30
	r.failures[failure.Denied] = 4
	r.status = status.Status{InPlace: true, Expires: now.Add(90 * time.Second), Failing: &status.Failing{Class: failure.Denied}}
	r.jwt = jwtfile.Times{Issued: now.Add(-time.Hour), Expires: now.Add(time.Hour)}
	var out bytes.Buffer
	r.writeMetrics(&out, now)
	text := strings.ReplaceAll(out.String(), versionLabels(), `version="v",goversion="go"`)

	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v: %v", err, problems)
	}
	golden := filepath.Join("testdata", "metrics.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if diff := cmp.Diff(string(want), text); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestMetricsUnknown(t *testing.T) {
	var out bytes.Buffer
	newReport().writeMetrics(&out, time.Now())
	for _, name := range []string{"oidc_login_token_", "oidc_login_jwt_"} {
		if strings.Contains(out.String(), name) {
			t.Errorf("%s in\n%s", name, &out)
		}
	}
	if !strings.Contains(out.String(), "oidc_login_ready 0\n") {
		t.Error(out.String())
	}
}

func TestListener(t *testing.T) {
	var log testutil.Log
	r := newReport()
	var asked atomic.Int64
	stop, err := listen(t.Context(), "127.0.0.1:0", r, func() { asked.Add(1) }, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(log.String(), "address=")
	address := strings.TrimSpace(rest)
	want := func(path string, code int, text string) {
		t.Helper()
		method := http.MethodGet
		if rest, ok := strings.CutPrefix(path, "POST "); ok {
			method, path = http.MethodPost, rest
		}
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Timeout: 10 * time.Second}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != code || !strings.Contains(string(body), text) {
			t.Errorf("%s: %d %s", path, response.StatusCode, body)
		}
	}
	want("/healthz", 200, "ok\n")
	want("/readyz", 503, "not logged in yet: still waiting for an answer of")
	want("/metrics", 200, "oidc_login_ready 0\n")
	want("/", 404, "")
	want("/relogin", 405, "")
	want("POST /relogin", 202, "the token will be looked at\n")
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	r.update(func(r *report) { r.status.InPlace = true })
	want("/readyz", 200, "logged in, the token does not expire\n")
	want("/metrics", 200, "oidc_login_ready 1\n")
	if _, err := listen(t.Context(), address, r, nil, log.Logger()); err == nil ||
		!strings.HasPrefix(err.Error(), "could not serve metrics: listen tcp") {
		t.Errorf("%v", err)
	}
	stop()
	if log.Has("ERROR") {
		t.Error(log.String())
	}
}

func TestReloadOnlyFromPod(t *testing.T) {
	for remote, want := range map[string]int{
		"127.0.0.1:4711": 202, "[::1]:4711": 202, "[::ffff:127.0.0.1]:4711": 202,
		"10.0.0.7:4711": 403, "[fd00::7]:4711": 403, "": 403,
	} {
		asked := false
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/relogin", http.NoBody)
		request.RemoteAddr = remote
		recorder := httptest.NewRecorder()
		handler(newReport(), func() { asked = true }).ServeHTTP(recorder, request)
		if recorder.Code != want || asked != (want == 202) {
			t.Errorf("%s: %d, asked %t", remote, recorder.Code, asked)
		}
	}
}
