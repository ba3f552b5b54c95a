package admission_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// scarce is a server with memory for one review of the largest size at a time.
func scarce(t *testing.T, cfg func() *config.Config) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(admission.NewHandler(admission.Options{
		Config: cfg, Log: discard, Metrics: prometheus.NewRegistry(), Memory: 1,
	}))
	t.Cleanup(server.Close)
	return server
}

// reply is what a client gets.
type reply struct {
	code       int
	retryAfter string
	body       []byte
	err        error
}

// call sends a review whose body comes from a reader.
func call(ctx context.Context, server *httptest.Server, query string, size int, body io.Reader) reply {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+query, body)
	if err != nil {
		return reply{err: err}
	}
	r.ContentLength = int64(size)
	r.Header.Set("Content-Type", "application/json")
	response, err := server.Client().Do(r)
	if err != nil {
		return reply{err: err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header.Get("Retry-After"), text, err}
}

func expectAnswered(t *testing.T, name string, r reply) {
	t.Helper()
	if r.err != nil || r.code != http.StatusOK {
		t.Errorf("%s: HTTP %d %s: %v", name, r.code, r.body, r.err)
	}
}

// halfSent are clients that send half of a body, and then nothing until the test
// ends.
func halfSent(t *testing.T, server *httptest.Server, clients, size int) {
	t.Helper()
	for range clients {
		rest, _ := io.Pipe()
		body := padded(size)
		go func() { _ = call(t.Context(), server, "", size, io.MultiReader(bytes.NewReader(body[:size/2]), rest)) }()
	}
}

func TestSlowClientsGiveWay(t *testing.T) {
	t.Parallel()
	const small, large = 20_000, 3_000_000
	for name, attack := range map[string]func(*testing.T, *httptest.Server){
		"half-sent large bodies": func(t *testing.T, s *httptest.Server) { t.Helper(); halfSent(t, s, 20, admission.MaxBody) },
		"half-sent small bodies": func(t *testing.T, s *httptest.Server) { t.Helper(); halfSent(t, s, 200, small) },
		"bodies that are promised": func(t *testing.T, s *httptest.Server) {
			t.Helper()
			for range 200 {
				rest, _ := io.Pipe()
				go func() { _ = call(t.Context(), s, "", admission.MaxBody, rest) }()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := scarce(t, configured(defaultConfig()))
			attack(t, server)
			time.Sleep(300 * time.Millisecond) // so that it has begun, which nothing else shows
			for _, size := range []int{small, large} {
				expectAnswered(t, "a review beside it", call(t.Context(), server, "?timeout=10s", size, bytes.NewReader(padded(size))))
			}
		})
	}
}

func TestWaitTimeoutIsRetryable(t *testing.T) {
	t.Parallel()
	const size = 5_000_000
	blocked, goOn := make(chan struct{}, 1), make(chan struct{})
	server := scarce(t, func() *config.Config {
		select {
		case blocked <- struct{}{}:
			<-goOn
		default:
		}
		return defaultConfig()
	})
	first := make(chan reply, 1)
	go func() { first <- call(t.Context(), server, "", size, bytes.NewReader(padded(size))) }()
	for len(blocked) == 0 { // its decision takes long
		time.Sleep(time.Millisecond)
	}
	r := call(t.Context(), server, "?timeout=1s", size, bytes.NewReader(padded(size)))
	if r.err != nil {
		t.Fatal(r.err)
	}
	want := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: http.StatusTooManyRequests,
		Reason: metav1.StatusReasonTooManyRequests, Message: "too many large requests are in flight: try again",
	}
	var got metav1.Status
	decode(t, r.body, &got)
	if diff := cmp.Diff(want, got); diff != "" || r.code != http.StatusTooManyRequests || r.retryAfter != "1" {
		t.Errorf("HTTP %d, Retry-After %q, status (-want +got):\n%s", r.code, r.retryAfter, diff)
	}
	close(goOn)
	expectAnswered(t, "the first", <-first)
	expectAnswered(t, "one after it", call(t.Context(), server, "", size, bytes.NewReader(padded(size))))
}

// A body may come in chunks, of which nobody says how many there are.
func TestLargeBodyWithoutLength(t *testing.T) {
	t.Parallel()
	server := scarce(t, configured(defaultConfig()))
	for _, size := range []int{1000, 16 << 10, 32 << 10, 100_000, admission.MaxBody} {
		expectAnswered(t, "chunked", call(t.Context(), server, "", -1, io.MultiReader(bytes.NewReader(padded(size)))))
		expectAnswered(t, "with a length", call(t.Context(), server, "", size, bytes.NewReader(padded(size))))
	}
}

func TestLostBodyReleasesMemory(t *testing.T) {
	t.Parallel()
	server := scarce(t, configured(defaultConfig()))
	const size = admission.MaxBody
	for range 3 {
		broken := io.MultiReader(bytes.NewReader(padded(size)[:size/2]), &brokenReader{})
		if r := call(t.Context(), server, "", size, broken); r.err == nil {
			t.Errorf("HTTP %d", r.code)
		}
		expectAnswered(t, "the next", call(t.Context(), server, "", size, bytes.NewReader(padded(size))))
	}
}

type brokenReader struct{}

var errBroken = errors.New("broken")

func (*brokenReader) Read([]byte) (int, error) { return 0, errBroken }
