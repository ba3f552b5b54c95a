package admission

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// MaxBody is the largest request that is read, in bytes: two objects of the
	// 3 MiB that the API server takes in a write, and 1 MiB for the rest
	// (k8s.io/apiserver, MaxRequestBodyBytes).
	MaxBody = 7 << 20
	// small is what every request may take, for its body or for its answer, without
	// asking anybody: the bound on connections is the bound on it. Nearly every
	// review and answer is smaller, so those are never behind large ones.
	small = 32 << 10
	// firstBuffer is what is reserved for a body of which nothing has come yet.
	firstBuffer = 16 << 10
	// DefaultMemory is how much large bodies and large answers take together, in
	// bytes: seven reviews of pods as large as an API server accepts.
	DefaultMemory = 24 << 20
	// minMemory is what a single request can need.
	minMemory = MaxBody + 1
)

// The time that a call has, where it does not say, and at most. An API server
// says it in the URL (?timeout=10s). The handler takes three quarters of it for
// all that it waits for, so that its answer comes before the caller gives up.
const maxCall = 10 * time.Second

// maxAnswerWait is how long an answer may wait for memory. It keeps a turn
// meanwhile.
const maxAnswerWait = patience / 4

// waitFor returns how long a request may wait: for its body, for memory, for its
// turn.
func waitFor(r *http.Request) time.Duration {
	timeout := maxCall
	// The API server sends this parameter alone; any other form is no timeout.
	if value, ok := strings.CutPrefix(r.URL.RawQuery, "timeout="); ok {
		if asked, err := time.ParseDuration(value); err == nil && asked > 0 {
			timeout = min(asked, maxCall)
		}
	}
	return timeout * 3 / 4
}

// call is a request in flight, with the memory that it holds.
type call struct {
	w        http.ResponseWriter
	r        *http.Request
	deadline time.Time // of all waiting
	memory   claim     // where small is not enough
	turn     claim
	buffers  *buffers // of the answer
}

// expectReview refuses what an API server does not send.
func (c *call) expectReview() *httpProblem {
	if c.r.Method != http.MethodPost {
		c.w.Header().Set("Allow", http.MethodPost)
		return &httpProblem{http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, NotReview, "send an AdmissionReview by POST"}
	}
	contentType := c.r.Header.Get("Content-Type")
	if contentType == "application/json" {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(contentType); err != nil || kind != "application/json" {
		return &httpProblem{
			http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, NotReview,
			"the Content-Type must be application/json",
		}
	}
	return nil
}

// readBody reads the body. A buffer is reserved for bytes that have come, not for
// those that are announced: first a small one; once that is full, and there is
// room for a body of the announced size, the final one.
func (c *call) readBody(b *budget) ([]byte, *httpProblem) {
	size := c.r.ContentLength
	switch {
	case size > MaxBody:
		return nil, tooLarge()
	case size < 0:
		size = MaxBody + 1 // which is one byte more than it may be
	}
	var body []byte
	for _, capacity := range []int64{firstBuffer, small, size} {
		if capacity == size && size > small {
			_ = c.controller().SetReadDeadline(c.deadline)
			if err := c.memory.acquire(b, size, 0, c.deadline, c.stopReading); err != nil {
				return nil, overloaded()
			}
		}
		body = append(make([]byte, 0, min(capacity, size)), body...)
		var err error
		if body, err = fill(c.r.Body, body); err != nil || int64(len(body)) == size {
			return c.endBody(body, err)
		}
	}
	return nil, tooLarge()
}

// fill reads until the buffer is full.
func fill(r io.Reader, buffer []byte) ([]byte, error) {
	for len(buffer) < cap(buffer) {
		n, err := r.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if err != nil {
			return buffer, err
		}
	}
	return buffer, nil
}

// endBody judges what was read until err.
func (c *call) endBody(body []byte, err error) ([]byte, *httpProblem) {
	switch kept := c.memory.keep(); {
	case kept != nil, errors.Is(err, os.ErrDeadlineExceeded): // it waited for memory, or for its client
		return nil, overloaded()
	case len(body) > MaxBody:
		return nil, tooLarge()
	case err != nil && !errors.Is(err, io.EOF), int64(len(body)) < c.r.ContentLength:
		return nil, &httpProblem{http.StatusBadRequest, metav1.StatusReasonBadRequest, Malformed, "the request's body could not be read"}
	}
	if c.memory.budget != nil {
		_ = c.controller().SetReadDeadline(time.Time{}) // the server sets one for the next request
	}
	return body, nil
}

// holdAnswer exchanges the memory of the request, which is done with, for that of
// the answer, until the client has taken it.
func (c *call) holdAnswer(b *budget, size int) error {
	c.memory.release()
	if size <= small {
		return nil
	}
	_ = c.controller().SetWriteDeadline(c.deadline.Add(maxCall / 4))
	return c.memory.acquire(b, int64(size), 0, time.Now().Add(maxAnswerWait), c.stopWriting)
}

// A server that cannot set deadlines is one of a unit test.
func (c *call) controller() *http.ResponseController { return http.NewResponseController(c.w) }

func (c *call) stopReading() { _ = c.controller().SetReadDeadline(time.Unix(1, 0)) }
func (c *call) stopWriting() { _ = c.controller().SetWriteDeadline(time.Unix(1, 0)) }

func tooLarge() *httpProblem {
	return &httpProblem{
		http.StatusRequestEntityTooLarge, metav1.StatusReasonRequestEntityTooLarge, TooLarge,
		fmt.Sprintf("the request is larger than %d bytes", MaxBody),
	}
}

func overloaded() *httpProblem {
	return &httpProblem{
		http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, Overloaded,
		"too many large requests are in flight: try again",
	}
}
