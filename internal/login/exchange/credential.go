package exchange

import (
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// Credential is what a relying party gives for a JWT.
type Credential struct {
	Token secret.Text
	// Lease is how long it lasts, counted from the request; 0 means for ever.
	Lease time.Duration
	// Assumed means that nobody said how long: Lease is when to get another one,
	// and no end.
	Assumed bool
	// Renewable reports whether it can be renewed, Revocable whether it can be
	// revoked by itself.
	Renewable, Revocable bool
	// Checkable reports whether it costs nothing to ask whether it is still valid.
	Checkable bool

	// TokenType is Vault's "service" or "batch", or OAuth's "Bearer".
	TokenType string

	// Warnings are Vault's words, and what is unusual about an answer.
	Warnings []string

	// Of Vault only.
	Accessor string
	Policies []string
	Metadata map[string]string

	// Of OAuth only.
	Scope, IssuedTokenType string
}

// maxLease keeps a lease within what dates and durations can hold.
const maxLease = 10 * 365 * 24 * time.Hour

// Seconds is a lease of so many seconds, bounded.
func Seconds(seconds float64) time.Duration {
	if seconds > maxLease.Seconds() {
		return maxLease
	}
	return time.Duration(seconds * float64(time.Second))
}

// assumedLease is when to get another token where nobody knows how long one
// lasts, as RFC 6749 section 5.1 allows. Short enough for what is common, long
// enough not to be a burden.
const assumedLease = 5 * time.Minute

// LeaseOf is how long a token lasts of which the answer does not say it: until its
// own exp, if it is a JWT (RFC 9068 section 2.2), counted from when it was issued
// by the clock of who issued it; else as long as the user says, if that is not 0.
// The last resort is a guess.
func LeaseOf(token secret.Text, response Response, lifetime time.Duration) (lease time.Duration, assumed bool) {
	issued := response.Answered()
	dated := !issued.IsZero()
	if !dated {
		issued = time.Now()
	}
	times, err := jwtfile.Parse(token.Reveal())
	left := times.Expires.Sub(issued)
	switch {
	case err == nil && !times.Expires.IsZero() && (left > 0 || dated):
		return Seconds(left.Seconds()), false
	case lifetime > 0:
		return lifetime, false
	default:
		return assumedLease, true
	}
}
