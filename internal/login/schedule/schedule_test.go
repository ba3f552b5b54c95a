package schedule

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

// middle makes all that is random lie in the middle of its range.
func middle() float64 { return 0.5 }

func lasting(d time.Duration, renewable bool) Lease { return Lease{For: d, Renewable: renewable} }

func because(class failure.Class, retryAfter time.Duration) failure.Facts {
	return failure.Facts{Class: class, RetryAfter: retryAfter}
}

func held(lease time.Duration, renewable bool) State {
	return New(middle).LoggedIn(start, lasting(lease, renewable)).Written()
}

func TestNext(t *testing.T) {
	const hour = time.Hour
	for _, tt := range []struct {
		name  string
		state State
		now   time.Time
		want  Plan
	}{
		{"at the start", New(middle), start, Plan{Do: Login, Why: Start}},
		{"a new token is written", New(middle).LoggedIn(start, lasting(hour, true)), start, Plan{Do: Write}},
		{"renew at two thirds", held(hour, true), start, Plan{Do: Renew, In: 40 * time.Minute}},
		{"and not before", held(hour, true), at(30 * time.Minute), Plan{Do: Renew, In: 10 * time.Minute}},
		{"then", held(hour, true), at(41 * time.Minute), Plan{Do: Renew}},
		{"log in again where it cannot be renewed", held(hour, false), start, Plan{Do: Login, In: 40 * time.Minute, Why: Due}},
		{"a token for ever", held(0, true), at(1000 * hour), Plan{Do: Renew, In: never}},
		{"but a new JWT", held(0, true).JWTChanged(start), at(hour), Plan{Do: Login, Why: Rotated}},
		{"a renewal is written", held(hour, true).Renewed(at(hour/2), lasting(hour, true)), at(hour / 2), Plan{Do: Write}},
		{
			"and renewed", held(hour, true).Renewed(at(hour/2), lasting(hour, true)).Written(), at(hour / 2),
			Plan{Do: Renew, In: 40 * time.Minute},
		},
		{
			"a lease a little shorter grows",
			held(hour, true).Renewed(at(hour/2), lasting(55*time.Minute, true)).Written(), at(hour / 2),
			Plan{Do: Renew, In: 55 * time.Minute * 2 / 3},
		},
		{
			"a lease that stops growing",
			held(hour, true).Renewed(at(hour/2), lasting(50*time.Minute, true)).Written(), at(hour/2 + time.Second),
			Plan{Do: Login, Why: MaxTTL},
		},
		{
			"a little shorter each time", held(hour, true).Renewed(at(hour/2), lasting(55*time.Minute, true)).Written().
				Renewed(at(hour), lasting(50*time.Minute, true)).Written(), at(hour + time.Second), Plan{Do: Login, Why: MaxTTL},
		},
		{
			"a lease from for ever to an hour", held(0, true).Renewed(start, lasting(hour, true)).Written(), at(time.Second),
			Plan{Do: Login, Why: MaxTTL},
		},
		{
			"a renewal that was the last", held(hour, true).Renewed(at(hour/2), lasting(hour, false)).Written(),
			at(hour / 2),
			Plan{Do: Login, In: 40 * time.Minute, Why: Due},
		},
		{
			"a refused renewal", held(hour, true).RenewFailed(at(40*time.Minute), because(failure.Denied, 0)),
			at(40 * time.Minute),
			Plan{Do: Login, In: pause, Why: Refused},
		},
		{
			"a garbled renewal", held(hour, true).RenewFailed(at(40*time.Minute), because(failure.Protocol, 0)),
			at(40*time.Minute + pause),
			Plan{Do: Login, Why: Refused},
		},
		{
			"a renewal that got no answer", held(hour, true).RenewFailed(at(40*time.Minute), because(failure.Network, 0)),
			at(40 * time.Minute),
			Plan{Do: Renew, In: time.Second},
		},
		{
			"no renewal any more once a login is due",
			held(hour, true).JWTChanged(start).LoginFailed(at(40*time.Minute), because(failure.Denied, 0)), at(40 * time.Minute),
			Plan{Do: Login, In: 30 * time.Second, Why: Rotated},
		},
		{"the end", held(hour, true), at(hour), Plan{Do: Expire}},
		{"after the end", held(hour, true).Ended(at(hour)), at(hour), Plan{Do: Login, Why: Expired}},
		{
			"the end comes before the next attempt",
			held(hour, true).LoginFailed(at(59*time.Minute), because(failure.Network, 10*time.Minute)), at(59 * time.Minute),
			Plan{Do: Expire, In: time.Minute},
		},
		{
			"an assumed lease is renewed in time", New(middle).LoggedIn(start, Lease{For: hour, Assumed: true}).Written(), start,
			Plan{Do: Login, In: 40 * time.Minute, Why: Due},
		},
		{
			"and has no end", New(middle).LoggedIn(start, Lease{For: hour, Assumed: true}).Written().LoginFailed(at(40*time.Minute),
				because(failure.Network, 0)),
			at(1000 * hour),
			Plan{Do: Login, Why: Due},
		},
		{
			"the same token, with time to spare", held(hour, false).SameToken(at(40*time.Minute), lasting(20*time.Minute, false)).Written(),
			at(40 * time.Minute),
			Plan{Do: Login, In: 20 * time.Minute * 2 / 3, Why: Due},
		},
		{
			"the same token, in its last minute", held(hour, false).SameToken(at(59*time.Minute), lasting(time.Minute, false)).Written(),
			at(59 * time.Minute),
			Plan{Do: Login, In: time.Minute + soonAfter, Why: Due},
		},
		{
			"it is kept beyond its end", held(hour, false).SameToken(at(59*time.Minute), lasting(time.Minute, false)).Written().
				LoginFailed(at(hour+soonAfter), because(failure.Network, 0)),
			at(hour + soonAfter + time.Second),
			Plan{Do: Login, Why: Due},
		},
		{
			"but not for long", held(hour, false).SameToken(at(59*time.Minute), lasting(time.Minute, false)).Written().
				LoginFailed(at(hour+soonAfter), because(failure.Network, time.Hour)),
			at(hour + grace),
			Plan{Do: Expire},
		},
		{
			"the same token, ended", held(hour, false).SameTokenEnded(at(hour)), at(hour),
			Plan{Do: Login, In: pause * 3 / 2, Why: Due},
		},
		{
			"the same token, ended long before its time",
			held(hour, false).SameTokenEnded(at(40 * time.Minute)).SameTokenEnded(at(40 * time.Minute)),
			at(40 * time.Minute),
			Plan{Do: Login, In: 2 * time.Second, Why: Due},
		},
		{
			"another token after that", held(hour, false).SameTokenEnded(at(hour)).LoggedIn(at(hour), lasting(hour, false)).Written(),
			at(2 * hour),
			Plan{Do: Expire},
		},
		{
			"a token that has ended already", New(middle).LoginFailed(start,
				failure.Facts{Class: failure.Protocol, Verdict: failure.EndedToken}), start,
			Plan{Do: Login, In: 800 * time.Millisecond, Why: Start},
		},
		{"a clock that was set back", held(hour, true), at(-time.Minute), Plan{Do: Renew, In: 41 * time.Minute}},
		{"a failed write", New(middle).LoggedIn(start, lasting(hour, true)).WriteFailed(start), start, Plan{Do: Write, In: time.Second}},
		{
			"a lease of nearly nothing", held(time.Millisecond, false).Ended(at(time.Millisecond)), at(time.Millisecond),
			Plan{Do: Login, In: pause - time.Millisecond, Why: Expired},
		},
		{"a token found at the start", Found(middle, start, hour), start, Plan{Do: Login, Why: Start}},
		{
			"a token found, and no login", Found(middle, start, hour).LoginFailed(start, because(failure.Network, hour)), at(hour),
			Plan{Do: Expire},
		},
		{
			"a token found that is for ever", Found(middle, start, 0).LoginFailed(start, because(failure.Network, 0)), start,
			Plan{Do: Login, In: time.Second, Why: Start},
		},
		{"a new JWT at the start", New(middle).JWTChanged(start), start, Plan{Do: Login, Why: Start}},
	} {
		if diff := cmp.Diff(tt.want, tt.state.Next(tt.now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestBackoff(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state State
		class failure.Class
		after time.Duration
		want  []string
	}{
		{"at the start", New(middle), failure.Network, 0, []string{"1s", "2s", "4s", "8s", "16s", "32s", "45s", "45s"}},
		{"the JWT is missing", New(middle), failure.JWT, 0, []string{"1s", "2s", "4s"}},
		{"denied at the start", New(middle), failure.Denied, 0, []string{"5s", "10s", "20s", "40s", "1m20s", "2m40s", "4m0s", "4m0s"}},
		{"garbled at the start", New(middle), failure.Protocol, 0, []string{"5s", "10s"}},
		{
			"denied with a token", held(24*time.Hour, true).JWTChanged(start), failure.Denied, 0,
			[]string{"30s", "1m0s", "2m0s", "4m0s", "4m0s"},
		},
		{"denied for ever", held(0, true).JWTChanged(start), failure.Denied, 0, []string{"30s", "1m0s"}},
		{
			"with a token", held(24*time.Hour, true).JWTChanged(start), failure.Network, 0,
			[]string{"1s", "2s", "4s", "8s", "16s", "32s", "1m4s", "2m8s", "4m0s", "4m0s"},
		},
		{"asked to wait for an hour, without a token", New(middle), failure.RateLimited, time.Hour, []string{"45s", "45s"}},
		{"asked to wait for an hour, refused", New(middle), failure.Denied, time.Hour, []string{"45s"}},
		{
			"asked to wait for an hour, with a token", held(24*time.Hour, true).JWTChanged(start), failure.Server, time.Hour,
			[]string{"1h7m30s"},
		},
		{"asked to wait", New(middle), failure.RateLimited, 7 * time.Second, []string{"7.875s", "7.875s", "7.875s", "8s"}},
		{
			"after an assumed end", New(middle).LoggedIn(start.Add(-time.Hour), Lease{For: time.Minute, Assumed: true}), failure.Network, 0,
			[]string{"1s", "2s", "4s", "8s", "16s", "32s", "45s"},
		},
		{
			"asked to wait beyond an assumed end", New(middle).LoggedIn(start, Lease{For: time.Minute, Assumed: true}), failure.Server,
			time.Hour,
			[]string{"1m45s"},
		},
		{
			"in an outage, beyond an assumed end", New(middle).LoggedIn(start,
				Lease{For: 4 * time.Minute, Assumed: true}).JWTChanged(start), failure.Network, 0,
			[]string{"1s", "2s", "4s", "8s", "16s", "32s", "1m4s", "2m8s", "45s", "45s"},
		},
		{"near the end", held(20*time.Second, true).JWTChanged(start), failure.Network, 0, []string{"1s", "2s", "4s", "6.5s", "5s"}},
		{"near the end, but denied", held(20*time.Second, true).JWTChanged(start), failure.Denied, 0, []string{"30s"}},
		{"near the end, but asked to wait", held(20*time.Second, true).JWTChanged(start), failure.Server, time.Minute, []string{"1m5s"}},
	} {
		now, state := start, tt.state
		var got []string
		for range tt.want {
			state = state.LoginFailed(now, because(tt.class, tt.after))
			failures, wait := state.Retries(now)
			if failures != len(got)+1 {
				t.Errorf("%s: %d failures", tt.name, failures)
			}
			got = append(got, wait.String())
			now = now.Add(wait)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// What grew while a token was good must not hold up the login that the workload
// waits for once the token has ended.
func TestBackoffResetByExpiry(t *testing.T) {
	failing := func(class failure.Class, times int, retryAfter time.Duration) State {
		state := held(time.Hour, true).JWTChanged(start)
		for range times {
			state = state.LoginFailed(at(59*time.Minute), because(class, retryAfter))
		}
		return state
	}
	for _, tt := range []struct {
		name  string
		state State
		class failure.Class
		want  []string // the next attempt, and those after it
	}{
		{"an outage", failing(failure.Network, 20, 0), failure.Network, []string{"0s", "1s", "2s", "4s"}},
		{"a refusal", failing(failure.Denied, 20, 0), failure.Denied, []string{"0s", "5s", "10s"}},
		{"no failure", failing(failure.Denied, 0, 0), failure.Network, []string{"0s", "1s"}},
		{"asked to wait for an hour", failing(failure.RateLimited, 1, time.Hour), failure.Network, []string{"45s", "1s"}},
		{"asked to wait for a little more", failing(failure.RateLimited, 1, 64*time.Second), failure.Network, []string{"12s", "1s"}},
	} {
		now := at(time.Hour)
		state := tt.state.Ended(now)
		_, wait := state.Retries(now)
		got := []string{wait.String()}
		for range tt.want[1:] {
			now = now.Add(wait)
			state = state.LoginFailed(now, because(tt.class, 0))
			_, wait = state.Retries(now)
			got = append(got, wait.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Where a JWT is accepted once, only another one helps.
func TestOnce(t *testing.T) {
	const hour = time.Hour
	used := func(next time.Duration) failure.Facts {
		return failure.Facts{Class: failure.JWT, Verdict: failure.JWTUsed, RetryAfter: next}
	}
	once := Options{Once: true}
	for _, tt := range []struct {
		name  string
		state State
		now   time.Time
		want  Plan
	}{
		{
			"refused: the next one is waited for", New(middle).LoginFailed(start, used(48*time.Minute)), start,
			Plan{Do: Login, In: 51 * time.Minute, Why: Start},
		},
		{"it comes", New(middle).LoginFailed(start, used(48*time.Minute)).JWTChanged(at(hour)), at(hour), Plan{Do: Login, Why: Start}},
		{"nobody knows when", New(middle).LoginFailed(start, used(0)), start, Plan{Do: Login, In: 4 * time.Minute, Why: Start}},
		{
			"the end of the token changes nothing",
			held(time.Minute, false).LoginFailed(start, used(48*time.Minute)).Ended(at(time.Minute)),
			at(time.Minute),
			Plan{Do: Login, In: 50 * time.Minute, Why: Expired},
		},
		{
			"an outage after it begins anew", held(time.Minute, false).LoginFailed(start, used(0)).LoginFailed(start,
				because(failure.Network, 0)).
				Ended(at(time.Minute)), at(time.Minute), Plan{Do: Login, Why: Expired},
		},
		{
			"a new file of certificate authorities", New(middle).LoginFailed(start, used(hour)).Retry(), at(pause),
			Plan{Do: Login, Why: Start},
		},
		{"once: no second login", held(hour, false).With(once), at(hour / 2), Plan{Do: Expire, In: hour / 2}},
		{"once: nor after the end", held(hour, false).With(once).Ended(at(hour)), at(hour), Plan{Do: Login, In: never, Why: Expired}},
		{"once: a token found is kept", Found(middle, start, hour).With(once).JWTUsed(), start, Plan{Do: Expire, In: hour}},
		{"once: but renewals", held(hour, true).With(once), start, Plan{Do: Renew, In: 40 * time.Minute}},
		{
			"once: a failure is repeated", New(middle).With(once).LoginFailed(start, because(failure.Network, 0)), start,
			Plan{Do: Login, In: time.Second, Why: Start},
		},
		{
			"once: who has a token lets others go first", held(hour, false).With(once).JWTChanged(at(hour / 2)), at(hour / 2),
			Plan{Do: Login, In: 22500 * time.Millisecond, Why: Rotated},
		},
		{
			"once: but not to the end", held(hour, false).With(once).JWTChanged(at(hour - 20*time.Second)), at(hour - 20*time.Second),
			Plan{Do: Login, In: 10 * time.Second, Why: Rotated},
		},
		{
			"once: who has none goes first", held(hour, false).With(once).Ended(at(hour)).JWTChanged(at(hour)), at(hour),
			Plan{Do: Login, Why: Expired},
		},
		{
			"learned: who has a token lets others go first", held(2*hour, false).LoginFailed(at(hour), used(0)).JWTChanged(at(hour)),
			at(hour),
			Plan{Do: Login, In: 22500 * time.Millisecond, Why: Rotated},
		},
	} {
		if diff := cmp.Diff(tt.want, tt.state.Next(tt.now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	const hour = time.Hour
	token := func(lease Lease) State {
		lease.Checkable = true
		return New(middle).With(Options{CheckEvery: 5 * time.Minute}).LoggedIn(start, lease).Written()
	}
	for _, tt := range []struct {
		name  string
		state State
		now   time.Time
		want  Plan
	}{
		{"after the interval", token(lasting(hour, true)), start, Plan{Do: Check, In: 5 * time.Minute}},
		{"and again", token(lasting(hour, true)).Checked(at(5 * time.Minute)), at(5 * time.Minute), Plan{Do: Check, In: 5 * time.Minute}},
		{"one that lasts for ever", token(Lease{}), start, Plan{Do: Check, In: 5 * time.Minute}},
		{"not where a renewal says the same", token(lasting(6*time.Minute, true)), start, Plan{Do: Renew, In: 4 * time.Minute}},
		{
			"nor while a login is due", token(lasting(hour, true)).JWTChanged(at(1)).LoginFailed(at(1), because(failure.Denied, 0)),
			at(30 * time.Minute),
			Plan{Do: Login, Why: Rotated},
		},
		{"nor where it may not look", token(lasting(hour, true)).CheckRefused(start), start, Plan{Do: Renew, In: 40 * time.Minute}},
		{"nor where it is off", token(lasting(hour, true)).With(Options{}).Checked(start), start, Plan{Do: Renew, In: 40 * time.Minute}},
		{"a dead one is replaced", token(lasting(hour, true)).TokenDied(at(time.Minute)), at(time.Minute), Plan{Do: Login, Why: Dead}},
		{
			"and soon", token(lasting(hour, true)).TokenDied(at(time.Minute)).LoginFailed(at(time.Minute),
				because(failure.RateLimited, hour)), at(time.Minute),
			Plan{Do: Login, In: 45 * time.Second, Why: Dead},
		},
		{
			"however long renewals have failed", token(lasting(hour, true)).RenewFailed(at(40*time.Minute), because(failure.Server, hour)).
				TokenDied(at(45 * time.Minute)), at(45 * time.Minute), Plan{Do: Login, In: 45 * time.Second, Why: Dead},
		},
		{"asked for: a look", token(lasting(hour, true)).Ask(at(time.Minute)), at(time.Minute), Plan{Do: Check}},
		{
			"asked for where it turns out that there are no looks: a login",
			token(lasting(hour, true)).Ask(at(time.Minute)).CheckRefused(at(time.Minute)),
			at(time.Minute),
			Plan{Do: Login, Why: Asked},
		},
		{
			"asked for at once: a look after a while", token(lasting(hour, true)).Ask(at(time.Second)), at(time.Second),
			Plan{Do: Check, In: 9 * time.Second},
		},
		{
			"asked for where there are no looks: a login", held(hour, true).Ask(at(time.Minute)), at(time.Minute),
			Plan{Do: Login, Why: Asked},
		},
		{
			"asked for at once: a login after a while", held(hour, true).Ask(at(time.Second)), at(time.Second),
			Plan{Do: Login, In: 9 * time.Second, Why: Asked},
		},
		{
			"asked for after a failure", held(hour, true).JWTChanged(start).LoginFailed(start,
				because(failure.Denied, 0)).Ask(at(4 * time.Second)),
			at(4 * time.Second),
			Plan{Do: Login, In: 6 * time.Second, Why: Rotated},
		},
		{
			"but not against the other side's wish",
			held(hour, true).JWTChanged(start).LoginFailed(start, because(failure.Server, time.Minute)).Ask(at(time.Second)), start,
			Plan{Do: Login, In: 67500 * time.Millisecond, Why: Rotated},
		},
		{
			"nor with a JWT that is used up", held(hour, false).With(Options{Once: true}).Ask(at(time.Minute)), at(time.Minute),
			Plan{Do: Expire, In: 59 * time.Minute},
		},
	} {
		if diff := cmp.Diff(tt.want, tt.state.Next(tt.now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestWriteRetries(t *testing.T) {
	state := New(middle).LoggedIn(start, lasting(time.Hour, true))
	var got []string
	for range 7 {
		state = state.WriteFailed(start)
		_, wait := state.WriteRetries(start)
		got = append(got, wait.String())
	}
	if diff := cmp.Diff([]string{"1s", "2s", "4s", "8s", "16s", "24s", "24s"}, got); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if failures, _ := state.Written().WriteRetries(start); failures != 0 {
		t.Errorf("%d failures after a success", failures)
	}
}

func TestChange(t *testing.T) {
	now := at(time.Minute)
	for _, class := range failure.Classes() {
		denied := held(time.Hour, true).LoginFailed(now, because(class, 0))
		if _, wait := denied.JWTChanged(start).Retries(now.Add(pause)); wait != 0 {
			t.Errorf("%s: a new JWT waits %s", class, wait)
		}
		if _, wait := denied.LoginFailed(now, because(class, time.Minute)).JWTChanged(start).Retries(now); wait < time.Minute {
			t.Errorf("%s: somebody who asked to wait is asked again after %s", class, wait)
		}
	}
}

func TestStateIsAValue(t *testing.T) {
	state := held(time.Hour, true)
	before := state.Next(start)
	state.LoginFailed(start, because(failure.Network, 0))
	state.RenewFailed(start, because(failure.Denied, 0))
	state.JWTChanged(start)
	state.Ended(start)
	if diff := cmp.Diff(before, state.Next(start)); diff != "" {
		t.Errorf("it was edited (-before +after):\n%s", diff)
	}
}

func TestJitter(t *testing.T) {
	for _, tt := range []struct {
		random               float64
		renewal, first, last time.Duration
	}{
		{0, 36 * time.Minute, 750 * time.Millisecond, 180 * time.Second},
		{0.999999, 44 * time.Minute, 1250 * time.Millisecond, 300 * time.Second},
	} {
		rand := func() float64 { return tt.random }
		near := func(what string, got, want time.Duration) {
			if diff := (got - want).Abs(); diff > 10*time.Millisecond {
				t.Errorf("%s with %v: %s instead of %s", what, tt.random, got, want)
			}
		}
		near("renewal", New(rand).LoggedIn(start, lasting(time.Hour, true)).Written().Next(start).In, tt.renewal)
		state := New(rand).LoggedIn(start, lasting(1000*time.Hour, true)).JWTChanged(start).LoginFailed(start, because(failure.Network, 0))
		_, first := state.Retries(start)
		near("first", first, tt.first)
		for range 20 {
			state = state.LoginFailed(start, because(failure.Network, 0))
		}
		_, last := state.Retries(start)
		near("last", last, tt.last)
	}
}

// All whom a server sends away until the same moment do not come back together,
// and none comes sooner.
func TestRetryAfterJitter(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: time.Minute, 0.4: 66 * time.Second, 1: 75 * time.Second} {
		state := New(func() float64 { return random }).LoggedIn(start, lasting(time.Hour, true)).JWTChanged(start).LoginFailed(start,
			because(failure.RateLimited, time.Minute))
		if _, wait := state.Retries(start); wait.Round(time.Millisecond) != want {
			t.Errorf("with %v: %s instead of %s", random, wait, want)
		}
	}
}

// The monotonic clock stands still while a machine sleeps; the other one may be
// set back. Whichever has gone further is believed.
func TestTimeAdvances(t *testing.T) {
	now := time.Now()
	// A time with both readings, of which only the wall clock is an hour ahead.
	slept := now.Add(time.Hour).Round(0)
	if got := Elapsed(now, slept); got != time.Hour {
		t.Errorf("after a sleep: %s", got)
	}
	later := now.Add(time.Minute)
	if got := Elapsed(now, later); got != time.Minute {
		t.Errorf("after a minute: %s", got)
	}
	if got := held(time.Hour, true).Next(at(2 * time.Hour)); got.Do != Expire || got.In != 0 {
		t.Errorf("after a sleep beyond the lease: %+v", got)
	}
}

// Whatever happens, exchanges keep their distance, a token that ends is removed
// in time, and without one there is another attempt within a minute.
func FuzzSchedule(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte{0, 0, 200, 1, 30, 2, 2, 2, 255, 3, 77, 4, 90})
	f.Fuzz(func(t *testing.T, events []byte) {
		i := 0
		next := func() int {
			i++
			if i > len(events) {
				return 0
			}
			return int(events[i-1])
		}
		rand := func() float64 { return float64(next()) / 256 }
		state, now, exchanged := New(rand).With(Options{CheckEvery: time.Minute}), start, start.Add(-time.Hour)
		var ends time.Time
		for i < len(events) {
			plan := state.Next(now)
			if plan.In < 0 {
				t.Fatalf("a wait of %s", plan.In)
			}
			if !ends.IsZero() && now.Add(plan.In).After(ends) {
				t.Fatalf("%+v sleeps through the end at %s", plan, ends.Sub(now))
			}
			now = now.Add(plan.In)
			if plan.Do == Login || plan.Do == Renew {
				if now.Sub(exchanged) < pause {
					t.Fatalf("%+v after %s", plan, now.Sub(exchanged))
				}
				exchanged = now
			}
			class := failure.Classes()[next()%len(failure.Classes())]
			lease := []time.Duration{0, time.Millisecond, time.Second, time.Hour, 365 * 24 * time.Hour}[next()%5]
			good := next()%2 == 0
			switch {
			case plan.Do == Check && good:
				state = state.Checked(now)
			case plan.Do == Check:
				state = state.TokenDied(now)
			case plan.Do == Expire:
				state, ends = state.Ended(now), time.Time{}
			case plan.Do == Write && good:
				state = state.Written()
			case plan.Do == Write:
				state = state.WriteFailed(now)
			case good && plan.Do == Renew:
				state, ends = state.Renewed(now, lasting(lease, next()%2 == 0)), end(now, lease)
			case good:
				state, ends = state.LoggedIn(now, lasting(lease, next()%2 == 0)), end(now, lease)
			case plan.Do == Renew:
				state = state.RenewFailed(now, because(class, time.Duration(next())*time.Second))
			default:
				state = state.LoginFailed(now, because(class, time.Duration(next())*time.Second))
				if wait := state.Next(now).In; !class.Final() && !state.held && wait > time.Minute {
					t.Fatalf("%s after %s, and there is no token", wait, class)
				}
			}
			switch next() % 14 {
			case 0, 7:
				state = state.JWTChanged(now)
			case 1:
				state = state.Ask(now)
			}
		}
	})
}

func end(now time.Time, lease time.Duration) time.Time {
	if lease == 0 {
		return time.Time{}
	}
	return now.Add(lease)
}
