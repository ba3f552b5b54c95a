package login

import (
	"slices"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

// right is what is known of something that tokens do to themselves.
type right int

const (
	untried right = iota
	granted
	lacking
)

// rights are those of the tokens of a login, which all have the same policies.
// Vault's policy "default" grants them, and a role may leave it out.
type rights struct {
	policies              []string
	renew, revoke, lookup right
}

// of are the rights of a token with these policies.
func (r rights) of(policies []string) rights {
	if slices.Equal(r.policies, policies) {
		return r
	}
	return rights{policies: policies}
}

// after notes what came of trying, and reports whether the token is dead. A
// server that does not say why it refused something that it granted before does
// not know the token any more; one that never granted it may lack the right, and
// does not get tried again.
func (r *right) after(err error) (dead bool) {
	switch verdict := failure.Of(err).Verdict; {
	case err == nil:
		*r = granted
	case verdict == failure.NoRight && *r == untried:
		*r = lacking
	case verdict == failure.NoRight, verdict == failure.DeadToken:
		return true
	}
	return false
}
