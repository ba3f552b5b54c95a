package server

import (
	"context"
	"io"
	"log" //nolint:depguard // net/http writes to it
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// newLogger returns the program's logger, and makes the libraries write to it.
func newLogger(o *Options, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevels[o.LogLevel], ReplaceAttr: writeDuration}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if o.LogFormat == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	logger := slog.New(handler)
	ctrllog.SetLogger(logr.FromSlogHandler(handler))
	klog.SetSlogLogger(logger)
	log.SetFlags(0)
	log.SetOutput(&standardLog{logger})
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

// standardLog takes what net/http writes to the standard logger.
type standardLog struct{ logger *slog.Logger }

// Write logs one line. A client that gives up during the TLS handshake, as
// probes and scanners do, is no trouble of ours.
func (l *standardLog) Write(line []byte) (int, error) {
	text, level := strings.TrimSpace(string(line)), slog.LevelError
	if strings.Contains(text, "TLS handshake error") {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, "http server", "message", text)
	return len(line), nil
}
