package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// progress is how far a request has come. The goroutines of a transport note it.
type progress struct{ stage atomic.Int32 }

const (
	connecting int32 = iota
	shakingHands
	connected
	answered
)

func (p *progress) traced(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeStart:    func() { p.stage.Store(shakingHands) },
		GotConn:              func(httptrace.GotConnInfo) { p.stage.Store(connected) },
		GotFirstResponseByte: func() { p.stage.Store(answered) },
	})
}

// explain adds to an error what it means where the request had come to. That one side
// speaks TLS and the other does not shows in many ways.
func (p *progress) explain(scheme string, err error) error {
	isCut := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
	ask := ""
	if scheme == "http" {
		ask = ": is it http at this port, and not https?"
	}
	switch stage := p.stage.Load(); {
	case isTLS(err) || isTimeout(err):
		return err
	case stage == shakingHands && isCut:
		return fmt.Errorf("the connection was closed during the TLS handshake (%w): is it https at this port?", err)
	case stage == connected:
		return fmt.Errorf("the connection was closed without an answer (%w)%s", err, ask)
	case stage == answered && !isCut: // the error may quote whatever was there instead
		return fmt.Errorf("the answer has no header of HTTP/1.1, or one of more than %d KiB%s", maxHeader>>10, ask)
	default:
		return err
	}
}

// explain says why there is no answer to a request that was for own at first.
func (c *Client) explain(ctx context.Context, own *url.URL, r Request, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("could not %s: %w", r.Doing, ctx.Err())
	}
	class := classify(err)
	// Names in certificates and the like are words of the other side, too.
	text := secret.Redact(printable(err.Error()), r.Secrets...) + hint(err)
	if class == failure.Timeout {
		text = fmt.Sprintf("no answer within %s", c.Timeout)
	}
	if r.URL != own {
		text += fmt.Sprintf(" (redirected to %s)", secret.Quote(r.URL.Host, r.Secrets...))
	}
	if proxy := c.proxyOf(r.URL); proxy != nil {
		text += fmt.Sprintf(" (through the proxy %s)", proxy.Redacted())
	}
	return r.Fail(class, errors.New(text))
}

// printable is a text in one line.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if !strconv.IsPrint(c) {
			return ' '
		}
		return c
	}, text)
}

func (c *Client) proxyOf(target *url.URL) *url.URL {
	if c.Proxy == nil {
		return nil
	}
	proxy, err := c.Proxy(&http.Request{URL: target})
	if err != nil {
		return nil // it is the error that is being explained
	}
	return proxy
}

// hint is what to look at after an error of TLS.
func hint(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return ": is its CA given by ca-file or ca-bundle?"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return ": is it https at this port?"
	}
	return ""
}

// classify tells what kind of failure of a connection it is.
func classify(err error) failure.Class {
	switch {
	case isUnreadable(err):
		return failure.Protocol
	case isTLS(err):
		return failure.TLS
	case isTimeout(err):
		return failure.Timeout
	default:
		return failure.Network
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && e.Timeout()
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	e, ok := errors.AsType[*net.OpError](err)
	return ok && (e.Op == "remote error" || e.Op == "local error") // so crypto/tls wraps alerts
}
