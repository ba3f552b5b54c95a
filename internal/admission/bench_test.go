package admission_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
)

// benchmarked are pods of all sizes, and one of them with a login.
func benchmarked() []admissiontest.Size {
	return append(admissiontest.Sizes(), admissiontest.Size{Name: "login-10KB", Containers: 6, Patched: true, Annotations: map[string]string{
		"oidc-injector.io/audience": "vault", "oidc-injector.io/login": "vault", "oidc-injector.io/login-address": "https://vault.example.com:8200",
	}})
}

func BenchmarkDecide(b *testing.B) {
	cfg := loginConfig(b)
	for _, p := range benchmarked() {
		body := admissiontest.Review("CREATE", "", admissiontest.Pod(p.Containers, p.Annotations), "null")
		b.Run(p.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q, err := admission.ReadReview(body)
				if err != nil {
					b.Fatal(err)
				}
				if d := admission.Decide(cfg, "v0.0.0", q); d.Outcome == admission.Denied {
					b.Fatal(d.Errors)
				}
			}
			b.ReportMetric(float64(len(body)), "request-B")
		})
	}
}

func post(body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mutate", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// BenchmarkHandler is the whole work on a request but for the network: read,
// decide, encode, count.
func BenchmarkHandler(b *testing.B) {
	handler := admission.NewHandler(admission.Options{
		Config: configured(loginConfig(b)), Version: "v0.0.0", Log: discard, Metrics: prometheus.NewRegistry(),
	})
	for _, p := range benchmarked() {
		body := admissiontest.Review("CREATE", "", admissiontest.Pod(p.Containers, p.Annotations), "null")
		b.Run(p.Name, func(b *testing.B) {
			b.ReportAllocs()
			w := &responseWriter{header: http.Header{}}
			for b.Loop() {
				w.body.Reset()
				handler.ServeHTTP(w, post(body))
			}
			var answer struct{ Response struct{ Patch []byte } }
			if err := json.Unmarshal(w.body.Bytes(), &answer); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(body)), "request-B")
			b.ReportMetric(float64(len(answer.Response.Patch)), "patch-B")
		})
	}
}

// responseWriter keeps the last response, without the recorder's own work.
type responseWriter struct {
	header http.Header
	body   bytes.Buffer
}

func (w *responseWriter) Header() http.Header         { return w.header }
func (w *responseWriter) WriteHeader(int)             {}
func (w *responseWriter) Write(p []byte) (int, error) { return w.body.Write(p) }
