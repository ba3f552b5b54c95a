// Package login exchanges a projected ServiceAccount token for a token of a
// relying party, writes that to a file, and keeps it fresh.
package login

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/contract"
	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
	"github.com/oidc-injector/oidc-injector/internal/login/oauth"
	"github.com/oidc-injector/oidc-injector/internal/login/output"
	"github.com/oidc-injector/oidc-injector/internal/login/schedule"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/login/vault"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// Run logs in as the configuration says and writes its log to w. In the mode
// sidecar it returns nil when ctx ends, in the mode init when the result is in
// place.
func Run(ctx context.Context, c Config, w io.Writer) error {
	log := newLogger(w, c.LogFormat, c.LogLevel)
	l := newLogin(c, log)
	// A pod has hundreds of neighbours: what an exchange has used is given back
	// at once, as the next one is minutes away.
	l.afterExchange = debug.FreeOSMemory
	err := l.run(ctx)
	if err != nil {
		Terminate(c.TerminationLog, err.Error())
	}
	return err
}

// exchanger is a relying party.
type exchanger interface {
	// Login exchanges a JWT for a credential.
	Login(ctx context.Context, jwt secret.Text) (exchange.Credential, error)
}

// renewer is one whose tokens can be renewed.
type renewer interface {
	Renew(ctx context.Context, token secret.Text) (exchange.Credential, error)
}

// revoker is one whose tokens can be revoked.
type revoker interface {
	Revoke(ctx context.Context, token secret.Text) error
}

// How often and how long.
const (
	// lookEvery is how often the JWT and the CA are looked at for changes. The
	// kubelet replaces a JWT when a fifth of its life is left, two minutes at
	// least.
	lookEvery = 10 * time.Second
	// revokeTimeout bounds the revocation of a superseded token, and
	// exitTimeout that of all tokens at the end: the pod is waiting.
	revokeTimeout = 10 * time.Second
	exitTimeout   = 2 * time.Second
)

// login is one login and its state. One goroutine runs it; report is what
// others may see.
type login struct {
	config Config
	party  exchanger
	log    *slog.Logger
	report *report

	rand   func() float64
	state  schedule.State
	tokens tokens
	// credential is the newest one, and expires its end.
	credential exchange.Credential
	expires    time.Time
	// status is what the status file says.
	status status.Status
	// written tells whether this run has put a token in place.
	written bool

	result, statusFile, caCopy *output.File
	ca                         *exchange.CA

	// stamp and sum are of the JWT that was used last, or tried.
	stamp jwtfile.Stamp
	sum   [sha256.Size]byte
	caSum [sha256.Size]byte
	// warned are the last warnings by subject, so that one that stays is said
	// once.
	warned map[string]string

	afterExchange func()
}

func newLogin(c Config, log *slog.Logger) *login {
	l := &login{
		config: c, log: log, report: newReport(),
		rand: rand.Float64, state: schedule.New(rand.Float64),
		result:        &output.File{Path: c.OutputFile, Mode: c.OutputMode},
		statusFile:    &output.File{Path: status.Path(c.OutputFile), Mode: 0o600},
		caCopy:        &output.File{Path: c.CAOutputFile, Mode: 0o444},
		warned:        map[string]string{},
		afterExchange: func() {},
	}
	if c.CAFile != "" || c.CABundle != "" {
		l.ca = exchange.NewCA(c.CAFile, c.CABundle)
	}
	l.party = newParty(c, &exchange.Client{
		TLS:     exchange.TLS{CA: l.ca, CertFile: c.ClientCert, KeyFile: c.ClientKey, ServerName: c.TLSServerName},
		Timeout: c.RequestTimeout, UserAgent: "oidc-login/" + version.Version(), Proxy: http.ProxyFromEnvironment,
	})
	return l
}

func newParty(c Config, client *exchange.Client) exchanger {
	if c.Method == contract.MethodVault {
		return &vault.Vault{Client: client, Address: c.Address, Mount: c.Mount, Role: c.Role, Namespace: c.Namespace}
	}
	return &oauth.Server{
		Client: client, Endpoint: c.Address, Issuer: c.Issuer, Method: c.Method,
		ClientID: c.ClientID, Scope: c.Scope, Resources: c.Resources, Audiences: c.Audiences,
	}
}

func (l *login) run(ctx context.Context) error {
	l.log.Info("starting", "version", version.Version(), "method", l.config.Method, "mode", l.config.Mode,
		"address", l.address(), "jwtFile", l.config.JWTFile, "outputFile", l.config.OutputFile)
	for _, name := range l.config.Unknown {
		l.log.Warn("a variable looks like an option and is none", "name", name)
	}
	if l.config.Address != nil && l.config.Address.Scheme == "http" || l.config.Issuer != nil && l.config.Issuer.Scheme == "http" {
		l.log.Warn("the connection is not encrypted, and whoever listens can use the tokens", "address", l.address())
	}
	if l.config.ListenAddress != "" {
		stop, err := listen(ctx, l.config.ListenAddress, l.report, l.log)
		if err != nil {
			return err
		}
		defer stop()
	}
	l.begin(time.Now())
	defer l.end(ctx)
	return l.loop(ctx)
}

func (l *login) address() string {
	if l.config.Issuer != nil {
		return l.config.Issuer.String()
	}
	return l.config.Address.String()
}
