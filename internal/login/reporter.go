package login

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/output"
	"github.com/oidc-injector/oidc-injector/internal/login/schedule"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
)

// reporter tells of a login where people look: in the log, in the metrics, and
// in the status file.
type reporter struct {
	log     *slog.Logger
	metrics *report
	file    *output.File
	// status is what the status file says.
	status status.Status
	// warned are the last warnings by subject, so that one that stays is said
	// once.
	warned map[string]string
}

func newReporter(log *slog.Logger, outputFile string) *reporter {
	return &reporter{
		log: log, metrics: newReport(), warned: map[string]string{},
		file: &output.File{Path: status.Path(outputFile), Mode: 0o600},
	}
}

// warnOnce logs an error that does not stop the login, once as long as it stays
// the same.
func (r *reporter) warnOnce(subject string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != r.warned[subject] {
		r.log.Warn("cannot access file", "subject", subject, "error", text)
	}
	r.warned[subject] = text
}

// say changes the status, and writes it down for those who ask.
func (r *reporter) say(change func(*status.Status)) {
	change(&r.status)
	r.metrics.update(func(m *report) { m.status = r.status })
	r.warnOnce("status", r.file.Write(status.Encode(r.status)))
}

// loggedIn notes a login, and whether it gave the same token again.
func (r *reporter) loggedIn(why schedule.Reason, s *session, same bool) {
	credential := s.credential
	r.metrics.update(func(m *report) { m.logins++ })
	r.log.Info("logged in", "because", string(why), "expires", s.end(), "tokenType", secret.Redact(credential.TokenType, credential.Token),
		"renewable", credential.Renewable, "policies", few(credential.Policies, credential.Token), "sameToken", same)
	const subject = "relying party"
	warnings := strings.Join(credential.Warnings, "\n")
	if warnings == r.warned[subject] {
		return
	}
	r.warned[subject] = warnings
	for _, warning := range credential.Warnings {
		r.log.Warn("server returned a warning", "text", strconv.Quote(warning))
	}
}

// maxLogged bounds a list in the log, in bytes.
const maxLogged = 1000

// few are as many of the first elements of a list as are logged, without secrets.
func few(list []string, secrets ...secret.Text) []string {
	var some []string
	size := 0
	for i, element := range list {
		if size > maxLogged {
			return append(some, fmt.Sprintf("… and %d more", len(list)-i))
		}
		some = append(some, secret.Redact(element, secrets...))
		size += 1 + len(element)
	}
	return some
}

// revoked notes a revocation, or that there was none.
func (r *reporter) revoked(err error) {
	if err != nil {
		r.log.Warn("a token was not revoked", "error", err.Error())
		return
	}
	r.log.Info("revoked a token")
}

// attempt is which one of a row has failed, and how long it is to the next.
type attempt struct {
	number int
	next   time.Duration
}

// failed notes a failure.
func (r *reporter) failed(ctx context.Context, step string, err error, a attempt) {
	facts := failure.Of(err)
	a.number = max(a.number, 1) // a renewal that is refused is not tried again, and so not counted
	level := slog.LevelError
	if ready, _ := r.status.Say(time.Now()); ready {
		level = slog.LevelWarn
	}
	attributes := []any{
		"step", step, "class", string(facts.Class), "error", err.Error(),
		"attempt", a.number, "next", a.next.Round(time.Millisecond).String(),
	}
	if facts.Final() {
		r.log.Log(ctx, level, "attempt rejected (permanent error)", attributes...)
	} else {
		r.log.Log(ctx, level, "attempt failed, will retry", attributes...)
	}
	r.metrics.update(func(m *report) { m.failures[facts.Class]++ })
	r.say(func(s *status.Status) {
		s.Failing = &status.Failing{Class: facts.Class, Text: err.Error(), Attempt: a.number, NextTime: time.Now().Add(a.next).Round(0)}
	})
}

// stampOf writes a time for the log; a token that does not expire has none.
func stampOf(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
