package login

import (
	"io"
	"log/slog"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

func newLogger(w io.Writer, format string, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == loginspec.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
