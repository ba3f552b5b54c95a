package login

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/contract"
	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
	"github.com/oidc-injector/oidc-injector/internal/login/output"
	"github.com/oidc-injector/oidc-injector/internal/login/schedule"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
)

// logIn exchanges the JWT for a token.
func (l *login) logIn(ctx context.Context, why schedule.Reason) {
	// A lease counts from before the request: rather too early than too late.
	start := time.Now()
	credential, err := l.exchangeJWT(ctx, start)
	switch {
	case err != nil && ctx.Err() != nil: // we are ending, which is nobody's failure
		return
	case err != nil:
		class, retryAfter := failure.Of(err)
		l.state = l.state.LoginFailed(time.Now(), class, retryAfter)
		attempt, next := l.state.Retries(time.Now())
		l.failed(ctx, "login", err, attempt, next)
		return
	}
	l.state = l.state.LoggedIn(start, credential.Lease, credential.Renewable)
	l.hold(credential, start)
	l.report.update(func(r *report) { r.logins++ })
	l.log.Info("logged in", "because", string(why), "expires", stampOf(l.expires), "tokenType", credential.TokenType,
		"renewable", credential.Renewable, "policies", credential.Policies)
	for _, warning := range credential.Warnings {
		l.log.Warn("the relying party warns", "text", secret.Quote(warning, credential.Token))
	}
	var fresh *token
	if credential.Revocable {
		fresh = &token{text: credential.Token, ends: l.expires}
	}
	l.revokeOne(ctx, l.tokens.obtained(fresh))
}

// exchangeJWT reads the JWT, uses it and lets go of it.
func (l *login) exchangeJWT(ctx context.Context, now time.Time) (exchange.Credential, error) {
	defer l.afterExchange()
	l.stamp = jwtfile.Look(l.config.JWTFile)
	jwt, err := jwtfile.Read(l.config.JWTFile, now)
	if err != nil {
		return exchange.Credential{}, err
	}
	l.noteJWT(jwt)
	return l.party.Login(ctx, jwt.Token)
}

// renew extends the lease of the token.
func (l *login) renew(ctx context.Context) {
	party, ok := l.party.(renewer)
	if !ok {
		l.state = l.state.RenewFailed(time.Now(), failure.Denied, 0)
		return
	}
	start := time.Now()
	renewed, err := party.Renew(ctx, l.credential.Token)
	l.afterExchange()
	switch {
	case err != nil && ctx.Err() != nil:
		return
	case err != nil:
		class, retryAfter := failure.Of(err)
		l.state = l.state.RenewFailed(time.Now(), class, retryAfter)
		attempt, next := l.state.Retries(time.Now())
		l.failed(ctx, "renewal", err, attempt, next)
		return
	}
	l.state = l.state.Renewed(start, renewed.Lease, renewed.Renewable)
	credential := l.credential
	credential.Lease, credential.Renewable = renewed.Lease, renewed.Renewable
	l.hold(credential, start)
	l.tokens.renewed(l.expires)
	l.report.update(func(r *report) { r.renewals++ })
	l.log.Info("renewed", "expires", stampOf(l.expires))
}

// hold makes it the credential to write.
func (l *login) hold(credential exchange.Credential, start time.Time) {
	l.credential = credential
	l.expires = time.Time{}
	if credential.Lease > 0 {
		l.expires = start.Add(credential.Lease).Round(0)
	}
}

// failed notes a failure where people look for it: log, counters and status.
func (l *login) failed(ctx context.Context, step string, err error, attempt int, next time.Duration) {
	class, _ := failure.Of(err)
	attempt = max(attempt, 1) // a renewal that is refused is not tried again, and so not counted
	level := slog.LevelError
	if ready, _ := l.status.Say(time.Now()); ready {
		level = slog.LevelWarn
	}
	attributes := []any{
		"step", step, "class", string(class), "err", err.Error(), "attempt", attempt, "next", next.Round(time.Millisecond).String(),
	}
	if class.Final() {
		l.log.Log(ctx, level, "refused, which does not heal by itself", attributes...)
	} else {
		l.log.Log(ctx, level, "a step has failed", attributes...)
	}
	l.report.update(func(r *report) { r.failures[class]++ })
	l.say(func(s *status.Status) {
		s.Failing = &status.Failing{Class: class, Text: err.Error(), Attempt: attempt, NextTime: time.Now().Add(next).Round(0)}
	})
}

// write puts the token in place.
func (l *login) write(ctx context.Context) {
	content := output.Format(l.config.OutputFormat, output.Content{
		Credential: l.credential, Vault: l.config.Method == contract.MethodVault, Expires: l.expires,
	})
	err := l.result.Write(content)
	if errors.Is(err, output.ErrUnsynced) {
		l.warnOnce("output file", err)
		err = nil
	}
	if err != nil {
		err = &failure.Error{Class: failure.Output, Doing: "write the token to " + l.config.OutputFile, Cause: err}
		l.state = l.state.WriteFailed(time.Now())
		attempt, next := l.state.WriteRetries(time.Now())
		l.failed(ctx, "write", err, attempt, next)
		return
	}
	l.state = l.state.Written()
	l.say(func(s *status.Status) { *s = status.Status{Address: l.address(), InPlace: true, Expires: l.expires} })
	l.written = true
	l.revokeOne(ctx, l.tokens.wrote(time.Now()))
}

// expire removes a token that has ended. A workload that finds no file knows
// what to say; with a dead token it would get errors from elsewhere.
func (l *login) expire() {
	l.state = l.state.Ended()
	l.log.Error("the token has expired and is removed", "expired", stampOf(l.expires))
	l.warnOnce("output file", l.result.Remove())
	l.say(func(s *status.Status) { s.InPlace = false })
}

// stampOf writes a time for the log; a token that does not expire has none.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
