package login

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/contract"
	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
	"github.com/oidc-injector/oidc-injector/internal/login/output"
	"github.com/oidc-injector/oidc-injector/internal/login/schedule"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/login/vault"
	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// begin takes over what an earlier run of the container has left: the token in
// the file serves on until there is a new one, and is then a superseded one.
func (l *login) begin(now time.Time) {
	for _, file := range []*output.File{l.result, l.statusFile, l.caCopy} {
		if file.Path != "" {
			l.warnOnce("clean-up", file.CleanUp())
		}
	}
	fresh := status.Status{Address: l.address()}
	defer func() { l.say(func(s *status.Status) { *s = fresh }) }()
	text := output.ReadBack(l.config.OutputFile, l.config.OutputFormat)
	if text == "" {
		return
	}
	data, _ := os.ReadFile(l.statusFile.Path) // without it nothing is known, which is no trouble
	old, err := status.Decode(data)
	if l.config.Method == contract.MethodVault && !vault.LooksBatch(text) {
		l.tokens.placed = &token{text: text, ends: old.Expires}
	}
	if err != nil || !old.InPlace {
		return
	}
	var left time.Duration
	if !old.Expires.IsZero() {
		// What has expired meanwhile is removed at once.
		left = max(old.Expires.Sub(now), 1)
	}
	l.state = schedule.Found(l.rand, now, left)
	l.expires = old.Expires
	fresh.InPlace, fresh.Expires = true, old.Expires
}

// loop does what the schedule says until ctx ends, or until it is done in the
// mode init.
func (l *login) loop(ctx context.Context) error {
	parent := ctx
	if l.config.Mode == contract.ModeInit && l.config.Timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, l.config.Timeout)
		defer cancel()
		ctx = limited
	}
	l.look(time.Now())
	looked := time.Now()
	for ctx.Err() == nil {
		if l.config.Mode == contract.ModeInit && l.written {
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
		repeat.Sleep(ctx, min(plan.In, lookEvery-time.Since(looked)))
	}
	if l.config.Mode == contract.ModeSidecar {
		l.log.Info("ending")
		return nil
	}
	return l.inVain(parent)
}

// inVain says why the mode init ends without a login.
func (l *login) inVain(parent context.Context) error {
	end := "ended by a signal before the login"
	if parent.Err() == nil {
		end = fmt.Sprintf("not logged in within %s", l.config.Timeout)
	}
	if f := l.status.Failing; f != nil {
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
		l.expire()
	}
}

// look looks for new certificate authorities and for a new JWT.
func (l *login) look(now time.Time) {
	l.lookAtCA()
	stamp := jwtfile.Look(l.config.JWTFile)
	if l.stamp.Same(stamp) {
		return
	}
	jwt, err := jwtfile.Read(l.config.JWTFile, now)
	if err != nil {
		return // a login that is due says what is wrong with it
	}
	l.stamp = stamp
	if jwt.Sum == l.sum {
		l.state = l.state.Retry() // it may have been missing
		return
	}
	if l.sum != [sha256.Size]byte{} {
		l.log.Info("the JWT has changed", "expires", stampOf(jwt.Times.Expires))
	}
	l.noteJWT(jwt)
	l.state = l.state.JWTChanged()
}

func (l *login) noteJWT(jwt jwtfile.JWT) {
	l.sum = jwt.Sum
	l.report.update(func(r *report) { r.jwt = jwt.Times })
}

func (l *login) lookAtCA() {
	if l.ca == nil {
		return
	}
	authorities, err := l.ca.PEM()
	l.warnOnce("certificate authorities", err)
	if len(authorities) == 0 {
		return
	}
	if sum := sha256.Sum256(authorities); sum != l.caSum {
		if l.caSum != [sha256.Size]byte{} {
			l.log.Info("the certificate authorities have changed")
		}
		l.caSum = sum
		l.state = l.state.Retry()
	}
	if l.caCopy.Path != "" {
		l.warnOnce("copy of the certificate authorities", l.caCopy.Write(authorities))
	}
}

// warnOnce logs an error that does not stop the login, once as long as it stays
// the same.
func (l *login) warnOnce(subject string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != l.warned[subject] {
		l.log.Warn("a problem with a file", "subject", subject, "err", text)
	}
	l.warned[subject] = text
}

// say changes the status, and writes it down for those who ask.
func (l *login) say(change func(*status.Status)) {
	change(&l.status)
	l.report.update(func(r *report) { r.status = l.status })
	l.warnOnce("status", l.statusFile.Write(status.Encode(l.status)))
}
