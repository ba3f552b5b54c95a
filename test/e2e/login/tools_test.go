package login

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

func createSecret(t *testing.T, ns, name, key string, value []byte) {
	t.Helper()
	object := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{key: value}}
	if _, err := kube.Client().CoreV1().Secrets(ns).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// plain is a server without TLS.
type plain struct{ count atomic.Int64 }

func (p *plain) requests() int64 { return p.count.Load() }

// ServeHTTP refuses everything.
func (p *plain) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.count.Add(1)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, "hello from a server without TLS") // the client may have gone
}

func plainServer(t *testing.T) (p *plain, address string) {
	t.Helper()
	p = &plain{}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return p, strings.TrimPrefix(s.URL, "http://")
}

// blockOutput puts a directory that is not empty in the place of the result, so
// that nothing can be renamed to it, whoever tries.
func blockOutput(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path+"/in-the-way", 0o700); err != nil {
		t.Fatal(err)
	}
}

func unblockOutput(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// strict makes the API server refuse fields that it does not know.
var strict = metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict}

// scheduled is how long to wait for what happens once a minute.
const scheduled = 2 * time.Minute

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func dryRun(ctx context.Context, ns string, pod *corev1.Pod) (*corev1.Pod, error) {
	return kube.Client().CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// setConfig changes the webhook's configuration, for a test that is not parallel
// to others, and waits until a condition shows that it is in force.
func setConfig(t *testing.T, content string, inForce func(context.Context) error) {
	t.Helper()
	usual := func(ctx context.Context) error {
		pod, err := dryRun(ctx, "oidc-injector-probe",
			podtest.New("app", "audience=vault", "login=vault", "login-address="+server.Address()))
		if err == nil && podtest.Env(pod, loginspec.Container, loginspec.CABundle.Env()) != "" {
			err = errors.New("it is still that of the test")
		}
		return err
	}
	t.Cleanup(func() {
		if err := webhook.SetConfig(configuration(config)); err != nil {
			t.Error(err)
		}
		podtest.Eventually(t, "the usual configuration", usual)
	})
	if err := webhook.SetConfig(content); err != nil {
		t.Fatal(err)
	}
	podtest.Eventually(t, "the configuration", inForce)
}
