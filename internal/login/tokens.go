package login

import (
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// tokens are those that we have to revoke some day. A token that was replaced
// in the file lives on until its successor is replaced, too: revoking it would
// revoke the leases that the workload took with it, such as database users, and
// the workload needs time to notice the new one. So two are alive, as a rule.
//
// A token that cannot be revoked is a nil here.
type tokens struct {
	// placed is in the file, and previous was there before.
	placed, previous *token
	// coming has been obtained and could not be written so far; waiting tells
	// whether there is such a one.
	coming  *token
	waiting bool
	// unrevoked should have been revoked and was not; it is tried again at the
	// end. There is one: most end by themselves before.
	unrevoked *token
}

// settle is how long a workload has at least to move over to a new token, when
// two logins follow close upon each other: one at the end of the max TTL, say,
// and one with a new JWT.
const settle = 5 * time.Minute

// token is a token and its end; zero means never, or not known.
type token struct {
	text secret.Text
	ends time.Time
	// replaced is when another token took its place in the file.
	replaced time.Time
}

// alive reports whether it makes sense to revoke the token.
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

// wrote notes that the token is in the file now, and returns the one before the
// last if it has been out of it for long enough.
func (t *tokens) wrote(now time.Time) (superseded *token) {
	if !t.waiting {
		return nil
	}
	superseded = t.previous
	t.previous, t.placed = t.placed, t.coming
	t.coming, t.waiting = nil, false
	if t.previous != nil {
		t.previous.replaced = now
	}
	if superseded != nil && now.Sub(superseded.replaced) < settle {
		t.unrevoked, superseded = superseded, nil
	}
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
