package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
)

// explain adds to a failed login what the relying party cannot know.
func (l *login) explain(err error, now time.Time) error {
	e, ok := errors.AsType[*failure.Error](err)
	if !ok {
		return err
	}
	explained := *e
	var advice string
	switch {
	case e.Verdict == failure.JWTUsed:
		advice, explained.RetryAfter = l.used(now)
	case e.Class == failure.Denied:
		advice, explained.Class = clocks(e, l.jwt.times, now)
	}
	if advice == "" {
		return err
	}
	explained.Cause = fmt.Errorf("%w; %s", e.Cause, advice)
	return &explained
}

// used says why the JWT is used up, and how long it takes until there is another.
func (l *login) used(now time.Time) (advice string, left time.Duration) {
	why := "an earlier answer was lost, or another login shares the JWT and needs one of its own"
	if l.jwt.id() == l.session.jwt {
		why = "the JWT has given a token before and is accepted once"
	}
	next := l.jwt.times.Next()
	return why + "; " + nextJWT(next), max(next.Sub(now), 0)
}

// maxSkew is how far clocks may be apart before it is said.
const maxSkew = time.Minute

// clocks says what the time may have to do with a refusal, and what class it is
// then. Our clock is not better than the other one: the JWT was sent, whatever it
// says.
func clocks(e *failure.Error, jwt jwtfile.Times, now time.Time) (advice string, class failure.Class) {
	expired, class := expiry(e, jwt, now)
	if e.Answered.IsZero() || e.Answered.Sub(now).Abs() <= maxSkew {
		return expired, class
	}
	advice = fmt.Sprintf("the clocks differ by %s: it is %s here and %s at the server",
		e.Answered.Sub(now).Abs().Round(time.Second), stampOf(now), stampOf(e.Answered))
	switch {
	case expired != "":
		advice += "; " + expired
	case !jwt.Expires.IsZero() && e.Answered.After(jwt.Expires):
		advice += "; only by the server's the JWT has expired, at " + stampOf(jwt.Expires)
	case jwt.Issued.After(e.Answered):
		advice += "; by the server's the JWT is issued in the future, at " + stampOf(jwt.Issued)
	}
	return advice, class
}

// expiry says whether the JWT has expired by the clock here, and whether the
// server's clock says the same.
func expiry(e *failure.Error, jwt jwtfile.Times, now time.Time) (advice string, class failure.Class) {
	late := now.Sub(jwt.Expires)
	if jwt.Expires.IsZero() || late <= maxSkew {
		return "", e.Class
	}
	if !e.Answered.IsZero() && !e.Answered.After(jwt.Expires) {
		return "only by the one here the JWT has expired, at " + stampOf(jwt.Expires), e.Class
	}
	advice = fmt.Sprintf("the JWT expired %s ago, at %s, and the kubelet has not replaced it", late.Round(time.Second),
		stampOf(jwt.Expires))
	if e.Answered.IsZero() {
		return advice, e.Class
	}
	return advice, failure.JWT
}

// nextJWT says when there will be another JWT.
func nextJWT(next time.Time) string {
	if next.IsZero() {
		return "it takes another JWT"
	}
	return "the next JWT is expected at " + stampOf(next) + ", at 80 % of the lifetime of this one"
}

// errOneLogin is why a login does not even try.
var errOneLogin = errors.New("it has been used for its one login")

// awaitJWT says that there is no token, and that none can be got with this JWT.
func (l *login) awaitJWT(ctx context.Context) {
	next := l.jwt.times.Next()
	l.tell.failed(ctx, "login", &failure.Error{
		Class: failure.JWT, Doing: "use the JWT in " + l.config.JWTFile, Cause: fmt.Errorf("%w; %s", errOneLogin, nextJWT(next)),
	}, attempt{next: max(time.Until(next), 0)})
}
