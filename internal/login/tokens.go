package login

import (
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// tokens are those that we have to revoke some day. A token that was replaced
// in the file lives on until its successor is replaced, too: revoking it would
// revoke the leases that the workload took with it, such as database users, and
// the workload needs time to notice the new one. So two are alive at most.
//
// A token that cannot be revoked is a nil here.
type tokens struct {
	// placed is in the file, and previous was there before.
	placed, previous *token
	// coming has been obtained and could not be written so far; waiting tells
	// whether there is such a one.
	coming  *token
	waiting bool
	// unrevoked could not be revoked when it was superseded; it is tried again
	// at the end.
	unrevoked *token
}

// token is a token and its end; zero means never, or not known.
type token struct {
	text secret.Text
	ends time.Time
}

// alive tells whether it makes sense to revoke the token.
func (t *token) alive(now time.Time) bool {
	return t != nil && (t.ends.IsZero() || now.Before(t.ends))
}

// obtained notes a new token, and returns one that never got into the file: a
// workload cannot have it.
func (t *tokens) obtained(fresh *token) (unused *token) {
	unused = t.coming
	t.coming, t.waiting = fresh, true
	return unused
}

// wrote notes that the token is in the file now, and returns the one that has
// been out of it for long enough.
func (t *tokens) wrote() (superseded *token) {
	if !t.waiting {
		return nil
	}
	superseded = t.previous
	t.previous, t.placed = t.placed, t.coming
	t.coming, t.waiting = nil, false
	return superseded
}

// renewed notes the new end of the newest token.
func (t *tokens) renewed(ends time.Time) {
	newest := t.placed
	if t.waiting {
		newest = t.coming
	}
	if newest != nil {
		newest.ends = ends
	}
}

// all are the tokens that have not ended.
func (t *tokens) all(now time.Time) []*token {
	var alive []*token
	for _, one := range []*token{t.coming, t.placed, t.previous, t.unrevoked} {
		if one.alive(now) {
			alive = append(alive, one)
		}
	}
	return alive
}
