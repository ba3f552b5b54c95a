package server_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// BenchmarkRead compares our reading of a review, pod included, with that of
// controller-runtime, which leaves the pod unread (docs/design/reading-reviews.md). It stands here because
// fuzzing internal/admission would else instrument all of controller-runtime.
func BenchmarkRead(b *testing.B) {
	general := &ctrladmission.Webhook{Handler: ctrladmission.HandlerFunc(func(context.Context,
		ctrladmission.Request,
	) ctrladmission.Response {
		return ctrladmission.Allowed("")
	})}
	for _, size := range admissiontest.Sizes() {
		body := size.Review()
		b.Run("ours/"+size.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := admission.ReadReview(body, podtemplate.BuiltIn); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("controller-runtime/"+size.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/mutate", bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				general.ServeHTTP(nowhere{}, r)
			}
		})
	}
}

// nowhere drops a response.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
