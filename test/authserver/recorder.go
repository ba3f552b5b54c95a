package authserver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// maxBody bounds what is read of a request.
const maxBody = 1 << 20

// Request is a request as it came over the wire, and what became of it. It holds
// whatever secrets the client has sent.
type Request struct {
	// Time is when it came.
	Time time.Time
	// Method, Path and Header are those of the request. A Host that is not the
	// server's URL came by another address.
	Method, Path, Host string
	Header             http.Header
	// Query are the parameters in the URL, where a token request should have
	// none (RFC 6749, section 3.2).
	Query url.Values
	// Form are the parameters in the body. All values of a parameter are there,
	// although the library looks at one of them.
	Form url.Values
	// Status is that of the answer.
	Status int
	// Refusal is why a token was not accepted. The answer tells the client less.
	Refusal string
}

// recorder remembers requests.
type recorder struct {
	mu  sync.Mutex
	all []*Request
}

func (l *recorder) requests(path string) []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Request
	for _, request := range l.all {
		if request.Path == path {
			found = append(found, *request)
		}
	}
	return slices.Clip(found)
}

type requestKey struct{}

// refused notes why a token of the request was not accepted.
func refused(ctx context.Context, err error) {
	if request, ok := ctx.Value(requestKey{}).(*Request); ok && err != nil {
		request.Refusal = err.Error()
	}
}

// record remembers each request before its answer is complete: whoever has read
// the answer finds the request.
func (l *recorder) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := &Request{
			Time: time.Now(), Method: r.Method, Path: r.URL.Path, Host: r.Host,
			Header: r.Header.Clone(), Query: r.URL.Query(),
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "could not read the body", http.StatusBadRequest)
			return
		}
		// What is no form has no values; the library tells the client.
		request.Form, _ = url.ParseQuery(string(body))
		r.Body = io.NopCloser(bytes.NewReader(body))

		recorded := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(recorded, r.WithContext(context.WithValue(r.Context(), requestKey{}, request)))
		request.Status = recorded.status
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, request)
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
