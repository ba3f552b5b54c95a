package admission

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// How many reviews are decided at the same time. It is work for the processor
// alone, so that more at a time would take more memory and be no faster. Those of
// large requests do not take the turns of small ones.
const (
	smallTurns = 4
	largeTurns = 2
)

// How many requests may wait, for a turn or for memory. More than this many
// connections have to be allowed, or else they could all wait.
const (
	maxSmallWaiting = 256
	maxLargeWaiting = 64
)

// Handler answers AdmissionReviews over HTTP.
type Handler struct {
	options Options
	metrics *metrics

	memory                 *budget // of large requests and answers, in bytes
	smallTurns, largeTurns *budget
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
	// Memory is how much large requests and answers may take together, in bytes;
	// DefaultMemory where it is zero, and enough for the largest request at least.
	Memory int64
}

// NewHandler returns a Handler.
func NewHandler(o Options) *Handler {
	memory := max(cmp.Or(o.Memory, DefaultMemory), minMemory)
	return &Handler{
		options: o, metrics: newMetrics(o.Metrics), memory: newBudget(memory, maxLargeWaiting),
		smallTurns: newBudget(smallTurns, maxSmallWaiting), largeTurns: newBudget(largeTurns, maxLargeWaiting),
	}
}

// ServeHTTP answers one review. A request that is not a review gets an HTTP
// error with a metav1.Status, which the API server shows to the person at
// kubectl; a panic ends this request alone.
//
// The server is to have a ReadTimeout and a WriteTimeout. Where a request takes
// much memory, there are shorter ones.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: w, r: r, deadline: time.Now().Add(waitFor(r)), buffers: takeBuffers()}
	defer c.buffers.release()
	defer c.memory.release()
	defer h.recoverPanic(r.Context(), w)
	answer, problem := h.answer(r.Context(), c)
	if problem != nil {
		h.refuse(r.Context(), w, problem)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // a client that went away is the API server's timeout, which it reports itself
}

// answer reads a request and returns its answer, within the bounds of memory.
func (h *Handler) answer(ctx context.Context, c *call) ([]byte, *httpProblem) {
	if problem := c.expectReview(); problem != nil {
		return nil, problem
	}
	body, problem := c.readBody(h.memory)
	if problem != nil {
		return nil, problem
	}
	turns := h.smallTurns
	if len(body) > small {
		turns = h.largeTurns
	}
	// What is small is decided quickly.
	if c.turn.acquire(turns, 1, len(body), c.deadline, nil) != nil {
		return nil, overloaded()
	}
	defer c.turn.release() // not before there is memory for the answer
	return h.decide(ctx, c, body)
}

// decide answers the review in a body, and counts it.
func (h *Handler) decide(ctx context.Context, c *call, body []byte) ([]byte, *httpProblem) {
	start := time.Now()
	cfg := h.options.Config()
	q, err := ReadReview(body, cfg.PodTemplates)
	if err != nil {
		return nil, &httpProblem{http.StatusBadRequest, metav1.StatusReasonBadRequest, Malformed, err.Error()}
	}
	d := Decide(cfg, h.options.Version, q)
	response, err := respond(q, &d, c.buffers)
	if err != nil {
		return nil, &httpProblem{http.StatusInternalServerError, metav1.StatusReasonInternalError, Panicked, err.Error()}
	}
	took := time.Since(start)
	if c.holdAnswer(h.memory, len(response)) != nil {
		return nil, overloaded()
	}
	h.metrics.decided(q, &d)
	h.metrics.duration.Observe(took.Seconds())
	h.log(ctx, &cfg.Parser, q, &d, took)
	return response, nil
}

// httpProblem is a request that cannot be answered by a review.
type httpProblem struct {
	code    int32
	status  metav1.StatusReason
	reason  Reason
	message string
}

// retryAfter is when to try again after too much at a time, in seconds. An API
// server does, as long as the call's timeout allows.
const retryAfter = "1"

// refuse answers with an HTTP error.
func (h *Handler) refuse(ctx context.Context, w http.ResponseWriter, p *httpProblem) {
	h.metrics.count(Failed, p.reason)
	level := slog.LevelError
	if p.reason == NotReview {
		level = slog.LevelInfo // no trouble of the API server's
	}
	h.options.Log.Log(ctx, level, "request refused", "code", p.code, "reason", p.reason, "message", p.message)
	w.Header().Set("Content-Type", "application/json")
	if p.reason == Overloaded {
		w.Header().Set("Retry-After", retryAfter)
	}
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
		"internal error: see the log of the webhook",
	})
}

// log writes the request's line. Errors and warnings quote annotations, so only
// the places they point at are logged, as far as they are none of the pod's own.
func (h *Handler) log(ctx context.Context, parser *annotations.Parser, q *Request, d *Decision, took time.Duration) {
	level := slog.LevelDebug
	// The controller that creates a pod keeps what it is told to itself.
	if d.Outcome == Denied || len(d.Warnings) > 0 {
		level = slog.LevelInfo
	}
	if !h.options.Log.Enabled(ctx, level) {
		return
	}
	said := d.saidErrors()
	places := make([]string, 0, len(said))
	for _, err := range said {
		places = append(places, loggedPlace(parser, strings.TrimPrefix(err.Field, q.Template+".")))
	}
	h.options.Log.Log(ctx, level, "admission", "outcome", d.Outcome, "reason", d.Reason,
		"uid", loggedName(q.UID), "operation", loggedName(string(q.Operation)), "namespace", loggedName(q.Namespace),
		"kind", loggedName(q.kind()), "name", loggedName(q.name()), "owner", q.owner(),
		"dryRun", q.DryRun, "tokens", len(d.Tokens), "logins", len(d.Logins), "containers", len(d.Containers), "warnings", len(d.Warnings),
		"errors", slices.Compact(places), "duration", took)
}
