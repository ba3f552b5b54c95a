package server

import (
	"context"
	"io"
	"log" //nolint:depguard // net/http writes to one
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// newLogger returns the program's logger. Two libraries are made to write to it, each by
// the only means that it has: what controller-runtime says of certificates in files, and
// client-go of API servers and of tokens that it cannot renew, is said nowhere else.
func newLogger(o *Options, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevels[o.LogLevel], ReplaceAttr: writeDuration}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if o.LogFormat == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	logger := slog.New(handler)
	ctrllog.SetLogger(logr.FromSlogHandler(handler))
	klog.SetSlogLogger(logger)
	return logger
}

// writeDuration writes durations as Go does (1.5s), in both formats. In JSON they would
// be nanoseconds.
func writeDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// newErrorLog returns the logger of a [net/http.Server].
func newErrorLog(logger *slog.Logger) *log.Logger { return log.New(errorLog{logger}, "", 0) }

// errorLog takes what an HTTP server says.
type errorLog struct{ logger *slog.Logger }

// Write logs one line. A client that gives up during the TLS handshake, as
// probes and scanners do, is no trouble of ours.
func (l errorLog) Write(line []byte) (int, error) {
	text, level := strings.TrimSpace(string(line)), slog.LevelError
	if strings.Contains(text, "TLS handshake error") {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, "http server", "message", text)
	return len(line), nil
}
