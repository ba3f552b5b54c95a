package login

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
)

func TestClockAdvice(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	jwt := func(left time.Duration) jwtfile.Times {
		return jwtfile.Times{Issued: now.Add(left - time.Hour), Expires: now.Add(left)}
	}
	for _, tt := range []struct {
		name     string
		jwt      jwtfile.Times
		answered time.Time
		want     string
		class    failure.Class
	}{
		{"nothing to say", jwt(time.Hour), now.Add(30 * time.Second), "", failure.Denied},
		{"a server without a clock", jwt(time.Hour), time.Time{}, "", failure.Denied},
		{"a JWT without times", jwtfile.Times{}, now, "", failure.Denied},
		{"just expired, which the server tells", jwt(-30 * time.Second), now, "", failure.Denied},
		{
			"expired by both clocks", jwt(-time.Hour), now.Add(time.Second),
			"the JWT expired 1h0m0s ago, at 2026-01-02T02:04:05Z, and the kubelet has not replaced it", failure.JWT,
		},
		{
			"expired by our clock, and no other", jwt(-time.Hour),
			time.Time{},
			"the JWT expired 1h0m0s ago, at 2026-01-02T02:04:05Z, and the kubelet has not replaced it", failure.Denied,
		},
		{
			"our clock is ahead", jwt(-time.Hour), now.Add(-2 * time.Hour),
			"the clocks differ by 2h0m0s: it is 2026-01-02T03:04:05Z here and 2026-01-02T01:04:05Z at the server; " +
				"only by the one here the JWT has expired, at 2026-01-02T02:04:05Z", failure.Denied,
		},
		{
			"the server's is ahead", jwt(time.Hour), now.Add(2 * time.Hour),
			"the clocks differ by 2h0m0s: it is 2026-01-02T03:04:05Z here and 2026-01-02T05:04:05Z at the server; " +
				"only by the server's the JWT has expired, at 2026-01-02T04:04:05Z", failure.Denied,
		},
		{
			"the server's is behind", jwt(time.Hour), now.Add(-2 * time.Hour),
			"the clocks differ by 2h0m0s: it is 2026-01-02T03:04:05Z here and 2026-01-02T01:04:05Z at the server; " +
				"by the server's the JWT is issued in the future, at 2026-01-02T03:04:05Z", failure.Denied,
		},
		{
			"they differ, which may not matter", jwt(30 * time.Minute), now.Add(-2 * time.Minute),
			"the clocks differ by 2m0s: it is 2026-01-02T03:04:05Z here and 2026-01-02T03:02:05Z at the server", failure.Denied,
		},
	} {
		got, class := clocks(&failure.Error{Class: failure.Denied, Answered: tt.answered}, tt.jwt, now)
		if got != tt.want || class != tt.class {
			t.Errorf("%s: class %s, %s", tt.name, class, got)
		}
	}
}

// Our clock is no judge of a JWT.
func TestExpiredJWTIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.issue(t, "old", -time.Hour)
		stop := f.run(t)
		pass(time.Second)
		f.wantToken(t, "hvs.number1")
		wantAsked(t, f, "0s login _old")
		_ = stop()

		f = newFixture(t, nil)
		f.issue(t, "old", -time.Hour)
		f.party.login = func() error {
			return &failure.Error{
				Class: failure.Denied, Doing: "log in", Cause: errors.New(`400: "token is expired"`),
				Answered: time.Now(),
			}
		}
		stop = f.run(t)
		synctest.Wait()
		want := `not logged in yet: could not log in: 400: "token is expired"; the JWT expired 1h0m0s ago, at ` +
			stampOf(time.Now().Add(-time.Hour)) + ", and the kubelet has not replaced it (attempt 1, next in 1s)"
		if _, line := f.ready(); line != want {
			t.Error(line)
		}
		_ = stop()
	})
}
