package login

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

// explain adds to a failed login what the relying party cannot know.
func (l *login) explain(err error, now time.Time) error {
	e, ok := errors.AsType[*failure.Error](err)
	if !ok || e.Verdict != failure.JWTUsed {
		return err
	}
	explained := *e
	next := l.jwt.times.Next()
	explained.RetryAfter = max(next.Sub(now), 0)
	why := "an earlier answer was lost, or another login shares the JWT and needs one of its own"
	if l.jwt.id() == l.session.jwt {
		why = "the JWT has given a token before and is accepted once"
	}
	explained.Cause = fmt.Errorf("%w; %s; %s", e.Cause, why, nextJWT(next))
	return &explained
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
