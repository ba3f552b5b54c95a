package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/config"
)

const (
	// MaxBody is the largest request that is read, in bytes: two objects of the
	// 3 MiB that the API server takes in a write, and 1 MiB for the rest
	// (k8s.io/apiserver, MaxRequestBodyBytes).
	MaxBody = 7 << 20
	// maxPromised is how much memory a client gets for a Content-Length alone, in
	// bytes: more than nearly every review has, and not what a client that sends
	// nothing behind its header could hurt with.
	maxPromised = 256 << 10
	// readTimeout bounds how long a client may take to send its request. No
	// webhook call may last longer than 30 s (MutatingWebhook.timeoutSeconds).
	readTimeout = 30 * time.Second
)

// Handler answers AdmissionReviews over HTTP.
type Handler struct {
	options Options
	metrics *metrics
}

// Options are the dependencies of a Handler.
type Options struct {
	// Config returns the configuration in force.
	Config func() *config.Config
	// Version is recorded in the status annotation.
	Version string
	// Log gets a line for each request: at debug level, where it was denied at
	// info level, where it was not understood at error level. Never any content
	// of a pod.
	Log *slog.Logger
	// Metrics gets the admission metrics.
	Metrics prometheus.Registerer
}

// NewHandler returns a Handler.
func NewHandler(o Options) *Handler {
	return &Handler{options: o, metrics: newMetrics(o.Metrics)}
}

// ServeHTTP answers one review. A request that is not a review gets an HTTP
// error with a metav1.Status, which the API server shows to the person at
// kubectl; a panic ends this request alone.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.recoverPanic(r.Context(), w)
	body, problem := readBody(w, r)
	if problem != nil {
		h.refuse(r.Context(), w, problem)
		return
	}
	start := time.Now()
	q, err := ReadReview(body)
	if err != nil {
		h.refuse(r.Context(), w, &httpProblem{http.StatusBadRequest, metav1.StatusReasonBadRequest, Malformed, err.Error()})
		return
	}
	d := Decide(h.options.Config(), h.options.Version, q)
	response, err := respond(q, &d)
	if err != nil {
		h.refuse(r.Context(), w, &httpProblem{http.StatusInternalServerError, metav1.StatusReasonInternalError, Panicked, err.Error()})
		return
	}
	took := time.Since(start)
	h.metrics.count(d.Outcome, d.Reason)
	h.metrics.duration.Observe(took.Seconds())
	h.log(r.Context(), q, &d, took)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(response) // a client that went away is the API server's timeout, which it reports itself
}

// httpProblem is a request that cannot be answered by a review.
type httpProblem struct {
	code    int32
	status  metav1.StatusReason
	reason  Reason
	message string
}

// readBody reads a request's body, within its bounds.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *httpProblem) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &httpProblem{http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, NotReview, "send an AdmissionReview by POST"}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, &httpProblem{http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, NotReview, "the Content-Type must be application/json"}
	}
	// A server that cannot set deadlines is one of a unit test.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
	var buffer bytes.Buffer
	if r.ContentLength > 0 {
		buffer.Grow(int(min(r.ContentLength, maxPromised)) + bytes.MinRead)
	}
	_, err := io.Copy(&buffer, http.MaxBytesReader(w, r.Body, MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &httpProblem{
			http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, TooLarge,
			fmt.Sprintf("the request is larger than %d bytes", MaxBody),
		}
	}
	if err != nil {
		return nil, &httpProblem{http.StatusBadRequest, metav1.StatusReasonBadRequest, Malformed, "the request's body could not be read"}
	}
	return buffer.Bytes(), nil
}

// refuse answers with an HTTP error.
func (h *Handler) refuse(ctx context.Context, w http.ResponseWriter, p *httpProblem) {
	h.metrics.count(Failed, p.reason)
	level := slog.LevelError
	if p.reason == NotReview {
		level = slog.LevelInfo // no trouble of the API server's
	}
	h.options.Log.Log(ctx, level, "request refused", "code", p.code, "reason", p.reason, "message", p.message)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(p.code))
	_ = json.NewEncoder(w).Encode(metav1.Status{ // a client that went away needs no answer
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: p.code, Reason: p.status, Message: p.message,
	})
}

// recoverPanic turns a panic into an answer. What the panic says is logged only
// where the runtime said it: anything else could hold a piece of a pod.
func (h *Handler) recoverPanic(ctx context.Context, w http.ResponseWriter) {
	cause := recover()
	if cause == nil {
		return
	}
	text := fmt.Sprintf("%T", cause)
	if err, ok := cause.(runtime.Error); ok {
		text = err.Error()
	}
	h.options.Log.ErrorContext(ctx, "panic while answering a request", "cause", text, "stack", string(debug.Stack()))
	h.refuse(ctx, w, &httpProblem{
		http.StatusInternalServerError, metav1.StatusReasonInternalError, Panicked,
		"the injector has a defect: see its log",
	})
}

// log writes the request's line. Errors and warnings quote annotations, so only
// the places they point at are logged.
func (h *Handler) log(ctx context.Context, q *Request, d *Decision, took time.Duration) {
	level := slog.LevelDebug
	if d.Outcome == Denied {
		level = slog.LevelInfo
	}
	if !h.options.Log.Enabled(ctx, level) {
		return
	}
	said := d.saidErrors()
	fields := make([]string, 0, len(said))
	for _, err := range said {
		fields = append(fields, err.Field)
	}
	h.options.Log.Log(ctx, level, "admission", "outcome", d.Outcome, "reason", d.Reason,
		"uid", q.UID, "operation", q.Operation, "namespace", q.Namespace, "name", q.Name, "dryRun", q.DryRun,
		"tokens", len(d.Tokens), "logins", len(d.Logins), "containers", len(d.Containers), "warnings", len(d.Warnings),
		"errors", fields, "duration", took.String())
}
