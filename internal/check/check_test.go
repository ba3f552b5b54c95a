package check

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// apiServer is as much of one as it takes to answer with a status; that a real one
// says what it says is tested in test/chart and test/e2e.
func apiServer(t *testing.T, answer http.HandlerFunc) Options {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	kubeconfig := `{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: c, user: u}}], ` +
		`users: [{name: u, user: {}}], clusters: [{name: c, cluster: {server: "` + server.URL + `"}}]}`
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options
	o.Kubeconfig, o.Timeout = path, 50*time.Millisecond
	return o
}

func TestARefusalIsTold(t *testing.T) {
	t.Parallel()
	o := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/namespaces/shop/pods" || r.URL.Query().Get("dryRun") != "All" {
			t.Errorf("request %s %s", r.Method, r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","code":403}`))
	})
	var out bytes.Buffer
	err := Run(t.Context(), o, &out)
	if want := `the API server does not admit an annotated pod in namespace "shop": no`; err == nil || err.Error() != want || out.Len() > 0 {
		t.Errorf("error %v, output %q, want %q", err, &out, want)
	}
}

// An API server that hangs is not said to hang where it has answered before.
func TestTheLastAnswerCounts(t *testing.T) {
	t.Parallel()
	asked := 0
	o := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		if asked > 1 {
			_, _ = io.Copy(io.Discard, r.Body) // until then, a server does not see that its client goes
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","code":403}`))
	})
	o.Timeout = retryEvery + 200*time.Millisecond
	err := Run(t.Context(), o, &bytes.Buffer{})
	if err == nil || !strings.HasSuffix(err.Error(), ": no") || asked != 2 {
		t.Errorf("error %v after %d requests", err, asked)
	}
}

func TestWithoutAnAPIServerThereIsNothingToCheck(t *testing.T) {
	t.Parallel()
	o := options
	o.Kubeconfig, o.Timeout = filepath.Join(t.TempDir(), "missing"), time.Second
	if err := Run(t.Context(), o, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "could not find the API server") {
		t.Errorf("error %v", err)
	}
}
