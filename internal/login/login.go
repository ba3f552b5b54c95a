// Package login exchanges a projected ServiceAccount token for a token of a
// relying party, writes that to a file, and keeps it fresh.
package login

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"runtime/debug"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/output"
	"github.com/oidc-injector/oidc-injector/internal/login/schedule"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// Run logs in as the configuration says and writes its log to w. In the mode
// sidecar it returns nil when ctx ends, in the mode init when the result is in
// place. Each signal of hangup asks whether the token is still good.
func Run(ctx context.Context, c Config, w io.Writer, hangup <-chan os.Signal) error {
	l := newLogin(c, newLogger(w, c.LogFormat, c.LogLevel))
	l.hangup = hangup
	// A pod has hundreds of neighbours: what an exchange has used is given back
	// at once, as the next one is minutes away.
	l.afterExchange = debug.FreeOSMemory
	err := l.run(ctx)
	if err != nil {
		Terminate(c.TerminationLog, err.Error())
	}
	return err
}

// login runs one login. One goroutine does: its loop asks the state what is due,
// its steps do that and note in the session what came of it.
type login struct {
	config  Config
	party   exchanger
	state   schedule.State
	session session

	jwt    jwtInput
	ca     caInput
	result *output.File
	// placed reports whether this run has put a token in place.
	placed bool

	// hangup and asked tell that somebody takes the token for a bad one.
	hangup <-chan os.Signal
	asked  chan struct{}

	tell          *reporter
	rand          func() float64
	afterExchange func()
}

func newLogin(c Config, log *slog.Logger) *login {
	l := &login{
		config: c, rand: rand.Float64, asked: make(chan struct{}, 1),
		jwt:    jwtInput{path: c.JWTFile},
		ca:     caInput{copy: output.File{Path: c.CAOutputFile, Mode: 0o444}},
		result: &output.File{Path: c.OutputFile, Mode: c.OutputMode},
		tell:   newReporter(log, c.OutputFile), afterExchange: func() {},
	}
	if c.CAFile != "" || c.CABundle != "" {
		l.ca.source = exchange.NewCA(c.CAFile, c.CABundle)
	}
	l.party = parties[c.Method](clientOf(c, l.ca.source), c.Options)
	l.state = schedule.New(l.rand).With(l.options())
	return l
}

// options are those of the schedule.
func (l *login) options() schedule.Options {
	return schedule.Options{
		Once: l.config.Options[loginspec.JWTUse] == loginspec.JWTOnce, CheckEvery: l.config.Options.Duration(loginspec.CheckInterval),
	}
}

func (l *login) run(ctx context.Context) error {
	log := l.tell.log
	log.Info("starting", "version", version.Version(), "method", l.config.Method, "mode", l.config.Mode,
		"address", l.config.address(), "jwtFile", l.config.JWTFile, "outputFile", l.config.OutputFile)
	for _, name := range l.config.Unknown {
		log.Warn("ignoring an unknown variable", "name", name)
	}
	if l.config.unencrypted() {
		log.Warn("the connection is not encrypted, and whoever listens can use the tokens", "address", l.config.address())
	}
	if l.config.ListenAddress != "" {
		stop, err := listen(ctx, l.config.ListenAddress, l.tell.metrics, l.ask, log)
		if err != nil {
			return err
		}
		defer stop()
	}
	l.begin(time.Now())
	defer l.end(ctx)
	return l.loop(ctx)
}

// address is the URL of the relying party, as it was given.
func (c *Config) address() string {
	for _, name := range loginspec.MethodOf(c.Method).Needs {
		if address := c.Options[name]; address != "" {
			return address
		}
	}
	return ""
}

// unencrypted relies on the scheme being written in lower case by url.Parse.
func (c *Config) unencrypted() bool {
	u, err := url.Parse(c.address())
	return err == nil && u.Scheme == "http"
}
