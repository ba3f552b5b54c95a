package login

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// party is a relying party that does what a test wants, and keeps what it was
// asked.
type party struct {
	mu     sync.Mutex
	asked  []string
	logins int
	alive  map[secret.Text]bool

	lease           time.Duration
	batch, assumed  bool
	policies        []string
	login, renewal  func() error // an error to answer with
	give            func() (exchange.Credential, error)
	look            func() error
	accept          func(jwt secret.Text) error
	renewed         func() exchange.Credential
	revocation      func(ctx context.Context) error
	started         time.Time
	forgetQuestions bool
}

func newTestParty() *party {
	none := func() error { return nil }
	return &party{
		policies: []string{"default"}, alive: map[secret.Text]bool{}, lease: time.Hour, login: none, renewal: none,
		revocation: func(context.Context) error { return nil }, started: time.Now(),
	}
}

func (p *party) note(what string) {
	if !p.forgetQuestions {
		p.asked = append(p.asked, fmt.Sprintf("%s %s", time.Since(p.started).Round(100*time.Millisecond), what))
	}
}

func (p *party) Login(ctx context.Context, jwt secret.Text) (exchange.Credential, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("login " + jwt.Reveal()[len(jwt)-4:])
	if err := ctx.Err(); err != nil {
		return exchange.Credential{}, err
	}
	if p.accept != nil {
		if err := p.accept(jwt); err != nil {
			return exchange.Credential{}, err
		}
	}
	if err := p.login(); err != nil {
		return exchange.Credential{}, err
	}
	p.logins++
	if p.give != nil {
		return p.give()
	}
	token := secret.Text(fmt.Sprintf("hvs.number%d", p.logins))
	p.alive[token] = true
	return exchange.Credential{
		Token: token, Lease: p.lease, Assumed: p.assumed, Checkable: true, Renewable: !p.batch, Revocable: !p.batch, TokenType: "service",
		Policies: p.policies,
	}, nil
}

func (p *party) Renew(_ context.Context, token secret.Text) (exchange.Credential, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("renew " + short(token))
	if err := p.renewal(); err != nil {
		return exchange.Credential{}, err
	}
	if p.renewed != nil {
		return p.renewed(), nil
	}
	return exchange.Credential{Token: token, Lease: p.lease, Renewable: true, Revocable: true}, nil
}

func (p *party) Check(_ context.Context, token secret.Text) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("check " + short(token))
	if p.look != nil {
		return p.look()
	}
	return nil
}

func (p *party) Revoke(ctx context.Context, token secret.Text) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("revoke " + short(token))
	delete(p.alive, token)
	return p.revocation(ctx)
}

func (p *party) Revocable(token secret.Text) bool { return !strings.HasPrefix(token.Reveal(), "hvb.") }

func short(token secret.Text) string { return strings.TrimPrefix(token.Reveal(), "hvs.number") }

func (p *party) questions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

func (p *party) set(change func(*party)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// onlyLogin hides what some relying parties cannot do.
type onlyLogin struct{ exchanger }

func denied() error {
	return &failure.Error{Class: failure.Denied, Doing: "log in to Vault at https://v", Cause: errors.New(`400: "no"`)}
}

// noRight is what Vault says to a token whose policies do not allow something,
// and what older ones say to a dead one.
func noRight() error {
	return &failure.Error{Class: failure.Denied, Verdict: failure.NoRight, Doing: "renew", Cause: errors.New("403: policies")}
}

func deadToken() error {
	return &failure.Error{Class: failure.Denied, Verdict: failure.DeadToken, Doing: "renew", Cause: errors.New("403: invalid token")}
}

func unreachable() error {
	return &failure.Error{Class: failure.Network, Doing: "log in to Vault at https://v", Cause: errors.New("connection refused")}
}

// fixture is a login in a directory of its own.
type fixture struct {
	*login
	dir    string
	output testutil.Log
	party  *party
	// hangups are signals to it.
	hangups chan<- os.Signal
}

func newFixture(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), party: newTestParty()}
	f.login = f.start(t, change)
	f.rotate(t, "one")
	t.Cleanup(func() {
		if text := f.output.String(); strings.Contains(text, "hvs.") || strings.Contains(text, "eyJ") {
			t.Errorf("a token is in the log:\n%s", text)
		}
	})
	return f
}

// start makes a login of the next run of the container.
func (f *fixture) start(t *testing.T, change func(*Config)) *login {
	t.Helper()
	config := Config{
		Options: loginspec.Values{loginspec.Address: "https://v", loginspec.Mount: "jwt", loginspec.RequestTimeout: "1m"},
		Method:  loginspec.MethodVault, Mode: loginspec.ModeSidecar,
		JWTFile: filepath.Join(f.dir, "jwt"), OutputFile: filepath.Join(f.dir, "token"), OutputFormat: loginspec.FormatRaw,
		OutputMode:   0o440,
		RevokeOnExit: true, LogLevel: slog.LevelDebug,
	}
	if change != nil {
		change(&config)
	}
	l := newLogin(config, f.output.Logger("expires", "expired", "version", "jwtFile", "outputFile"))
	l.party = f.party
	middle(l)
	return l
}

// rotate replaces the JWT. The last four characters of its signature are of the
// name.
func (f *fixture) rotate(t *testing.T, name string) {
	t.Helper()
	f.write(t, name, fmt.Sprintf(`{"iat":1000,"name":%q}`, name))
}

// issue replaces the JWT by one that lasts from now on.
func (f *fixture) issue(t *testing.T, name string, life time.Duration) {
	t.Helper()
	f.write(t, name, fmt.Sprintf(`{"iat":%d,"exp":%d,"name":%q}`, time.Now().Unix(), time.Now().Add(life).Unix(), name))
}

func (f *fixture) write(t *testing.T, name, claims string) {
	t.Helper()
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	text := encode(`{"alg":"RS256"}`) + "." + encode(claims) + ".sig-" + ("____" + name)[len(name):]
	path := filepath.Join(f.dir, "jwt")
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// run runs it in the background until stop is called, which returns its error.
func (f *fixture) run(t *testing.T) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.login.run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// token is what a workload finds.
func (f *fixture) token(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(f.config.OutputFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

// ready is what a probe finds.
func (f *fixture) ready() (bool, string) { return status.Of(f.config.OutputFile, time.Now()) }

// certificate is one in PEM.
func certificate(t *testing.T) string {
	t.Helper()
	cert, _ := testutil.IssueCertificate(t, &x509.Certificate{SerialNumber: big.NewInt(1)}, nil, nil)
	return string(cert)
}
