package login

import (
	"context"
	"errors"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/output"
	"github.com/oidc-injector/oidc-injector/internal/login/schedule"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// logIn exchanges the JWT for a token.
func (l *login) logIn(ctx context.Context, why schedule.Reason) {
	// A lease counts from before the request: rather too early than too late.
	start := time.Now()
	credential, err := l.exchangeJWT(ctx)
	same := l.session.holds(credential.Token)
	switch {
	case err != nil && ctx.Err() != nil: // we are ending, which is nobody's failure
		return
	case err != nil && same:
		l.tell.log.Debug("got the same token, which has ended", "because", string(why))
		l.state = l.state.SameTokenEnded(time.Now())
		return
	case err != nil:
		err = l.explain(err, time.Now())
		l.state = l.state.LoginFailed(time.Now(), failure.Of(err))
		l.tell.failed(ctx, "login", err, l.exchangeAttempt())
		return
	}
	unused := l.session.loggedIn(credential, start)
	if same {
		l.state = l.state.SameToken(start, l.session.lease())
	} else {
		l.state = l.state.LoggedIn(start, l.session.lease())
	}
	l.session.jwt = l.jwt.id()
	l.tell.loggedIn(why, &l.session, same)
	if next := l.jwt.times.Next(); l.state.AwaitsJWT() && !l.session.expires.IsZero() && l.session.expires.Before(next) {
		l.tell.log.Warn("the token ends before there is another JWT", "expires", l.session.end(), "next", stampOf(next))
	}
	l.revokeOne(ctx, unused)
}

// exchangeJWT reads the JWT, uses it and lets go of it.
func (l *login) exchangeJWT(ctx context.Context) (exchange.Credential, error) {
	defer l.afterExchange()
	jwt, err := l.jwt.read()
	if err != nil {
		return exchange.Credential{}, err
	}
	l.noteJWT()
	credential, err := l.party.Login(ctx, jwt)
	credential.Warnings = few(credential.Warnings, jwt, credential.Token)
	return credential, err
}

func (l *login) exchangeAttempt() attempt {
	failures, next := l.state.Retries(time.Now())
	return attempt{failures, next}
}

// renew extends the lease of the token.
func (l *login) renew(ctx context.Context) {
	party, ok := l.party.(renewer)
	if !ok {
		l.state = l.state.RenewFailed(time.Now(), failure.Facts{Class: failure.Denied})
		return
	}
	start := time.Now()
	renewed, err := party.Renew(ctx, l.session.credential.Token)
	l.afterExchange()
	if err != nil && ctx.Err() != nil {
		return
	}
	tried := l.session.rights.renew
	l.session.rights.renew.after(err)
	switch {
	case err == nil:
	case tried == untried && l.session.rights.renew == lacking:
		l.tell.log.Warn("tokens cannot be renewed, so there will be logins instead", "error", err.Error())
		l.state = l.state.RenewFailed(time.Now(), failure.Of(err))
		return
	default:
		l.state = l.state.RenewFailed(time.Now(), failure.Of(err))
		l.tell.failed(ctx, "renewal", err, l.exchangeAttempt())
		return
	}
	l.session.renewed(renewed, start)
	l.state = l.state.Renewed(start, l.session.lease())
	l.tell.metrics.update(func(m *report) { m.renewals++ })
	l.tell.log.Info("renewed", "expires", l.session.end())
}

// check looks at the token, which may have been revoked, or be unknown to a server
// that was restored. Only a clear answer counts: whatever else goes wrong, the
// next look or the renewal will tell.
func (l *login) check(ctx context.Context) {
	party, ok := l.party.(checker)
	if !ok {
		l.state = l.state.CheckRefused(time.Now())
		return
	}
	err := party.Check(ctx, l.session.credential.Token)
	l.afterExchange()
	if err != nil && ctx.Err() != nil {
		return
	}
	dead := l.session.rights.lookup.after(err)
	switch {
	case dead:
		l.tell.log.Warn("the token is not valid any more, before its time", "error", err.Error())
		l.tell.say(func(s *status.Status) { s.Dead = true })
		l.state = l.state.TokenDied(time.Now())
		if l.state.AwaitsJWT() {
			l.awaitJWT(ctx)
		}
	case l.session.rights.lookup == lacking:
		l.tell.log.Info("tokens cannot be checked", "error", err.Error())
		l.state = l.state.CheckRefused(time.Now())
	default:
		if err != nil {
			l.tell.log.Debug("the token was not checked", "error", err.Error())
		}
		l.state = l.state.Checked(time.Now())
	}
}

// write puts the token in place.
func (l *login) write(ctx context.Context) {
	content := output.Format(l.config.OutputFormat, output.Content{
		Credential: l.session.credential, Variable: loginspec.MethodOf(l.config.Method).TokenVariable, Expires: l.session.expires,
	})
	err := l.result.Write(content)
	if errors.Is(err, output.ErrUnsynced) {
		l.tell.warnOnce("output file", err)
		err = nil
	}
	if err != nil {
		err = &failure.Error{Class: failure.Output, Doing: "write the token to " + l.config.OutputFile, Cause: err}
		l.state = l.state.WriteFailed(time.Now())
		failures, next := l.state.WriteRetries(time.Now())
		l.tell.failed(ctx, "write", err, attempt{failures, next})
		return
	}
	l.state = l.state.Written()
	l.placed = true
	l.tell.say(func(s *status.Status) {
		*s = status.Status{
			Address: l.config.address(), InPlace: true,
			Expires: l.session.expires, Unknown: l.session.credential.Assumed, Origin: l.session.jwt,
		}
	})
	l.revokeOne(ctx, l.session.tokens.wrote(time.Now()))
}

// expire removes a token that has ended. A workload that finds no file knows
// what to say; with a dead token it would get errors from elsewhere.
func (l *login) expire(ctx context.Context) {
	l.state = l.state.Ended(time.Now())
	l.session.credential = exchange.Credential{}
	l.tell.log.Error("the token has expired and is removed", "expired", stampOf(l.session.expires))
	l.tell.warnOnce("output file", l.result.Remove())
	l.tell.say(func(s *status.Status) { s.InPlace = false })
	if l.state.AwaitsJWT() {
		l.awaitJWT(ctx)
	}
}
