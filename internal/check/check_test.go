package check

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	o.Kubeconfig, o.Timeout = path, 2*time.Second
	return o
}

// refuse answers as an API server that warns, and then says no.
func refuse(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Warning", `299 - "the label is missing"`)
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","code":403}`))
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	o := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/namespaces/shop/pods" || r.URL.Query().Get("dryRun") != "All" {
			t.Errorf("request %s %s", r.Method, r.URL)
		}
		refuse(w)
	})
	var out bytes.Buffer
	err := run(t.Context(), o, &out, time.Minute)
	if want := `the API server does not admit an annotated pod in namespace "shop": no`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if want := "warning: the label is missing\n"; out.String() != want {
		t.Errorf("output %q, want %q", &out, want)
	}
}

// An API server that hangs is not said to hang where it has answered before.
func TestLastAnswerCounts(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	o := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			refuse(w)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // until then, a server does not see that its client goes
		<-r.Context().Done()
	})
	var out bytes.Buffer
	err := run(t.Context(), o, &out, time.Millisecond)
	if err == nil || !strings.HasSuffix(err.Error(), ": no") || !strings.Contains(out.String(), "label") || asked.Load() != 2 {
		t.Errorf("error %v, output %q, after %d requests", err, &out, asked.Load())
	}
}

func TestNoAPIServer(t *testing.T) {
	t.Parallel()
	o := options
	o.Kubeconfig, o.Timeout = filepath.Join(t.TempDir(), "missing"), time.Second
	if err := Run(t.Context(), o, nil, &bytes.Buffer{}); err == nil ||
		!strings.Contains(err.Error(), "could not load the API client configuration") {
		t.Errorf("error %v", err)
	}
}
