// Package exchange is what the exchanges with relying parties have in common:
// what they give, and the HTTP underneath.
package exchange

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// maxHeader bounds the header of an answer.
const maxHeader = 64 << 10

// Client sends requests. Each goes over a connection of its own: the next one
// is minutes or hours away, an idle connection costs memory on both sides and
// may be dead by then, and so a new CA or client certificate counts at once.
type Client struct {
	TLS TLS
	// RedirectHosts are hosts that a request may be redirected to, beside that of its
	// URL: with a port, or else with that of the scheme.
	RedirectHosts []string
	// Timeout bounds a request, its redirects and its answer.
	Timeout time.Duration
	// UserAgent is how the client calls itself.
	UserAgent string
	// Proxy chooses a proxy, as http.ProxyFromEnvironment does.
	Proxy func(*http.Request) (*url.URL, error)
	// Dial connects; nil does so by the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Request is a request to a relying party.
type Request struct {
	// Doing completes "could not …" in errors.
	Doing  string
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte
	// Secrets are what the request carries and no error may show.
	Secrets []secret.Text
}

// Response is a complete answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Success reports whether the status is one of success.
func (r Response) Success() bool { return r.Status >= 200 && r.Status <= 299 }

// Answered is when the relying party answered, by its own clock; zero where it does
// not say.
func (r Response) Answered() time.Time {
	answered, _ := http.ParseTime(r.Header.Get("Date"))
	return answered
}

// Do sends a request and reads the answer, whatever its status. An error is a
// *failure.Error, or wraps that of ctx.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) {
	config, err := c.TLS.config()
	if err != nil {
		return Response{}, r.Fail(failure.TLS, err)
	}
	transport := &http.Transport{
		Proxy:                  c.Proxy,
		DialContext:            c.Dial,
		TLSClientConfig:        config,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()

	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	own := r.URL
	for range maxRedirects + 1 {
		response, err := c.send(limited, transport, r)
		if err != nil {
			return Response{}, c.explain(ctx, own, r, err)
		}
		target, err := c.redirection(own, r, response)
		if err != nil {
			return Response{}, r.Fail(failure.Protocol, fmt.Errorf("%d: %w", response.Status, err))
		}
		if target == nil {
			return response, nil
		}
		r.URL = target
	}
	return Response{}, r.Fail(failure.Protocol, errLoop)
}

// send makes one HTTP request.
func (c *Client) send(ctx context.Context, transport http.RoundTripper, r Request) (Response, error) {
	var progress progress
	request, err := http.NewRequestWithContext(progress.traced(ctx), r.Method, r.URL.String(), bytes.NewReader(r.Body))
	if err != nil {
		return Response{}, err
	}
	maps.Copy(request.Header, r.Header)
	request.Header.Set("User-Agent", c.UserAgent)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Encoding", "identity")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Response{}, progress.explain(r.URL.Scheme, err)
	}
	defer response.Body.Close()
	answer := Response{Status: response.StatusCode, Header: response.Header}
	answer.Body, err = readAll(response.Body)
	if err == nil {
		answer.Body, err = decode(answer.Body, response.Header.Values("Content-Encoding"))
	}
	if err != nil && (answer.Success() || !isUnreadable(err)) {
		return Response{}, fmt.Errorf("could not read the answer: %w", err)
	}
	return answer, nil
}

// Fail is the failure of a request.
func (r Request) Fail(class failure.Class, cause error) error {
	return &failure.Error{Class: class, Doing: r.Doing, Cause: cause}
}
