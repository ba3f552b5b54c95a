package login

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// onceOnly is a relying party that accepts each JWT once.
type onceOnly struct {
	mu   sync.Mutex
	seen map[secret.Text]bool
}

func (o *onceOnly) accept(jwt secret.Text) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[jwt] {
		return &failure.Error{
			Class: failure.JWT, Verdict: failure.JWTUsed, Doing: "get a token at https://h", Cause: errors.New(`400: "jti_known"`),
		}
	}
	o.seen[jwt] = true
	return nil
}

func newOnceOnly() *onceOnly { return &onceOnly{seen: map[secret.Text]bool{}} }

func useOnce(c *Config) { c.Options[loginspec.JWTUse] = loginspec.JWTOnce }

// onceFixture is a login with a JWT for an hour, at a party that accepts it once
// and gives tokens that last for a while.
func onceFixture(t *testing.T, change func(*Config), party *onceOnly, lease time.Duration) *fixture {
	t.Helper()
	f := newFixture(t, change)
	f.issue(t, "one", time.Hour)
	f.party.set(func(p *testParty) { p.accept, p.lease, p.batch = party.accept, lease, true })
	return f
}

type testParty = party

// rotation is when the kubelet replaces a JWT that lasts for an hour.
const rotation = 48 * time.Minute

func TestOnceJWTUsedUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		lease  time.Duration
		asked  []string
		line   string // of ready, a minute before there is a new JWT
	}{
		{
			"many, and a token that outlasts it", nil, time.Hour,
			[]string{"0s login _one", "40m0s login _one", "48m32.5s login _two"},
			`logged in, the token expires in 13m0s; but: could not get a token at https://h: 400: "jti_known"; ` +
				"the JWT has given a token before and is accepted once; the next JWT is expected at ",
		},
		{
			"many, and a token that does not", nil, 5 * time.Minute,
			[]string{"0s login _one", "3m20s login _one", "48m10s login _two"},
			`not logged in any more: the token expired 42m0s ago: could not get a token at https://h: 400: "jti_known"; `,
		},
		{
			"once, and a token that outlasts it", useOnce, time.Hour,
			[]string{"0s login _one", "48m32.5s login _two"},
			"logged in, the token expires in 13m0s",
		},
		{
			"once, and a token that does not", useOnce, 5 * time.Minute,
			[]string{"0s login _one", "48m10s login _two"},
			"not logged in any more: the token expired 42m0s ago: could not use the JWT in ",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := onceFixture(t, tt.change, newOnceOnly(), tt.lease)
				stop := f.run(t)
				pass(rotation - time.Minute)
				if _, line := f.ready(); !strings.HasPrefix(line, tt.line) {
					t.Error(line)
				}
				pass(time.Minute)
				f.issue(t, "two", time.Hour)
				pass(time.Minute)
				f.wantToken(t, "hvs.number2")
				wantAsked(t, f, tt.asked...)
				_ = stop()
			})
		})
	}
}

// The first answer was lost: the pod waits for the next JWT, and says so.
func TestOnceAnswerLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		party := newOnceOnly()
		f := onceFixture(t, nil, party, time.Hour)
		f.party.accept = func(jwt secret.Text) error {
			if err := party.accept(jwt); err != nil {
				return err
			}
			return &failure.Error{Class: failure.Timeout, Doing: "get a token", Cause: errors.New("no answer")}
		}
		stop := f.run(t)
		pass(30 * time.Minute)
		wantAsked(t, f, "0s login _one", "1s login _one")
		f.party.set(func(p *testParty) { p.accept = party.accept })
		_, line := f.ready()
		want := `not logged in yet: could not get a token at https://h: 400: "jti_known"; ` +
			"an earlier answer was lost, or another login shares the JWT and needs one of its own; the next JWT is expected at " +
			stampOf(time.Now().Add(18*time.Minute)) + ", at 80 % of the lifetime of this one (attempt 2, next in 21m0s)"
		if line != want {
			t.Errorf("%s\ninstead of\n%s", line, want)
		}
		pass(18 * time.Minute)
		f.issue(t, "two", time.Hour)
		pass(10 * time.Second)
		f.wantToken(t, "hvs.number1")
		_ = stop()
	})
}

// A restart of the container does not forget that the JWT is used up.
func TestOnceRestart(t *testing.T) {
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := onceFixture(t, useOnce, newOnceOnly(), time.Hour)
			stop := f.run(t)
			pass(time.Minute)
			_ = stop()
			if gone {
				if err := os.Remove(f.config.OutputFile); err != nil {
					t.Fatal(err)
				}
			}
			f.party.questions()
			f.login = f.start(t, useOnce)
			stop = f.run(t)
			pass(10 * time.Minute)
			wantAsked(t, f)
			if ok, line := f.ready(); ok == gone || gone && !strings.Contains(line, "it has been used for its one login; "+
				"the next JWT is expected at") {
				t.Error(line)
			}
			f.issue(t, "two", time.Hour)
			pass(time.Minute)
			f.wantToken(t, "hvs.number2")
			_ = stop()
		})
	}
}

// An init container may run again, when the pod's sandbox is made anew.
func TestOnceInitMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		initOnce := func(c *Config) { asInit(c); useOnce(c) }
		f := onceFixture(t, initOnce, newOnceOnly(), time.Hour)
		for range 2 {
			if err := f.login.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			f.wantToken(t, "hvs.number1")
			f.login = f.start(t, initOnce)
		}
		wantAsked(t, f, "0s login _one")
		pass(2 * time.Hour)
		err := f.login.run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "it has been used for its one login") {
			t.Error(err)
		}
	})
}

// Two logins that share a JWT take turns: who has no token goes first. So both
// have one from the second JWT on, where a token lasts for two of them.
func TestOnceSharedJWT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		party := newOnceOnly()
		logins := []*fixture{onceFixture(t, useOnce, party, 2*time.Hour), onceFixture(t, useOnce, party, 2*time.Hour)}
		var stops []func() error
		for _, f := range logins {
			stops = append(stops, f.run(t))
			pass(3 * time.Second) // the first one always looks first
		}
		for _, name := range []string{"two", "tri", "four", "five", "six"} {
			pass(rotation)
			for _, f := range logins {
				f.issue(t, name, time.Hour)
			}
			pass(time.Minute)
			for i, f := range logins {
				if ok, line := f.ready(); !ok {
					t.Errorf("%s, login %d: %s", name, i, line)
				}
			}
		}
		for i, f := range logins {
			// One attempt a JWT is the least; one more is a collision.
			if asked := f.party.questions(); len(asked) > 6 {
				t.Errorf("login %d: %v", i, asked)
			}
			_ = stops[i]()
		}
	})
}
