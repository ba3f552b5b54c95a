package login

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

const (
	// revokeTimeout bounds the revocation of a superseded token, and
	// exitTimeout that of all tokens at the end: the pod is waiting.
	revokeTimeout = 10 * time.Second
	exitTimeout   = 2 * time.Second
)

// revokeOne revokes a token that is of no use any more, if it has not ended. A
// failure is no reason to keep on trying: the token ends by itself.
func (l *login) revokeOne(ctx context.Context, t *token) {
	if l.config.Mode != loginspec.ModeSidecar || !t.alive(time.Now()) || l.session.rights.revoke == lacking {
		return
	}
	limited, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	err := l.revoke(limited, t)
	if dead := l.session.rights.revoke.after(err); dead {
		return
	}
	l.tell.revoked(err)
	if err != nil {
		l.session.tokens.unrevoked = t
	}
}

var errNotRevocable = errors.New("it cannot be revoked")

func (l *login) revoke(ctx context.Context, t *token) error {
	party, ok := l.party.(revoker)
	if !ok {
		return errNotRevocable
	}
	return party.Revoke(ctx, t.text)
}

// end revokes what is alive. The token in the file is dead then, and goes, too,
// so that nobody takes it for a good one.
func (l *login) end(ctx context.Context) {
	if l.config.Mode != loginspec.ModeSidecar || !l.config.RevokeOnExit || l.session.rights.revoke == lacking {
		return
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), exitTimeout)
	defer cancel()
	tokens := l.session.tokens.all(time.Now())
	errs := make([]error, len(tokens))
	var all sync.WaitGroup
	for i, t := range tokens {
		all.Go(func() { errs[i] = l.revoke(limited, t) })
	}
	all.Wait()
	gone := false
	for i, err := range errs {
		said := l.session.rights.revoke == lacking
		if dead := l.session.rights.revoke.after(err); dead {
			err = nil // as it should be
		}
		if err == nil || !said {
			l.tell.revoked(err)
		}
		gone = gone || err == nil && tokens[i] == l.session.tokens.placed
	}
	if gone {
		l.tell.warnOnce("output file", l.result.Remove())
		l.tell.say(func(s *status.Status) { *s = status.Status{Address: l.config.address(), Stopped: true} })
	}
}
