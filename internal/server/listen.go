package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

// The bounds of all servers.
const (
	headerTimeout   = 5 * time.Second // also of the TLS handshake
	requestTimeout  = 10 * time.Second
	answerTimeout   = 15 * time.Second
	idleTimeout     = 90 * time.Second // as long as an API server keeps them
	shutdownTimeout = time.Minute
	maxHeader       = 16 << 10
)

// bound is how many connections a server has, and how many it can make a second at
// the cost of others.
type bound struct {
	connections int
	greeting    time.Duration
}

var (
	// A connection takes some 40 KiB, and 32 KiB more while a request is on its way
	// that sends so much. Under a flood, 1 280 new ones a second have the time for
	// their handshake.
	hookBound = bound{512, 400 * time.Millisecond}
	// Probes and metrics are asked for with the first packet.
	plainBound = bound{256, 100 * time.Millisecond}
)

// memoryOfRequests is how much of the program's memory large requests and answers
// may take: a fifth. The rest is for the program itself, for the connections, for
// what a decision needs, and for what is not collected yet.
func memoryOfRequests(limit int64) int64 {
	const most = 256 << 20 // also where there is no limit
	return min(limit/5, most)
}

// newServer is a server with bounds, and its listener.
func newServer(inner net.Listener, handler http.Handler, b bound, log *slog.Logger) (*http.Server, net.Listener) {
	s := &http.Server{
		Handler: handler, ErrorLog: newErrorLog(log),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout,
		WriteTimeout: answerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		// What arrives of requests before the handler asks for it.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 16, MaxReceiveBufferPerConnection: 1 << 16, MaxReceiveBufferPerStream: 1 << 16},
	}
	connections := newConnections(b.connections, b.greeting)
	connections.watch(s)
	return s, connections.listener(inner)
}

// serve returns the task that serves something by plain HTTP on an address, until its
// context ends.
func serve(what, address string, handler http.Handler, log *slog.Logger) task {
	return func(ctx context.Context) error {
		if address == disabled {
			return nil
		}
		inner, err := listen(ctx, address)
		if err != nil {
			return err
		}
		log.Info("serving", "what", what, "address", inner.Addr().String())
		server, listener := newServer(inner, handler, plainBound, log)
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		return serveOn(server, listener)
	}
}

// serveHooks returns the task that serves the webhooks over TLS. When its context
// ends, requests in flight are answered. It is here, and not in
// controller-runtime, because the server there has no deadline but for headers, no
// bound on connections, and no way to set either.
func serveHooks(o *Options, handler http.Handler, configure func(*tls.Config), log *slog.Logger) task {
	return func(ctx context.Context) error {
		inner, err := listen(ctx, net.JoinHostPort(o.BindAddress, strconv.Itoa(o.Port)))
		if err != nil {
			return err
		}
		log.Info("serving", "what", "admission reviews", "address", inner.Addr().String())
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		configure(config)
		server, listener := newServer(inner, handler, hookBound, log)
		stopped := make(chan error, 1)
		stop := context.AfterFunc(ctx, func() {
			outlives, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
			defer cancel()
			stopped <- server.Shutdown(outlives)
		})
		if err := serveOn(server, tls.NewListener(listener, config)); err != nil {
			stop()
			return err
		}
		if err := <-stopped; err != nil {
			log.Error("in-flight requests were aborted", "error", err)
		}
		return nil
	}
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("could not listen on %s: %w", address, err)
	}
	return listener, nil
}

// serveOn serves until the server is closed.
func serveOn(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("could not serve on %s: %w", listener.Addr(), err)
	}
	return nil
}
