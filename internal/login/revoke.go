package login

import (
	"context"
	"sync"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/contract"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
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
	if l.config.Mode != contract.ModeSidecar || !t.alive(time.Now()) {
		return
	}
	limited, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if !l.revoke(limited, t) {
		l.session.tokens.unrevoked = t
	}
}

// revoke revokes a token, and reports whether that worked.
func (l *login) revoke(ctx context.Context, t *token) bool {
	party, ok := l.party.(revoker)
	if !ok {
		return false
	}
	if err := party.Revoke(ctx, t.text); err != nil {
		l.tell.log.Warn("a token was not revoked", "err", err.Error())
		return false
	}
	l.tell.log.Info("revoked a token")
	return true
}

// end revokes what is alive. The token in the file is dead then, and goes, too,
// so that nobody takes it for a good one.
func (l *login) end(ctx context.Context) {
	if l.config.Mode != contract.ModeSidecar || !l.config.RevokeOnExit {
		return
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), exitTimeout)
	defer cancel()
	var all sync.WaitGroup
	var gone bool
	for _, t := range l.session.tokens.all(time.Now()) {
		all.Go(func() {
			if l.revoke(limited, t) && t == l.session.tokens.placed {
				gone = true // only one is the placed one
			}
		})
	}
	all.Wait()
	if gone {
		l.tell.warnOnce("output file", l.result.Remove())
		l.tell.say(func(s *status.Status) { *s = status.Status{Address: l.config.address(), Stopped: true} })
	}
}
