package login

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/output"
	"github.com/oidc-injector/oidc-injector/internal/login/schedule"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// middle makes all that is random lie in the middle of its range.
func middle(l *login) {
	l.rand = func() float64 { return 0.5 }
	l.state = schedule.New(l.rand).With(l.options())
}

// pass lets time pass, and whatever is due at its end happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantAsked(t *testing.T, f *fixture, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, f.party.questions()); diff != "" {
		t.Errorf("the relying party was asked (-want +got):\n%s\n%s", diff, f.output.String())
	}
}

func (f *fixture) wantToken(t *testing.T, want string) {
	t.Helper()
	if got := f.token(t); got != want {
		t.Errorf("token %q instead of %q", got, want)
	}
	if ok, line := f.ready(); ok != (want != "") {
		t.Errorf("ready: %v, %s", ok, line)
	}
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		stop := f.run(t)
		synctest.Wait()
		f.wantToken(t, "hvs.number1")
		pass(2 * time.Hour)
		wantAsked(t, f, "0s login _one", "40m0s renew 1", "1h20m0s renew 1", "2h0m0s renew 1")
		f.wantToken(t, "hvs.number1")
		if _, line := f.ready(); line != "logged in, the token expires in 1h0m0s" {
			t.Error(line)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		wantAsked(t, f, "2h0m0s revoke 1")
		f.wantToken(t, "")
		if len(f.party.alive) > 0 {
			t.Errorf("alive: %v", f.party.alive)
		}
	})
}

// A workload has a whole rotation of the JWT to move over to the new token, and
// no more than two are alive.
func TestNewJWT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		stop := f.run(t)
		pass(time.Minute)
		for i, name := range []string{"two", "tri", "four"} {
			f.rotate(t, name)
			pass(10 * time.Second)
			f.wantToken(t, fmt.Sprintf("hvs.number%d", i+2))
			if len(f.party.alive) > 2 {
				t.Errorf("alive: %v", f.party.alive)
			}
			pass(settle)
		}
		wantAsked(t, f, "0s login _one", "1m10s login _two", "6m20s login _tri", "6m20s revoke 1", "11m30s login four", "11m30s revoke 2")
		f.rotate(t, "four") // the same again
		pass(20 * time.Second)
		wantAsked(t, f)
		_ = stop()
		got := f.party.questions()
		if len(got) != 2 || len(f.party.alive) != 0 {
			t.Errorf("at the end: %v", got)
		}
	})
}

// Two logins may follow close upon each other. The token that a workload has
// just read, and what it made with it, is not revoked by the second one.
func TestRevocationIsDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.party.renewal = denied
		stop := f.run(t)
		pass(41 * time.Minute)
		f.rotate(t, "two")
		pass(time.Minute)
		f.wantToken(t, "hvs.number3")
		wantAsked(t, f, "0s login _one", "40m0s renew 1", "40m0.5s login _one", "41m10s login _two")
		_ = stop()
		asked := f.party.questions()
		slices.Sort(asked)
		if diff := cmp.Diff([]string{"42m0s revoke 1", "42m0s revoke 2", "42m0s revoke 3"}, asked); diff != "" {
			t.Errorf("at the end (-want +got):\n%s", diff)
		}
	})
}

// TestDenied: retries are slow, but a new JWT is tried at once.
func TestDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.party.set(func(p *party) { p.login = denied })
		stop := f.run(t)
		pass(3 * time.Minute)
		wantAsked(t, f, "0s login _one", "5s login _one", "15s login _one", "35s login _one", "1m15s login _one", "2m35s login _one")
		f.wantToken(t, "")
		if _, line := f.ready(); line != `not logged in yet: could not log in to Vault at https://v: 400: "no" (attempt 6, next in 2m15s)` {
			t.Error(line)
		}
		f.party.set(func(p *party) { p.login = func() error { return nil } })
		f.rotate(t, "two")
		pass(10 * time.Second)
		wantAsked(t, f, "3m10s login _two")
		f.wantToken(t, "hvs.number1")
		_ = stop()
	})
}

// Renewing alone would let an identity live on that does not exist any more.
func TestIdentityDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		stop := f.run(t)
		pass(10*time.Minute + time.Second)
		f.party.set(func(p *party) { p.login = denied })
		f.rotate(t, "two")
		pass(40 * time.Minute)
		f.wantToken(t, "hvs.number1") // as long as it is valid
		if ok, line := f.ready(); !ok || !strings.HasPrefix(line,
			`logged in, the token expires in 9m59s; but: could not log in to Vault at https://v: 400: "no" (attempt `) {
			t.Error(line)
		}
		pass(10 * time.Minute)
		f.wantToken(t, "")
		if _, line := f.ready(); !strings.HasPrefix(line, `not logged in any more: the token expired 1s ago: could not log in`) {
			t.Error(line)
		}
		for _, question := range f.party.questions() {
			if strings.Contains(question, "renew") {
				t.Error(question)
			}
		}
		_ = stop()
		wantAsked(t, f) // what has ended is not revoked
	})
}

// TestRenewalRefused: it is followed by a login.
func TestRenewalRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.party.set(func(p *party) { p.renewal = denied })
		stop := f.run(t)
		pass(41 * time.Minute)
		wantAsked(t, f, "0s login _one", "40m0s renew 1", "40m0.5s login _one")
		f.wantToken(t, "hvs.number2")
		_ = stop()
	})
}

// TestRenewalStopsGrowing: a lease that does not grow any more is followed by a login.
func TestRenewalStopsGrowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.party.renewed = func() exchange.Credential {
			return exchange.Credential{Token: "x", Lease: 10 * time.Minute, Renewable: true}
		}
		stop := f.run(t)
		pass(41 * time.Minute)
		wantAsked(t, f, "0s login _one", "40m0s renew 1", "40m0.5s login _one")
		_ = stop()
	})
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.OutputFormat = loginspec.FormatJSON })
		stop := f.run(t)
		pass(30 * time.Minute)
		f.party.set(func(p *party) { p.login, p.renewal = unreachable, unreachable })
		pass(30*time.Minute - time.Second)
		if f.token(t) == "" {
			t.Error("the token is gone before its time")
		}
		pass(2 * time.Second)
		f.wantToken(t, "")
		asked := f.party.questions()
		if len(asked) < 10 || len(asked) > 25 {
			t.Errorf("%d attempts: %v", len(asked), asked)
		}
		f.party.set(func(p *party) { p.login, p.renewal = func() error { return nil }, func() error { return nil } })
		pass(5 * time.Minute)
		if !strings.Contains(f.token(t), `"token":"hvs.number2"`) {
			t.Error("no login after the outage")
		}
		if !f.output.Has(`level=WARN msg="attempt failed, will retry" step=renewal`) {
			t.Error(f.output.String())
		}
		_ = stop()
	})
}

// An outage that is longer than the token: however long it lasts, the workload
// does not wait for more than a minute once it is over.
func TestOutageOver(t *testing.T) {
	for name, failing := range map[string]func() error{
		"unreachable": unreachable,
		"told to wait for an hour": func() error {
			return &failure.Error{Class: failure.RateLimited, Doing: "log in", Cause: errors.New("429"), RetryAfter: time.Hour}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			stop := f.run(t)
			pass(30 * time.Minute)
			f.party.set(func(p *party) { p.login, p.renewal = failing, failing })
			pass(3 * time.Hour)
			f.wantToken(t, "")
			f.party.set(func(p *party) { p.login = func() error { return nil } })
			pass(time.Minute)
			if f.token(t) != "hvs.number2" {
				t.Errorf("%s: no login\n%s", name, f.output.String())
			}
			_ = stop()
		})
	}
}

// A guess of when a token ends is good enough to get another one in time, but
// not to take it away, nor to tell it to anybody.
func TestUnknownExpiry(t *testing.T) {
	for format, want := range map[string]string{
		loginspec.FormatRaw:  "hvs.number2",
		loginspec.FormatEnv:  "VAULT_TOKEN=hvs.number2\n",
		loginspec.FormatJSON: `{"token":"hvs.number2","token_type":"service","policies":["default"]}` + "\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(c *Config) { c.OutputFormat = format })
			f.party.set(func(p *party) { p.batch, p.assumed, p.lease = true, true, 5*time.Minute })
			stop := f.run(t)
			pass(4 * time.Minute)
			wantAsked(t, f, "0s login _one", "3m20s login _one")
			f.party.set(func(p *party) { p.login = unreachable })
			pass(time.Hour)
			f.wantToken(t, want)
			if _, line := f.ready(); !strings.HasPrefix(line, "logged in, it is not known when the token expires; but: could not") {
				t.Error(line)
			}
			if asked := f.party.questions(); len(asked) < 60 {
				t.Errorf("%d attempts after the assumed end", len(asked))
			}
			_ = stop()

			f.login = f.start(t, func(c *Config) { c.OutputFormat = format }) // and it is taken over
			stop = f.run(t)
			pass(time.Hour)
			f.wantToken(t, want)
			_ = stop()
		})
	}
}

// countdown is a relying party that gives the same token until it ends, with
// what is left of it in whole seconds.
func countdown(p *party, life time.Duration) func() (exchange.Credential, error) {
	return func() (exchange.Credential, error) {
		age := time.Since(p.started) % life
		credential := exchange.Credential{
			Token:     secret.Text(fmt.Sprintf("hvs.number%d", time.Since(p.started)/life)),
			TokenType: "Bearer", Lease: (life - age).Truncate(time.Second),
		}
		if credential.Lease == 0 {
			return credential, &failure.Error{
				Class: failure.Protocol, Verdict: failure.EndedToken, Doing: "log in",
				Cause: errors.New("ended"),
			}
		}
		return credential, nil
	}
}

// A token that cannot be prolonged and whose successor comes at its end: there is
// a file all the time, and a dead token in it for two seconds at most.
func TestSameTokenUntilExpiry(t *testing.T) {
	for _, tt := range []struct {
		life, lasting, step time.Duration
		most                int // requests
	}{
		{2 * time.Second, time.Minute, 100 * time.Millisecond, 90},
		{30 * time.Second, 10 * time.Minute, 100 * time.Millisecond, 80},
		{5 * time.Minute, 30 * time.Minute, 250 * time.Millisecond, 40},
		{time.Hour, 3 * time.Hour, time.Second, 30},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.party.give = countdown(f.party, tt.life)
			f.party.started = f.party.started.Add(-300 * time.Millisecond) // nobody starts at a full second
			stop := f.run(t)
			synctest.Wait()
			dead, step := time.Duration(0), tt.step
			for range tt.lasting / step {
				pass(step)
				switch f.token(t) {
				case "":
					t.Fatalf("%s: no token after %s\n%s", tt.life, time.Since(f.party.started), f.output.String())
				case fmt.Sprintf("hvs.number%d", time.Since(f.party.started)/tt.life):
					dead = 0
				default:
					dead += step
				}
				if dead > 2*time.Second {
					t.Fatalf("%s: a dead token after %s", tt.life, time.Since(f.party.started))
				}
			}
			if n := len(f.party.questions()); n > tt.most {
				t.Errorf("%s: %d requests", tt.life, n)
			}
			if f.output.Has("level=ERROR") || f.output.Has("level=WARN") {
				t.Error(f.output.String())
			}
			_ = stop()
		})
	}
}

// A server that gives tokens that have ended is not asked once a second for ever.
func TestTokenExpiredOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.party.give = func() (exchange.Credential, error) {
			return exchange.Credential{Token: "hvs.x"}, &failure.Error{
				Class: failure.Protocol, Verdict: failure.EndedToken, Doing: "log in", Cause: errors.New("ended"),
			}
		}
		stop := f.run(t)
		pass(time.Minute)
		wantAsked(t, f, "0s login _one", "800ms login _one", "2.8s login _one", "6.8s login _one", "14.8s login _one", "30.8s login _one")
		_ = stop()
	})
}

// A proxy that keeps answers gives the token in use again. That it replaces itself
// is no reason to revoke it.
func TestSameTokenNotRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.party.give = func() (exchange.Credential, error) {
			return exchange.Credential{Token: "hvs.number1", Lease: time.Hour, Revocable: true}, nil
		}
		stop := f.run(t)
		for _, name := range []string{"two", "tri", "four"} {
			pass(10 * time.Minute)
			f.rotate(t, name)
		}
		pass(10 * time.Minute)
		wantAsked(t, f, "0s login _one", "10m10s login _two", "20m10s login _tri", "30m10s login four")
		f.wantToken(t, "hvs.number1")
		_ = stop()
		wantAsked(t, f, "40m0s revoke 1")
	})
}

func TestJWTMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		if err := os.Remove(f.config.JWTFile); err != nil {
			t.Fatal(err)
		}
		stop := f.run(t)
		pass(70 * time.Second) // the next attempt would be at 127 s
		if _, line := f.ready(); !strings.HasPrefix(line, "not logged in yet: could not use the JWT in "+f.config.JWTFile+": open ") {
			t.Error(line)
		}
		wantAsked(t, f)
		f.rotate(t, "one")
		pass(10 * time.Second)
		f.wantToken(t, "hvs.number1")

		// The same, while a login is due.
		if err := os.WriteFile(f.config.JWTFile, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f.party.set(func(p *party) { p.renewal = denied })
		pass(41 * time.Minute)
		if ok, line := f.ready(); !ok || !strings.Contains(line, "the file is empty (attempt ") {
			t.Error(line)
		}
		wantAsked(t, f, "1m20s login _one", "41m20s renew 1")
		f.rotate(t, "one")
		pass(10 * time.Second)
		f.wantToken(t, "hvs.number2")
		_ = stop()
	})
}

// The token that an earlier run has left serves on, and is the superseded one
// then.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.config.RevokeOnExit = false
		stop := f.run(t)
		pass(time.Minute)
		_ = stop() // as if it were killed
		leftover := filepath.Join(f.dir, ".token.x.tmp")
		if err := os.WriteFile(leftover, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}

		f.login = f.start(t, nil)
		f.party.set(func(p *party) { p.login = unreachable })
		stop = f.run(t)
		pass(20 * time.Second)
		f.wantToken(t, "hvs.number1")
		if _, line := f.ready(); !strings.HasPrefix(line, "logged in, the token expires in 58m40s; but: could not") {
			t.Error(line)
		}
		if _, err := os.Stat(leftover); err == nil {
			t.Error("the leftover is still there")
		}
		f.party.set(func(p *party) { p.login = func() error { return nil } })
		pass(20 * time.Second)
		f.wantToken(t, "hvs.number2")
		f.party.questions()
		pass(settle)
		f.rotate(t, "two")
		pass(10 * time.Second)
		f.wantToken(t, "hvs.number3")
		wantAsked(t, f, "6m50s login _two", "6m50s revoke 1")
		_ = stop()
	})
}

// TestRestartExpired: what expired meanwhile is removed.
func TestRestartExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.config.RevokeOnExit = false
		stop := f.run(t)
		pass(time.Minute)
		_ = stop()
		pass(time.Hour)
		f.login = f.start(t, nil)
		f.party.set(func(p *party) { p.login = denied })
		stop = f.run(t)
		pass(time.Second)
		f.wantToken(t, "")
		_ = stop()
	})
}

// TestRestartUnknownAge: a token whose age is not known is taken over, too.
func TestRestartUnknownAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for content, want := range map[string]int{"hvs.number7": 1, "b.batchbatchbatchbatch": 0, "": 0} {
			f := newFixture(t, nil)
			if err := os.WriteFile(f.config.OutputFile, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			stop := f.run(t)
			synctest.Wait()
			f.wantToken(t, "hvs.number1")
			_ = stop()
			asked := strings.Join(f.party.questions(), ",")
			if got := strings.Count(asked, "revoke 7"); got != want {
				t.Errorf("%q: %s", content, asked)
			}
		}
	})
}

// breaking fails until it is repaired.
type breaking struct {
	output.Steps
	broken *atomic.Bool
}

var errBroken = errors.New("no space left on device")

func (b breaking) Create(path string) (output.Handle, error) {
	if b.broken.Load() {
		return nil, errBroken
	}
	return b.Steps.Create(path)
}

// A token that cannot be written is written later. Other logins would help
// nobody, and a token that nobody has seen is of no use.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		var broken atomic.Bool
		broken.Store(true)
		f.result.Steps = breaking{output.Disk{}, &broken}
		stop := f.run(t)
		pass(time.Minute + 2*time.Second)
		wantAsked(t, f, "0s login _one")
		want := "not logged in yet: could not write the token to " + f.config.OutputFile +
			": no space left on device (attempt 7, next in 17s)"
		if _, line := f.ready(); line != want {
			t.Error(line)
		}
		f.rotate(t, "two")
		pass(10 * time.Second)
		wantAsked(t, f, "1m10s login _two", "1m10s revoke 1")
		broken.Store(false)
		pass(30 * time.Second)
		f.wantToken(t, "hvs.number2")
		wantAsked(t, f)
		_ = stop()
		wantAsked(t, f, "1m42s revoke 2")
	})
}

// TestBatchTokens: they are replaced, and not revoked.
func TestBatchTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.party.set(func(p *party) { p.batch = true })
		stop := f.run(t)
		pass(81 * time.Minute)
		_ = stop()
		wantAsked(t, f, "0s login _one", "40m0s login _one", "1h20m0s login _one")
		if f.token(t) != "hvs.number3" {
			t.Error("a token that is still valid is gone")
		}
	})
}

func TestLoginOnlyParty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.login.party = onlyLogin{f.party}
		stop := f.run(t)
		pass(41 * time.Minute)
		_ = stop()
		wantAsked(t, f, "0s login _one", "40m0.5s login _one")
		f.wantToken(t, "hvs.number2")
	})
}

func TestShutdownBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		stop := f.run(t)
		pass(time.Minute)
		f.party.set(func(p *party) {
			p.revocation = func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			}
		})
		before := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took != exitTimeout {
			t.Errorf("it took %s", took)
		}
		f.wantToken(t, "hvs.number1") // as it may still be good
		if !f.output.Has(`msg="a token was not revoked"`) {
			t.Error(f.output.String())
		}
	})
}

// TestShutdownDuringRequest: it is no failure.
func TestShutdownDuringRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		f.party.set(func(p *party) { p.login = func() error { cancel(); return ctx.Err() } })
		if err := f.login.run(ctx); err != nil {
			t.Error(err)
		}
		f = newFixture(t, nil)
		ctx, cancel = context.WithCancel(t.Context())
		f.party.set(func(p *party) { p.renewal = func() error { cancel(); return ctx.Err() } })
		if err := f.login.run(ctx); err != nil {
			t.Error(err)
		}
		if f.output.Has("failed") {
			t.Error(f.output.String())
		}
	})
}

func asInit(c *Config) { c.Mode, c.Timeout = loginspec.ModeInit, time.Minute }

func TestInitMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, asInit)
		attempts := 0
		f.party.login = func() error {
			attempts++
			if attempts < 3 {
				return unreachable()
			}
			return nil
		}
		if err := f.login.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantAsked(t, f, "0s login _one", "1s login _one", "3s login _one") // and no revocation
		f.wantToken(t, "hvs.number1")

		// The pod's sandbox was made anew.
		f.login = f.start(t, asInit)
		if err := f.login.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.wantToken(t, "hvs.number2")
	})
}

func TestInitModeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, asInit)
		f.party.set(func(p *party) { p.login = denied })
		err := f.login.run(t.Context())
		if err == nil || err.Error() != `not logged in within 1m0s: could not log in to Vault at https://v: 400: "no" (attempt 4)` {
			t.Errorf("%v", err)
		}

		f = newFixture(t, asInit)
		ctx, cancel := context.WithCancel(t.Context())
		f.party.set(func(p *party) { p.login = func() error { cancel(); return ctx.Err() } })
		err = f.login.run(ctx)
		if err == nil || err.Error() != `ended by a signal before the login: the first attempt was not over` {
			t.Errorf("%v", err)
		}

		f = newFixture(t, func(c *Config) { c.Mode = loginspec.ModeInit })
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		f.party.set(func(p *party) { p.login = unreachable })
		err = f.login.run(ctx)
		if err == nil || !strings.HasPrefix(err.Error(), `ended by a signal before the login: could not log in`) ||
			time.Since(f.party.started) < 2*time.Hour {
			t.Errorf("without a limit: %v", err)
		}
	})
}

func TestCACopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, target := filepath.Join(t.TempDir(), "ca.crt"), ""
		f := newFixture(t, func(c *Config) {
			c.CAFile, c.CAOutputFile = source, filepath.Join(filepath.Dir(c.OutputFile), "ca.crt")
			target = c.CAOutputFile
		})
		f.party.login = func() error {
			return &failure.Error{Class: failure.TLS, Doing: "log in", Cause: errors.New("unknown authority")}
		}
		stop := f.run(t)
		pass(70 * time.Second) // the next attempt by itself would be at 127 s
		f.party.questions()
		if !f.output.Has(`msg="cannot access file" subject="certificate authorities" error="could not read the certificate ` +
			`authorities: open `) {
			t.Error(f.output.String())
		}
		for i, ca := range []string{certificate(t), certificate(t)} {
			// The workload gets no key that somebody has put beside it.
			_, key := testutil.IssueCertificate(t, &x509.Certificate{SerialNumber: big.NewInt(1)}, nil, nil)
			if err := os.WriteFile(source, append(key, ca...), 0o600); err != nil {
				t.Fatal(err)
			}
			pass(10 * time.Second)
			data, err := os.ReadFile(target)
			if string(data) != ca || err != nil {
				t.Errorf("%v: copy %q", err, data)
			}
			if info, err := os.Stat(target); err != nil || info.Mode() != 0o444 {
				t.Errorf("%v, %v", info, err)
			}
			// With new authorities it is tried at once.
			if asked := f.party.questions(); len(asked) != 1 {
				t.Errorf("%d: %v", i, asked)
			}
		}
		_ = stop()
	})
}

// A sick directory is no reason to end, nor to say the same for ever.
func TestStatusFileErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		var broken atomic.Bool
		broken.Store(true)
		f.tell.file.Steps = breaking{output.Disk{}, &broken}
		stop := f.run(t)
		pass(3 * time.Hour)
		f.party.set(func(p *party) { p.login = unreachable })
		_ = stop()
		if got := strings.Count(f.output.String(), "subject=status"); got != 1 {
			t.Errorf("said %d times:\n%s", got, f.output.String())
		}
		if f.party.logins != 1 {
			t.Errorf("%d logins", f.party.logins)
		}
	})
}

// unsynced writes without waiting for a disk, for the sake of speed.
type unsynced struct{ output.Disk }

func (u unsynced) Create(path string) (output.Handle, error) {
	handle, err := u.Disk.Create(path)
	return unsyncedHandle{handle}, err
}

func (unsynced) SyncDir(string) error { return nil }

type unsyncedHandle struct{ output.Handle }

func (unsyncedHandle) Sync() error { return nil }

// Thousands of renewals leave nothing behind: no memory, no goroutine, no
// descriptor, no file.
func TestManyRenewals(t *testing.T) {
	const each = 1200
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.OutputFormat, c.LogLevel = loginspec.FormatJSON, 100 })
		f.tell.log = newLogger(discard{}, loginspec.LogText, 100)
		f.result.Steps, f.tell.file.Steps = unsynced{}, unsynced{}
		f.party.lease, f.party.forgetQuestions = 15*time.Second, true
		renewals := 0
		f.party.renewal = func() error {
			renewals++
			if renewals%500 == 0 {
				return denied() // now and then a login
			}
			return nil
		}
		stop := f.run(t)
		measure := func() (heap uint64, goroutines, descriptors int) {
			pass(each * 10 * time.Second)
			synctest.Wait()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			open, _ := os.ReadDir("/proc/self/fd")
			return m.HeapAlloc, runtime.NumGoroutine(), len(open)
		}
		measure()
		heap1, goroutines1, descriptors1 := measure()
		heap2, goroutines2, descriptors2 := measure()
		_ = stop()
		t.Logf("%d renewals, %d logins; heap %d, then %d bytes", renewals, f.party.logins, heap1, heap2)
		if renewals < 2*each || f.party.logins < 5 {
			t.Errorf("%d renewals, %d logins", renewals, f.party.logins)
		}
		if heap2 > heap1+64<<10 || goroutines2 > goroutines1 || descriptors2 > descriptors1 {
			t.Errorf("heap %d, %d; goroutines %d, %d; descriptors %d, %d", heap1, heap2, goroutines1, goroutines2, descriptors1,
				descriptors2)
		}
		if entries, _ := os.ReadDir(f.dir); len(entries) > 3 {
			t.Errorf("files: %v", entries)
		}
	})
}

type discard struct{}

func (discard) Write(data []byte) (int, error) { return len(data), nil }

// A status has no token, whatever happens.
func TestStatusHasNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		stop := f.run(t)
		pass(time.Minute)
		data, err := os.ReadFile(status.Path(f.config.OutputFile))
		if err != nil || strings.Contains(string(data), "hvs.") || strings.Contains(string(data), "eyJ") {
			t.Errorf("%v: %s", err, data)
		}
		info, err := os.Stat(status.Path(f.config.OutputFile))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		_ = stop()
	})
}

func BenchmarkRenewal(b *testing.B) {
	f := &fixture{dir: b.TempDir(), party: newTestParty()}
	f.party.forgetQuestions = true
	config := Config{
		Options: loginspec.Values{loginspec.Address: "https://v"}, Method: loginspec.MethodVault, Mode: loginspec.ModeSidecar,
		OutputFile: filepath.Join(f.dir, "token"), OutputFormat: loginspec.FormatJSON,
	}
	l := newLogin(config, newLogger(discard{}, loginspec.LogText, 0))
	l.party = f.party
	l.result.Steps, l.tell.file.Steps = unsynced{}, unsynced{}
	b.ReportAllocs()
	for b.Loop() {
		l.renew(b.Context())
		l.write(b.Context())
	}
}

func TestRevocationRetriedOnExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		stop := f.run(t)
		for _, name := range []string{"two", "tri"} {
			pass(10 * time.Minute)
			f.party.set(func(p *party) { p.revocation = func(context.Context) error { return unreachable() } })
			f.rotate(t, name)
		}
		pass(10 * time.Minute)
		wantAsked(t, f, "0s login _one", "10m10s login _two", "20m10s login _tri", "20m10s revoke 1")
		f.party.set(func(p *party) { p.revocation = func(context.Context) error { return nil } })
		_ = stop()
		asked := f.party.questions()
		slices.Sort(asked)
		if diff := cmp.Diff([]string{"30m0s revoke 1", "30m0s revoke 2", "30m0s revoke 3"}, asked); diff != "" {
			t.Errorf("at the end (-want +got):\n%s", diff)
		}
	})
}

func TestPermanentErrorsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.party.set(func(p *party) { p.login = denied })
		stop := f.run(t)
		synctest.Wait()
		want := `level=ERROR msg="attempt rejected (permanent error)" step=login class=denied ` +
			`error="could not log in to Vault at https://v: 400: \"no\"" attempt=1 next=5s`
		if !f.output.Has(want) {
			t.Error(f.output.String())
		}
		_ = stop()
	})
}
