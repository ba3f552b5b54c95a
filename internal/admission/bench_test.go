package admission_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// benchmarked are pods of all sizes, and some that ask for more.
func benchmarked() []admissiontest.Size {
	const prefix = "oidc-injector.io/"
	env := map[string]string{prefix + "audience": "vault", prefix + "env": "TOKEN_FILE"}
	login := map[string]string{
		prefix + "audience": "vault", prefix + "login": "vault",
		prefix + "login-address": "https://vault.example.com:8200",
	}
	tokens := map[string]string{}
	for i := range 32 {
		tokens[fmt.Sprintf("%saudience.t%d", prefix, i)] = fmt.Sprintf("audience-%d", i)
		tokens[fmt.Sprintf("%smount-path.t%d", prefix, i)] = fmt.Sprintf("/var/run/secrets/t%d", i)
	}
	aws := map[string]string{prefix + "aws-role-arn": "arn:aws:iam::123456789012:role/app", prefix + "aws-region": "eu-central-1"}
	gcp := map[string]string{prefix + "gcp-provider": "projects/123456789012/locations/global/workloadIdentityPools/pool/providers/cluster"}
	foreign := map[string]string{prefix + "audience": "vault"}
	for i := range 1000 {
		foreign[fmt.Sprintf("example.com/annotation-%d", i)] = "the value of another program"
	}
	return append(admissiontest.Sizes(),
		admissiontest.Size{Name: "plain-2KB-env", Object: admissiontest.PlainPod(env), Patched: true},
		admissiontest.Size{Name: "small-3KB-env", Object: admissiontest.Pod(1, env), Patched: true},
		admissiontest.Size{Name: "medium-11KB-env", Object: admissiontest.Pod(6, env), Patched: true},
		admissiontest.Size{Name: "large-77KB-env", Object: admissiontest.Pod(50, env), Patched: true},
		admissiontest.Size{Name: "medium-11KB-login", Object: admissiontest.Pod(6, login), Patched: true},
		admissiontest.Size{Name: "small-3KB-aws", Object: admissiontest.Pod(1, aws), Patched: true},
		admissiontest.Size{Name: "medium-11KB-aws", Object: admissiontest.Pod(6, aws), Patched: true},
		admissiontest.Size{Name: "medium-11KB-gcp", Object: admissiontest.Pod(6, gcp), Patched: true},
		admissiontest.Size{Name: "32-tokens", Object: admissiontest.Pod(1, tokens), Patched: true},
		admissiontest.Size{Name: "1000-foreign-annotations", Object: admissiontest.Pod(1, foreign), Patched: true},
	)
}

// BenchmarkDecide is from the bytes of a review to the list of operations.
func BenchmarkDecide(b *testing.B) {
	cfg := loginConfig(b)
	for _, p := range benchmarked() {
		body := p.Review()
		b.Run(p.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q, err := admission.ReadReview(body, podtemplate.BuiltIn)
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

// BenchmarkHandler is the whole work on a request but for the network: read,
// decide, encode, count. The request is the same each time, so that making it is
// not measured.
func BenchmarkHandler(b *testing.B) {
	handler := admission.NewHandler(admission.Options{
		Config: configured(loginConfig(b)), Version: "v0.0.0", Log: discard, Metrics: prometheus.NewRegistry(),
	})
	for _, p := range benchmarked() {
		sent := p.Review()
		b.Run(p.Name, func(b *testing.B) {
			b.ReportAllocs()
			w := &responseWriter{header: http.Header{}}
			body := &requestBody{}
			r := httptest.NewRequest(http.MethodPost, "/mutate?timeout=10s", body)
			r.ContentLength = int64(len(sent))
			r.Header.Set("Content-Type", "application/json")
			for b.Loop() {
				w.body.Reset()
				body.Reset(sent)
				r.Body = body
				handler.ServeHTTP(w, r)
			}
			var answer struct{ Response struct{ Patch []byte } }
			if err := json.Unmarshal(w.body.Bytes(), &answer); err != nil || (len(answer.Response.Patch) > 0) != p.Patched {
				b.Fatalf("%v in %s", err, w.body.Bytes())
			}
			b.ReportMetric(float64(len(sent)), "request-B")
			b.ReportMetric(float64(len(answer.Response.Patch)), "patch-B")
		})
	}
}

// requestBody is a body that can be sent again.
type requestBody struct{ bytes.Reader }

func (*requestBody) Close() error { return nil }

var _ io.ReadCloser = (*requestBody)(nil)

// responseWriter keeps the last response, without the recorder's own work.
type responseWriter struct {
	header http.Header
	body   bytes.Buffer
}

func (w *responseWriter) Header() http.Header { return w.header }
func (w *responseWriter) WriteHeader(int)     {}

// Deadlines are what the server's own writer takes.
func (w *responseWriter) SetReadDeadline(time.Time) error  { return nil }
func (w *responseWriter) SetWriteDeadline(time.Time) error { return nil }

func (w *responseWriter) Write(p []byte) (int, error) { return w.body.Write(p) }
