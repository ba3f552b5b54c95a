package login

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMissingRights(t *testing.T) {
	const noRenewal = `level=WARN msg="tokens cannot be renewed, so there will be logins instead"`
	const noRevocation = `level=WARN msg="a token was not revoked"`
	for _, tt := range []struct {
		name   string
		events func(t *testing.T, f *fixture)
		asked  []string
		warned map[string]int
	}{
		{
			"no renewals: one attempt, then logins",
			func(_ *testing.T, f *fixture) {
				f.party.set(func(p *party) { p.renewal = noRight })
				pass(2*time.Hour + time.Minute)
			},
			[]string{"0s login _one", "40m0s renew 1", "40m0.5s login _one", "1h20m0.5s login _one", "2h0m0.5s login _one"},
			map[string]int{noRenewal: 1},
		},
		{
			"a renewal that worked before: the token is dead, and the next one is renewed",
			func(_ *testing.T, f *fixture) {
				pass(41 * time.Minute)
				f.party.set(func(p *party) { p.renewal = noRight })
				pass(40 * time.Minute)
				f.party.set(func(p *party) { p.renewal = func() error { return nil } })
				pass(40 * time.Minute)
			},
			[]string{"0s login _one", "40m0s renew 1", "1h20m0s renew 1", "1h20m0.5s login _one", "2h0m0.5s renew 2"},
			map[string]int{noRenewal: 0, `msg="attempt rejected (permanent error)" step=renewal`: 1},
		},
		{
			"a dead token: the next one is renewed",
			func(_ *testing.T, f *fixture) {
				f.party.set(func(p *party) { p.renewal = deadToken })
				pass(41 * time.Minute)
				f.party.set(func(p *party) { p.renewal = func() error { return nil } })
				pass(40 * time.Minute)
			},
			[]string{"0s login _one", "40m0s renew 1", "40m0.5s login _one", "1h20m0.5s renew 2"},
			map[string]int{noRenewal: 0},
		},
		{
			"other policies: renewals are tried again",
			func(_ *testing.T, f *fixture) {
				f.party.set(func(p *party) { p.renewal = noRight })
				pass(41 * time.Minute)
				f.party.set(func(p *party) { p.policies = []string{"default", "new"} })
				pass(80 * time.Minute)
			},
			[]string{
				"0s login _one", "40m0s renew 1", "40m0.5s login _one", "1h20m0.5s login _one", "2h0m0.5s renew 3",
				"2h0m1s login _one",
			},
			map[string]int{noRenewal: 2},
		},
		{
			"the end of a token gives no new rights",
			func(t *testing.T, f *fixture) {
				t.Helper()
				f.party.set(func(p *party) { p.renewal, p.login = noRight, func() error { return nil } })
				pass(41 * time.Minute)
				f.party.set(func(p *party) { p.login = unreachable })
				pass(70 * time.Minute)
				f.wantToken(t, "")
				f.party.set(func(p *party) { p.login = func() error { return nil } })
				f.party.questions()
				pass(time.Minute)
				f.party.questions()
				pass(45 * time.Minute)
			},
			[]string{"2h31m33.5s login _one"},
			map[string]int{noRenewal: 1},
		},
		{
			"no revocations: one attempt, and none at the end",
			func(t *testing.T, f *fixture) {
				t.Helper()
				f.party.set(func(p *party) { p.revocation = func(context.Context) error { return noRight() } })
				for _, name := range []string{"two", "tri", "four", "five"} {
					pass(10 * time.Minute)
					f.rotate(t, name)
				}
				pass(time.Minute)
			},
			[]string{
				"0s login _one", "10m10s login _two", "20m10s login _tri", "20m10s revoke 1", "30m10s login four",
				"40m10s login five",
			},
			map[string]int{noRevocation: 1},
		},
		{
			"a token that is dead already is revoked",
			func(t *testing.T, f *fixture) {
				t.Helper()
				f.party.set(func(p *party) { p.revocation = func(context.Context) error { return deadToken() } })
				for _, name := range []string{"two", "tri", "four"} {
					pass(10 * time.Minute)
					f.rotate(t, name)
				}
				pass(time.Minute)
			},
			[]string{"0s login _one", "10m10s login _two", "20m10s login _tri", "20m10s revoke 1", "30m10s login four", "30m10s revoke 2"},
			map[string]int{noRevocation: 0},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, nil)
				stop := f.run(t)
				tt.events(t, f)
				wantAsked(t, f, tt.asked...)
				for text, want := range tt.warned {
					if got := strings.Count(f.output.String(), text); got != want {
						t.Errorf("%d times %q in\n%s", got, text, f.output.String())
					}
				}
				_ = stop()
				if tt.warned[noRevocation] > 0 {
					wantAsked(t, f)
				}
			})
		})
	}
}

// What several tokens lack at the end is said once.
func TestMissingRightsWarnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		stop := f.run(t)
		pass(10 * time.Minute)
		f.rotate(t, "two")
		pass(time.Minute)
		f.party.set(func(p *party) { p.revocation = func(context.Context) error { return noRight() } })
		_ = stop()
		if asked := f.party.questions(); len(asked) != 4 {
			t.Errorf("asked %v", asked)
		}
		if got := strings.Count(f.output.String(), "a token was not revoked"); got != 1 {
			t.Errorf("%d warnings\n%s", got, f.output.String())
		}
		f.wantToken(t, "hvs.number2")
	})
}
