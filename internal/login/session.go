package login

import (
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/schedule"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// session is what the relying party has given: the newest credential, its end,
// and the tokens to revoke some day.
type session struct {
	credential exchange.Credential
	// expires is the end of the credential; zero means never, or not known.
	expires time.Time
	// jwt tells the JWT that gave it from others.
	jwt    string
	tokens tokens
	rights rights
}

// holds reports whether that is the newest token already.
func (s *session) holds(text secret.Text) bool { return text != "" && text == s.credential.Token }

// loggedIn notes a new credential, which was asked for at start. It returns a
// token that nobody got to see, and that is of no use any more. A relying party
// that keeps its tokens, or a proxy in front of it, may give the one again that
// is in use: it is not to be revoked for being replaced by itself.
func (s *session) loggedIn(credential exchange.Credential, start time.Time) (unused *token) {
	if s.holds(credential.Token) {
		s.hold(credential, start)
		s.tokens.renewed(s.expires)
		return nil
	}
	s.rights = s.rights.of(credential.Policies)
	s.hold(credential, start)
	var fresh *token
	if credential.Revocable && s.rights.revoke != lacking {
		fresh = &token{text: credential.Token, ends: s.expires}
	}
	return s.tokens.obtained(fresh)
}

// renewed notes a new lease of the credential, which was asked for at start.
func (s *session) renewed(lease exchange.Credential, start time.Time) {
	credential := s.credential
	credential.Lease, credential.Renewable = lease.Lease, lease.Renewable
	s.hold(credential, start)
	s.tokens.renewed(s.expires)
}

func (s *session) hold(credential exchange.Credential, start time.Time) {
	s.credential = credential
	s.expires = time.Time{}
	if credential.Lease > 0 && !credential.Assumed {
		s.expires = start.Add(credential.Lease).Round(0)
	}
}

// lease is what the schedule has to know of the credential.
func (s *session) lease() schedule.Lease {
	c := s.credential
	return schedule.Lease{
		For: c.Lease, Assumed: c.Assumed,
		Renewable: c.Renewable && s.rights.renew != lacking, Checkable: c.Checkable && s.rights.lookup != lacking,
	}
}

// end is the end of the credential, for the log.
func (s *session) end() string {
	if s.credential.Assumed {
		return "unknown"
	}
	return stampOf(s.expires)
}
