package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// jwt is a token with a payload. Nobody looks at the rest of it.
func jwt(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestOwnAudiences(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, token string
		want        []string
	}{
		{"one", jwt(`{"aud":"https://kubernetes.default.svc","sub":"x"}`), []string{"https://kubernetes.default.svc"}},
		{"several", jwt(`{"aud":["https://issuer.example","k3s"],"sub":"x"}`), []string{"https://issuer.example", "k3s"}},
		{"with a line end behind it", jwt(`{"aud":["a"]}`) + "\n", []string{"a"}},
		{"none", jwt(`{"sub":"x"}`), nil},
		{"null", jwt(`{"aud":null}`), nil},
		{"an empty one", jwt(`{"aud":""}`), nil},
		{"of another shape", jwt(`{"aud":7}`), nil},
		{"no JSON", jwt(`hello`), nil},
		{"no base64", "e30.!!!.c2ln", nil},
		{"not three parts", "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"a"}`)), nil},
		{"empty", "", nil},
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(tt.token), 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, ownAudiences(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if got := ownAudiences(filepath.Join(t.TempDir(), "missing")); got != nil {
		t.Errorf("outside a cluster: %q", got)
	}
}

// After a change of the issuer, pods may ask neither for the old audience nor for the new
// one, without a restart.
func TestOwnAudiencesFollowed(t *testing.T) {
	t.Parallel()
	write := func(path, claims string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(jwt(claims)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "token")
	write(path, `{"aud":["https://old.example.com"]}`)
	environment := config.Environment{Prefix: annotations.DefaultPrefix, APIServerAudiences: ownAudiences(path)}
	log := &testutil.Log{}
	store, err := config.NewStore(config.StoreOptions{Environment: environment, Log: log.Logger(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- followAudiences(path, time.Millisecond, store, log.Logger())(ctx) }()
	refused := func(audience string) bool {
		rules := store.Current().Policy.For("default")
		return rules.Audience(audience) != nil
	}
	if !refused("https://old.example.com") || refused("https://new.example.com") {
		t.Error("the first token's audience is allowed, or another one is not")
	}
	write(path, `{"aud":["https://new.example.com"]}`)
	for !refused("https://new.example.com") && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if !refused("https://old.example.com") || refused("https://other.example.com") {
		t.Error("the old audience is allowed, or another one is not")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !log.Has("the API server has new audiences") {
		t.Errorf("the log says %s", log)
	}
}

// TestErrorLog: what an HTTP server says is an error, unless a handshake failed.
func TestErrorLog(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	l := newErrorLog(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	l.Printf("http: TLS handshake error from 127.0.0.1:1: EOF")
	l.Printf("http: Accept error: too many open files")
	want := `level=DEBUG msg="http server" message="http: TLS handshake error from 127.0.0.1:1: EOF"
level=ERROR msg="http server" message="http: Accept error: too many open files"
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestLibraryLogs(t *testing.T) { //nolint:paralleltest // they have one log for the whole process
	log := &testutil.Log{}
	newLogger(&Options{LogFormat: "text", LogLevel: "info"}, log)
	ctrllog.Log.Info("said by controller-runtime")
	klog.Info("said by client-go")
	for _, want := range []string{`level=INFO msg="said by controller-runtime"`, `level=INFO msg="said by client-go"`} {
		if !log.Has(want) {
			t.Errorf("%s is not in the log:\n%s", want, log)
		}
	}
}
