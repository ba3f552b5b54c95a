package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// listen serves probes and metrics, and takes the workload's word for a bad
// token, until the returned function is called.
func listen(ctx context.Context, address string, r *report, ask func(), log *slog.Logger) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("could not serve metrics: %w", err)
	}
	server := &http.Server{
		Handler: handler(r, ask), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("listener stopped", "error", err)
		}
	}()
	log.Info("serving probes and metrics", "address", listener.Addr().String())
	return func() {
		_ = server.Close()
		<-done
	}, nil
}

func handler(r *report, ask func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusOK
		ok, line := r.say(time.Now())
		if !ok {
			status = http.StatusServiceUnavailable
		}
		answer(w, status, line)
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		r.writeMetrics(w, time.Now())
	})
	mux.HandleFunc("POST /relogin", func(w http.ResponseWriter, request *http.Request) {
		if !fromPod(request.RemoteAddr) {
			answer(w, http.StatusForbidden, "only for containers of this pod, at 127.0.0.1 or ::1")
			return
		}
		ask()
		answer(w, http.StatusAccepted, "the token will be looked at")
	})
	return mux
}

// fromPod reports whether a request comes from the pod itself: its containers
// share a network, and with it the loopback interface.
func fromPod(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	return err == nil && net.ParseIP(host).IsLoopback()
}

func answer(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, line+"\n")
}
