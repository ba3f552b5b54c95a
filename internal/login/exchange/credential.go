package exchange

import (
	"time"

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
	// Renewable tells whether it can be renewed, Revocable whether it can be
	// revoked by itself.
	Renewable, Revocable bool
	// Checkable reports whether it costs nothing to ask whether it is still valid.
	Checkable bool

	// TokenType is Vault's "service" or "batch", or OAuth's "Bearer".
	TokenType string

	// Of Vault only. Warnings are Vault's words.
	Accessor string
	Policies []string
	Metadata map[string]string
	Warnings []string

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
