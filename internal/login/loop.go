package login

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/output"
	"github.com/oidc-injector/oidc-injector/internal/login/schedule"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// lookEvery is how often the JWT and the CA are looked at for changes. The
// kubelet replaces a JWT when a fifth of its life is left, two minutes at least.
const lookEvery = 10 * time.Second

// begin takes over what an earlier run of the container has left: the token in
// the file serves on until there is a new one, and is then a superseded one.
func (l *login) begin(now time.Time) {
	for _, file := range []*output.File{l.result, l.tell.file, &l.ca.copy} {
		if file.Path != "" {
			l.tell.warnOnce("clean-up", file.CleanUp())
		}
	}
	data, _ := os.ReadFile(l.tell.file.Path) // without it nothing is known, which is no trouble
	old, err := status.Decode(data)
	fresh := status.Status{Address: l.config.address(), Origin: old.Origin}
	l.session.jwt = old.Origin
	text := output.ReadBack(l.config.OutputFile, l.config.OutputFormat)
	if party, ok := l.party.(revoker); ok && text != "" && party.Revocable(text) {
		l.session.tokens.placed = &token{text: text, ends: old.Expires}
	}
	if text != "" && err == nil && old.InPlace {
		l.found(text, old.Expires, now)
		fresh.InPlace, fresh.Expires, fresh.Unknown, fresh.Dead = true, old.Expires, old.Unknown, old.Dead
	}
	l.tell.say(func(s *status.Status) { *s = fresh })
}

// found takes over a token that serves on.
func (l *login) found(text secret.Text, expires, now time.Time) {
	var left time.Duration
	if !expires.IsZero() {
		// What has expired meanwhile is removed at once.
		left = max(expires.Sub(now), 1)
	}
	l.state = schedule.Found(l.rand, now, left).With(l.options())
	l.session.expires, l.session.credential.Token = expires, text
}

// loop does what the schedule says until ctx ends, or until it is done in the
// mode init.
func (l *login) loop(ctx context.Context) error {
	parent := ctx
	if l.config.Mode == loginspec.ModeInit && l.config.Timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, l.config.Timeout)
		defer cancel()
		ctx = limited
	}
	l.look(time.Now())
	if l.state.AwaitsJWT() && !l.tell.status.InPlace {
		l.awaitJWT(ctx)
	}
	looked := time.Now()
	for ctx.Err() == nil {
		if l.config.Mode == loginspec.ModeInit && l.done() {
			return nil
		}
		if since := time.Since(looked); since >= lookEvery {
			l.look(time.Now())
			looked = time.Now()
		}
		plan := l.state.Next(time.Now())
		if plan.In <= 0 {
			l.do(ctx, plan)
			continue
		}
		// A timer stands still while a machine sleeps, so it is not set for long.
		l.sleep(ctx, min(plan.In, lookEvery-time.Since(looked)))
	}
	if l.config.Mode == loginspec.ModeSidecar {
		l.tell.log.Info("ending")
		return nil
	}
	return l.inVain(parent)
}

// done reports whether the mode init has what it is for: a token of this run, or
// one of an earlier run where there can be no other.
func (l *login) done() bool {
	if l.state.AwaitsJWT() {
		ready, _ := l.tell.status.Say(time.Now())
		return ready
	}
	return l.placed
}

// sleep waits for the duration, or until ctx ends, or somebody asks for another
// token.
func (l *login) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
		return
	case <-l.hangup:
	case <-l.asked:
	}
	l.tell.log.Debug("asked to check the token")
	l.state = l.state.Ask(time.Now())
}

// ask asks for another token, from another goroutine.
func (l *login) ask() {
	select {
	case l.asked <- struct{}{}:
	default: // somebody has just done so
	}
}

// inVain says why the mode init ends without a login.
func (l *login) inVain(parent context.Context) error {
	end := "ended by a signal before the login"
	if parent.Err() == nil {
		end = fmt.Sprintf("not logged in within %s", l.config.Timeout)
	}
	if f := l.tell.status.Failing; f != nil {
		return fmt.Errorf("%s: %s (attempt %d)", end, f.Text, f.Attempt)
	}
	return fmt.Errorf("%s: the first attempt was not over", end)
}

func (l *login) do(ctx context.Context, plan schedule.Plan) {
	switch plan.Do {
	case schedule.Login:
		l.logIn(ctx, plan.Why)
	case schedule.Renew:
		l.renew(ctx)
	case schedule.Write:
		l.write(ctx)
	case schedule.Expire:
		l.expire(ctx)
	case schedule.Check:
		l.check(ctx)
	}
}

// look looks for new certificate authorities and for a new JWT.
func (l *login) look(now time.Time) {
	what, unread, uncopied := l.ca.look()
	l.tell.warnOnce("certificate authorities", unread)
	l.tell.warnOnce("copy of the certificate authorities", uncopied)
	if what == replaced {
		l.tell.log.Info("the certificate authorities have changed")
	}
	if what != unchanged {
		l.state = l.state.Retry()
	}
	switch l.jwt.look() {
	case unchanged:
		return
	case usable:
		l.state = l.state.Retry() // it may have been missing
		if l.jwt.id() == l.session.jwt {
			l.state = l.state.JWTUsed()
		}
	case replaced:
		l.tell.log.Info("the JWT has changed", "expires", stampOf(l.jwt.times.Expires))
		l.state = l.state.JWTChanged(now)
	}
	l.noteJWT()
}

func (l *login) noteJWT() {
	l.tell.metrics.update(func(m *report) { m.jwt = l.jwt.times })
}
