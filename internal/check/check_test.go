package check

import (
	"bytes"
	"encoding/json"
	"errors"
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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/internal/config"
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

// nothingElse answers what is not about pods as an API server does that forbids it.
func nothingElse(pods http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			refuse(w)
			return
		}
		pods(w, r)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	o := apiServer(t, nothingElse(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/namespaces/shop/pods" || r.URL.Query().Get("dryRun") != "All" {
			t.Errorf("request %s %s", r.Method, r.URL)
		}
		refuse(w)
	}))
	var out bytes.Buffer
	if err := run(t.Context(), o, &out, time.Minute); !errors.Is(err, errNotInjected) {
		t.Errorf("error %v", err)
	}
	want := `! webhook or policies
  ? registered: could not read MutatingWebhookConfigurations
  ? dry run: the API server does not admit an annotated pod in namespace shop: no
  ! warning: the label is missing
? not read
  ? admission policies: could not list MutatingAdmissionPolicies: no
  ? installation: could not list Deployments: no
  ? configuration: the built-in one is taken instead
  ? MutatingWebhookConfigurations: no
  ? namespaces: could not list namespaces: no
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// With the right to create pods alone, as `helm test` has it, a pod that gets its token is
// enough, and nothing is said of what may not be read.
func TestTheRightToCreatePodsIsEnough(t *testing.T) {
	t.Parallel()
	cfg := config.Default(config.Environment{Prefix: prefix})
	o := apiServer(t, nothingElse(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var pod corev1.Pod
		if _, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, &pod); err != nil {
			t.Error(err)
		}
		after, err := admissiontest.Inject(cfg, "v1", &pod)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		after.APIVersion, after.Kind = "v1", "Pod"
		if err := json.NewEncoder(w).Encode(after); err != nil {
			t.Error(err)
		}
	}))
	var out bytes.Buffer
	if err := Run(t.Context(), o, &out); err != nil {
		t.Error(err)
	}
	want := `? webhook or policies
  ? registered: could not read MutatingWebhookConfigurations
  ✓ dry run: a pod in namespace shop gets a token for audience "vault"
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// An API server that hangs is not said to hang where it has answered before.
func TestLastAnswerCounts(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	o := apiServer(t, nothingElse(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			refuse(w)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // until then, a server does not see that its client goes
		<-r.Context().Done()
	}))
	var out bytes.Buffer
	err := run(t.Context(), o, &out, time.Millisecond)
	if !errors.Is(err, errNotInjected) || !strings.Contains(out.String(), "dry run: the API server does not admit an annotated pod in "+
		"namespace shop: no\n") || !strings.Contains(out.String(), "label") || asked.Load() != 2 {
		t.Errorf("error %v, output %q, after %d requests", err, &out, asked.Load())
	}
}

func TestNoAPIServer(t *testing.T) {
	t.Parallel()
	o := options
	o.Kubeconfig, o.Timeout = filepath.Join(t.TempDir(), "missing"), time.Second
	if err := Run(t.Context(), o, &bytes.Buffer{}); err == nil ||
		!strings.Contains(err.Error(), "could not load the API client configuration") {
		t.Errorf("error %v", err)
	}
}
