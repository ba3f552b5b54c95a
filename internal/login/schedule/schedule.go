// Package schedule decides what a login does next, and when. It holds no clock
// and does nothing: times come in with events, and a plan comes out.
package schedule

import (
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

// Action is what to do next.
type Action int

// The actions.
const (
	Login  Action = iota // exchange the JWT for a token
	Renew                // renew the token
	Write                // write the token, or what is new about it
	Expire               // the token has ended: remove it
	Check                // ask whether the token is still valid
)

// Plan is an action, and how long to wait for it.
type Plan struct {
	Do  Action
	In  time.Duration
	Why Reason
}

// Reason is why a login is due.
type Reason string

// The reasons.
const (
	Start    Reason = "start"
	Due      Reason = "two thirds of the lease are over"
	Rotated  Reason = "the JWT has changed"
	Refused  Reason = "the renewal was refused"
	MaxTTL   Reason = "the lease stops growing"
	Expired  Reason = "the token has expired"
	Dead     Reason = "the token is not valid any more"
	Asked    Reason = "somebody asked for it"
	noReason Reason = ""
)

// The numbers of the schedule.
const (
	// renewAt is when in a lease it is renewed, give or take spread, so that
	// pods that started together do not come back together.
	renewAt, spread = 2.0 / 3, 0.1
	// grows is the part of the first lease that a renewal has to give; with less
	// the token nears its end, whatever is done.
	grows = 0.9

	// backoffSpread keeps those apart that failed together.
	backoffSpread = 0.25
	// bareLeast is the least of what a wait is cut to while there is no token, and
	// twice that the most.
	bareLeast = 30 * time.Second
	// lastCall is how soon at the earliest a failed exchange is repeated because
	// the token is about to end.
	lastCall = 5 * time.Second
	// A token that is given again and again has to end before there is another
	// one. From nearEnd before its end on it is left alone until soonAfter its
	// end, and kept for grace: a server that counts in whole seconds hands it out
	// for up to a second longer.
	nearEnd   = time.Minute
	soonAfter = 250 * time.Millisecond
	grace     = 5 * time.Second
	// A new JWT is in its file up to a minute and a half after the kubelet had to
	// ask for it: that is how often it looks. late and up to twice that is when
	// somebody looks who has only been waiting for it.
	late = 2 * time.Minute
	// yieldLeast, and up to twice that, is how long a login that has a token leaves
	// a new JWT to others that may share it. A JWT is looked at every 10 s.
	yieldLeast = 15 * time.Second
	// checkSpread is that of looks at the token. They go to one server from every
	// pod.
	checkSpread = 0.25
	// askedPause is between an exchange or a look and what somebody asks for: an
	// app that asks all the time must not become a burden.
	askedPause = 10 * time.Second
	// pause is between two exchanges at least, whatever lease a server gives.
	pause = 500 * time.Millisecond
)

// pace is how a wait grows: it begins with first and doubles with each failure in
// a row up to most, each give or take backoffSpread.
type pace struct{ first, most time.Duration }

// The paces. What does not heal by itself is tried more slowly from the beginning,
// but less so as long as the workload waits for a token. What may heal is cut to a
// minute then, however long it lasts; see [State.cut].
var (
	heals       = pace{time.Second, 4 * time.Minute}
	refusedHeld = pace{30 * time.Second, 4 * time.Minute}
	refusedBare = pace{5 * time.Second, 4 * time.Minute}
	// atOnce is for what is over in a moment: within a second.
	atOnce = pace{800 * time.Millisecond, time.Second}
	// writing burdens nobody.
	writing = pace{time.Second, 24 * time.Second}
)

// Lease is how long a token lasts, and what can be done about it.
type Lease struct {
	// For is how long; 0 means for ever.
	For time.Duration
	// Assumed means that nobody said so: For is when to renew, and no end.
	Assumed bool
	// Renewable reports whether it can be renewed, Checkable whether one can ask
	// if it is still valid.
	Renewable, Checkable bool
}

// ends reports whether it is known when the token ends.
func (l Lease) ends() bool { return l.For > 0 && !l.Assumed }

// Options are what a user decides.
type Options struct {
	// Once means that a JWT is good for one login.
	Once bool
	// CheckEvery is how often to ask whether the token is still valid; 0 is never.
	CheckEvery time.Duration
}

// State is what is known. Its methods return the state after an event and leave
// the old one as it is. Times may be wall clock readings, monotonic ones, or
// both; see [Elapsed].
type State struct {
	rand    func() float64
	options Options

	token
	jwt

	login     Reason // why a login is due, if it is due now
	exchanged time.Time
	failing   wait
	asked     bool // the other side asked for the wait
	// yield is a wait for the sake of others.
	yield wait

	unwritten bool
	writing   wait
}

// token is the one in place or about to be, if there is one.
type token struct {
	held  bool
	since time.Time
	lease Lease
	first time.Duration // the lease that the login gave
	due   time.Duration // after since
	// lingers: the other side gives no other token before this one has ended.
	lingers bool
	// dead: the other side does not know it any more.
	dead bool
	// check is the time until it is looked at, doubted whether somebody asked for
	// that.
	check   wait
	doubted bool
}

// left is how long the token works, as far as known; without one it is 0.
func (t token) left(now time.Time) time.Duration {
	switch {
	case !t.held || t.dead:
		return 0
	case t.lease.For == 0:
		return never
	default:
		return max(t.lease.For-Elapsed(t.since, now), 0)
	}
}

// jwt is the one in the file.
type jwt struct {
	// used: it has given a token; refused: it was refused, as it is accepted once.
	used, refused bool
	// single: this one, or one before it, is known to be accepted once.
	single bool
}

// wait is a pause after failures in a row.
type wait struct {
	count int
	since time.Time
	delay time.Duration
}

func (w wait) left(now time.Time) time.Duration { return w.delay - Elapsed(w.since, now) }

// With is the same state with options.
func (s State) With(o Options) State {
	s.options = o
	s.single = s.single || o.Once
	return s
}

// New is the state at the start: a login is due. The function returns random
// numbers from 0 to 1.
func New(rand func() float64) State { return State{rand: rand, login: Start} }

// Found is New with a token in place already, by an earlier run, that lasts for
// left; 0 means for ever. Nothing is known of it but that, so a login is due.
func Found(rand func() float64, now time.Time, left time.Duration) State {
	return State{rand: rand, login: Start, token: token{held: true, since: now, lease: Lease{For: left}}}
}

// Elapsed is the time between two readings of the clock, by the wall or by the
// monotonic clock, whichever says more: the latter stands still while a machine
// sleeps, the former may be set back.
func Elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// Next says what to do next.
func (s State) Next(now time.Time) Plan {
	next := s.exchange(now)
	if s.held && s.lease.Checkable && s.login == noReason && next.In > 0 {
		next = sooner(Plan{Do: Check, In: s.check.left(now)}, next)
	}
	if s.unwritten {
		next = sooner(Plan{Do: Write, In: s.writing.left(now)}, next)
	}
	if s.held && s.lease.ends() {
		next = sooner(Plan{Do: Expire, In: s.expire(now)}, next)
	}
	next.In = max(next.In, 0)
	return next
}

// expire is how long it is until the token has to go.
func (s State) expire(now time.Time) time.Duration {
	left := s.lease.For - Elapsed(s.since, now)
	if s.lingers {
		left += grace
	}
	return left
}

// sooner is the plan that is due first; the first one where both are due.
func sooner(a, b Plan) Plan {
	if a.In <= 0 || a.In <= b.In {
		return a
	}
	return b
}

// never is longer than any process lives.
const never = 100 * 365 * 24 * time.Hour

// exchange is the next login or renewal.
func (s State) exchange(now time.Time) Plan {
	plan := Plan{Do: Login, Why: s.login}
	if s.login == noReason {
		plan = Plan{Do: Login, In: never, Why: Due}
		if s.lease.For > 0 {
			plan.In = s.due - Elapsed(s.since, now)
		}
		if s.lease.Renewable {
			plan = Plan{Do: Renew, In: plan.In}
		}
	}
	if plan.Do == Login && s.AwaitsJWT() {
		plan.In = never
		return plan
	}
	plan.In = max(plan.In, s.failing.left(now), s.yield.left(now), pause-Elapsed(s.exchanged, now))
	return plan
}

// AwaitsJWT reports whether there can be no login but with another JWT.
func (s State) AwaitsJWT() bool { return s.options.Once && s.used }

// JWTUsed notes that the JWT in the file has given a token already.
func (s State) JWTUsed() State {
	s.used = true
	return s
}

// LoggedIn notes a new token, whose lease began at since.
func (s State) LoggedIn(since time.Time, lease Lease) State {
	s.first, s.used = lease.For, true
	return s.leased(since, lease)
}

// SameToken notes that a login gave the token that is in place already. There is
// no other one, perhaps not before this one has ended.
func (s State) SameToken(since time.Time, lease Lease) State {
	s = s.LoggedIn(since, lease)
	if lease.ends() && lease.For <= nearEnd {
		s.lingers = true
		s.due = lease.For + soonAfter
	}
	return s
}

// SameTokenEnded notes that a login gave the token that is in place, which has
// ended by now. There will be another one in a moment.
func (s State) SameTokenEnded(now time.Time) State {
	if s.lease.For-Elapsed(s.since, now) > grace { // it was to last: something else is wrong
		return s.failed(now, failure.Facts{Class: failure.Protocol, Verdict: failure.EndedToken})
	}
	s.lingers, s.exchanged = true, now
	s.failing = wait{since: now, delay: pause + time.Duration(float64(pause)*s.rand())}
	return s
}

// Renewed notes a renewal. Where the lease stops growing, a login is due.
func (s State) Renewed(since time.Time, lease Lease) State {
	s = s.leased(since, lease)
	if lease.For > 0 && (s.first == 0 || lease.For.Seconds() < grows*s.first.Seconds()) {
		s.login = MaxTTL
	}
	return s
}

func (s State) leased(since time.Time, lease Lease) State {
	s.token = token{held: true, since: since, lease: lease, first: s.first}
	s.due = time.Duration(float64(lease.For) * renewAt * s.between(spread))
	s = s.Checked(since)
	s.login, s.failing, s.asked = noReason, wait{}, false
	s.exchanged = since
	s.unwritten, s.writing = true, wait{}
	return s
}

// Checked notes that the token is valid, or that nobody could say.
func (s State) Checked(now time.Time) State {
	delay := time.Duration(float64(s.options.CheckEvery) * s.between(checkSpread))
	if s.options.CheckEvery <= 0 {
		delay = never
	}
	s.check, s.doubted = wait{since: now, delay: delay}, false
	return s
}

// CheckRefused notes that there are no looks at this token. Who asked for one
// gets another token.
func (s State) CheckRefused(now time.Time) State {
	s.lease.Checkable = false
	if s.doubted {
		return s.Ask(now)
	}
	return s
}

// TokenDied notes that the token is not valid any more, before its time.
func (s State) TokenDied(now time.Time) State {
	s.dead = true
	if s.login == noReason {
		s.login = Dead
	}
	return s.anew(now)
}

// Ask notes that somebody takes the token for a bad one. It is looked at, or
// where that is not possible replaced. A wait after failures is cut short, unless
// the other side asked for it.
func (s State) Ask(now time.Time) State {
	switch {
	case s.login != noReason && !s.asked && !s.refused:
		left := max(askedPause-Elapsed(s.exchanged, now), 0)
		s.failing.delay = min(s.failing.delay, Elapsed(s.failing.since, now)+left)
	case s.login != noReason, s.AwaitsJWT() && !s.lease.Checkable:
	case s.lease.Checkable:
		s.check.delay, s.doubted = min(s.check.delay, askedPause), true
	default:
		s.login = Asked
		s.yield = wait{since: s.exchanged, delay: askedPause}
	}
	return s
}

// LoginFailed notes that a login failed.
func (s State) LoginFailed(now time.Time, f failure.Facts) State { return s.failed(now, f) }

// RenewFailed notes that a renewal failed. Where the answer was no, a login is
// due.
func (s State) RenewFailed(now time.Time, f failure.Facts) State {
	if f.Verdict == failure.DeadToken {
		s.dead = true
	}
	if f.Final() {
		s.login = Refused
		s.exchanged = now
		return s
	}
	return s.failed(now, f)
}

func (s State) failed(now time.Time, f failure.Facts) State {
	s.exchanged = now
	if f.Verdict == failure.JWTUsed {
		return s.refusedJWT(now, f.RetryAfter)
	}
	s.refused = false
	s.failing = s.backOff(now, s.failing.count, s.pace(now, f))
	s.asked = f.RetryAfter > 0
	// Never sooner than asked. But a server often names the same moment to all
	// whom it sends away, and they are not to come back together.
	later := time.Duration(float64(f.RetryAfter) * (1 + backoffSpread*s.rand()))
	s.failing.delay = max(s.failing.delay, later)
	if s.asked || !f.Final() { // but not for long once there is no token
		s.failing.delay = min(s.failing.delay, s.left(now)+s.cut(s.failing.delay))
	}
	// Not where the answer was no: it would be no again.
	if s.held && s.lease.ends() && !s.asked && f.Class != failure.Denied {
		s.failing.delay = min(s.failing.delay, max(s.left(now)/2, lastCall))
	}
	return s
}

// refusedJWT waits for the next JWT, which is to be there after a while; 0 means
// that nobody knows. Should it not come, the same one is tried again at the
// slowest pace, as words may be misunderstood.
func (s State) refusedJWT(now time.Time, next time.Duration) State {
	delay := time.Duration(float64(refusedHeld.most) * s.between(backoffSpread))
	if next > 0 {
		delay = next + late + time.Duration(float64(late)*s.rand())
	}
	s.failing = wait{count: s.failing.count + 1, since: now, delay: delay}
	s.asked, s.refused, s.single = false, true, true
	return s
}

// pace is that of a failed exchange.
func (s State) pace(now time.Time, f failure.Facts) pace {
	switch {
	case f.Verdict == failure.EndedToken && s.failing.count == 0:
		return atOnce
	case !f.Final():
		return heals
	case s.left(now) > 0:
		return refusedHeld
	default:
		return refusedBare
	}
}

// cut bounds a wait while there is no token. The other side may ask for more, and
// gets less: a workload is not left without a token for an hour.
func (s State) cut(delay time.Duration) time.Duration {
	return min(delay, bareLeast+time.Duration(float64(bareLeast)*s.rand()))
}

// anew begins the pace anew, as there is no token from now on: what failed while
// there was one was no hurry.
func (s State) anew(now time.Time) State {
	if s.refused { // that takes another JWT, whether there is a token or not
		return s
	}
	var delay time.Duration
	if s.asked {
		delay = s.cut(s.failing.left(now))
	}
	s.failing = wait{since: now, delay: delay}
	return s
}

// backOff is the wait after the failure that follows count others.
func (s State) backOff(now time.Time, count int, p pace) wait {
	delay := p.first
	for range count {
		delay = min(2*delay, p.most)
	}
	return wait{count: count + 1, since: now, delay: time.Duration(float64(delay) * s.between(backoffSpread))}
}

// between is a random number around 1.
func (s State) between(spread float64) float64 { return 1 - spread + 2*spread*s.rand() }

// JWTChanged notes that the JWT is a new one: a login is due, so that an
// identity that no longer exists does not live on by renewals. What failed with
// the old one is tried again at once, unless the other side asked to wait.
//
// Where a JWT is good for one login, another login may share it. Who has a token
// lets those go first that have none.
func (s State) JWTChanged(now time.Time) State {
	if s.login == noReason {
		s.login = Rotated
	}
	s.used, s.refused, s.yield = false, false, wait{}
	if s.single {
		delay := yieldLeast + time.Duration(float64(yieldLeast)*s.rand())
		s.yield = wait{since: now, delay: min(delay, s.left(now)/2)}
	}
	return s.Retry()
}

// Retry notes that what failed may work now.
func (s State) Retry() State {
	if !s.asked {
		s.failing.delay = 0
	}
	return s
}

// Ended notes that the token has expired and was removed.
func (s State) Ended(now time.Time) State {
	s.token, s.unwritten = token{}, false
	s.login, s.yield = Expired, wait{}
	return s.anew(now)
}

// Written notes that the token is in place.
func (s State) Written() State {
	s.unwritten, s.writing = false, wait{}
	return s
}

// WriteFailed notes that the token could not be written. It is kept and written
// later, as another login would help nobody.
func (s State) WriteFailed(now time.Time) State {
	s.writing = s.backOff(now, s.writing.count, writing)
	return s
}

// Retries tells how many exchanges have failed in a row, and how long it is to
// the next one.
func (s State) Retries(now time.Time) (failures int, next time.Duration) {
	return s.failing.count, max(s.exchange(now).In, 0)
}

// WriteRetries tells the same of writing.
func (s State) WriteRetries(now time.Time) (failures int, next time.Duration) {
	return s.writing.count, max(s.writing.left(now), 0)
}
