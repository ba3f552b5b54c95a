package admission_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
)

// What a request may cost. Allocated is everything, also what is collected at once.
const (
	allocatedPerByte = 12
	allocatedAnyway  = 10 << 20
	maxAnswer        = 2_300_000 // 1.5 MiB of patch in base64, and what stands around it
)

// expectBounded answers a request, and compares what it cost with the bounds.
func expectBounded(t *testing.T, h *admission.Handler, body []byte) {
	t.Helper()
	var before, after runtime.MemStats
	w := &countingWriter{header: http.Header{}}
	r := httptest.NewRequest(http.MethodPost, "/mutate", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	runtime.ReadMemStats(&before)
	h.ServeHTTP(w, r)
	runtime.ReadMemStats(&after)
	allocated, most := after.TotalAlloc-before.TotalAlloc, uint64(allocatedPerByte*len(body)+allocatedAnyway)
	if allocated > most {
		t.Errorf("a body of %d bytes costs %d bytes of memory, more than %d", len(body), allocated, most)
	}
	if w.written > maxAnswer {
		t.Errorf("a body of %d bytes has an answer of %d", len(body), w.written)
	}
}

// countingWriter keeps nothing of an answer.
type countingWriter struct {
	header  http.Header
	written int
}

func (w *countingWriter) Header() http.Header { return w.header }
func (w *countingWriter) WriteHeader(int)     {}
func (w *countingWriter) Write(p []byte) (int, error) {
	w.written += len(p)
	return len(p), nil
}

func boundedHandler(t testing.TB) *admission.Handler {
	t.Helper()
	return admission.NewHandler(admission.Options{
		Config: configured(loginConfig(t)), Version: "v0.0.0", Log: discard, Metrics: prometheus.NewRegistry(),
	})
}

// FuzzBounds: no request costs more memory than in proportion to its size, and no
// answer is larger than an API server can use. What is fuzzed are the pieces of
// which a program makes large requests.
func FuzzBounds(f *testing.F) {
	for _, s := range admissiontest.Shapes() {
		f.Add(s.List, s.Element, s.Size, s.Key, s.Value, s.Repeat)
	}
	h := boundedHandler(f)
	f.Fuzz(func(t *testing.T, list uint8, element string, size uint32, key uint8, value string, repeat uint32) {
		expectBounded(t, h, admissiontest.Shape{List: list, Element: element, Size: size, Key: key, Value: value, Repeat: repeat}.Review())
	})
}

func TestAmplificationIsBounded(t *testing.T) { //nolint:paralleltest // what is allocated is counted for the process
	for _, hostile := range admissiontest.Products() {
		t.Run(hostile.Name, func(t *testing.T) { expectBounded(t, boundedHandler(t), hostile.Review()) })
	}
}
