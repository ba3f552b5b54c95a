package login

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

func TestCheckDeadToken(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		events func(t *testing.T, f *fixture)
		asked  []string
		said   string
	}{
		{
			"a good one is looked at in between", nil,
			func(*testing.T, *fixture) { pass(21 * time.Minute) },
			[]string{"0s login _one", "10m0s check 1", "20m0s check 1"},
			"",
		},
		{
			"a dead one is replaced", nil,
			func(t *testing.T, f *fixture) {
				t.Helper()
				f.party.set(func(p *party) { p.look = deadToken })
				pass(11 * time.Minute)
			},
			[]string{"0s login _one", "10m0s check 1", "10m0s login _one"},
			`level=WARN msg="the token is not valid any more, before its time" error="could not renew: 403: invalid token"`,
		},
		{
			"an older server that told it before", nil,
			func(t *testing.T, f *fixture) {
				t.Helper()
				pass(11 * time.Minute)
				f.party.set(func(p *party) { p.look = noRight })
				pass(10 * time.Minute)
			},
			[]string{"0s login _one", "10m0s check 1", "20m0s check 1", "20m0s login _one"},
			`msg="the token is not valid any more, before its time"`,
		},
		{
			"one that may not look is not asked to, nor are those after it", nil,
			func(t *testing.T, f *fixture) {
				t.Helper()
				f.party.set(func(p *party) { p.look = noRight })
				pass(11 * time.Minute)
				f.rotate(t, "two")
				pass(25 * time.Minute)
			},
			[]string{"0s login _one", "10m0s check 1", "11m10s login _two"},
			`level=INFO msg="tokens cannot be checked"`,
		},
		{
			"a server that is away says nothing", nil,
			func(t *testing.T, f *fixture) {
				t.Helper()
				f.party.set(func(p *party) { p.look = unreachable })
				pass(21 * time.Minute)
			},
			[]string{"0s login _one", "10m0s check 1", "20m0s check 1"},
			`level=DEBUG msg="the token was not checked"`,
		},
		{
			"it is off", func(c *Config) { checkEvery(c, "0") },
			func(*testing.T, *fixture) { pass(39 * time.Minute) },
			[]string{"0s login _one"},
			"",
		},
		{
			"somebody asks for it", func(c *Config) { checkEvery(c, "0") },
			func(t *testing.T, f *fixture) {
				t.Helper()
				pass(time.Minute)
				f.ask()
				pass(time.Minute)
				f.party.set(func(p *party) { p.look = deadToken })
				f.hangups <- os.Interrupt
				pass(time.Second)
			},
			[]string{"0s login _one", "1m0s check 1", "2m0s check 1", "2m0s login _one"},
			`msg="asked to check the token"`,
		},
		{
			"somebody asks all the time", nil,
			func(t *testing.T, f *fixture) {
				t.Helper()
				for range 250 {
					f.ask()
					pass(100 * time.Millisecond)
				}
			},
			[]string{"0s login _one", "10s check 1", "20s check 1"},
			"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				change := func(c *Config) {
					checkEvery(c, "10m")
					if tt.change != nil {
						tt.change(c)
					}
				}
				f := newFixture(t, change)
				hangup := make(chan os.Signal)
				f.hangups, f.hangup = hangup, hangup
				stop := f.run(t)
				synctest.Wait()
				tt.events(t, f)
				wantAsked(t, f, tt.asked...)
				if !f.output.Has(tt.said) {
					t.Error(f.output.String())
				}
				_ = stop()
			})
		})
	}
}

// Where the JWT is used up, there is nothing to do about it but to say so.
func TestCheckDeadTokenUsedJWT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { checkEvery(c, "10m"); useOnce(c) })
		f.party.look = deadToken
		f.party.revocation = func(context.Context) error { return deadToken() }
		stop := f.run(t)
		pass(30 * time.Minute)
		wantAsked(t, f, "0s login _one", "10m0s check 1")
		if ok, line := f.ready(); ok || !strings.Contains(line, "the token is not valid any more: could not use the JWT in ") {
			t.Error(line)
		}
		_ = stop()
		wantAsked(t, f, "30m0s revoke 1")
		f.wantToken(t, "")
		if f.output.Has("not revoked") {
			t.Error(f.output.String())
		}
	})
}

// A probe does not take a token for good that the relying party does not know.
func TestCheckDeadTokenNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { checkEvery(c, "10m") })
		stop := f.run(t)
		pass(time.Minute)
		f.party.set(func(p *party) { p.look, p.login = deadToken, unreachable })
		pass(10 * time.Minute)
		if ok, line := f.ready(); ok || !strings.HasPrefix(line,
			"not logged in any more: the token is not valid any more: could not log in") {
			t.Error(line)
		}
		f.party.set(func(p *party) { p.login = func() error { return nil } })
		pass(time.Minute)
		f.wantToken(t, "hvs.number2")
		_ = stop()
	})
}

func checkEvery(c *Config, interval string) { c.Options[loginspec.CheckInterval] = interval }
