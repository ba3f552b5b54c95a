// Package failure says why a step of a login did not work: in words for whoever
// owns the pod, and as a class for counters and for the schedule.
package failure

import (
	"errors"
	"time"
)

// Class is what kind of failure it is. The classes are label values of metrics,
// so there are few, and they stay.
type Class string

// The classes.
const (
	Network     Class = "network"      // no connection, or one that broke
	TLS         Class = "tls"          // a certificate or a handshake
	Timeout     Class = "timeout"      // no answer in time
	RateLimited Class = "rate_limited" // 429
	Server      Class = "server"       // 5xx
	Sealed      Class = "sealed"       // Vault is sealed or has no active node
	Denied      Class = "denied"       // a 4xx that is permanent
	Protocol    Class = "protocol"     // an answer that is none
	JWT         Class = "jwt"          // the JWT file is missing or broken, or its JWT is expired or used up
	Output      Class = "output"       // the result could not be written
)

// Classes lists all classes.
func Classes() []Class {
	return []Class{Network, TLS, Timeout, RateLimited, Server, Sealed, Denied, Protocol, JWT, Output}
}

// Final reports whether the same request will fail until somebody changes
// something.
func (c Class) Final() bool { return c == Denied || c == Protocol }

// Verdict is what an answer says beyond its class.
type Verdict int

// The verdicts.
const (
	NoVerdict Verdict = iota
	// JWTUsed: the JWT is accepted once, and that was before.
	JWTUsed
	// NoRight: the token's policies do not allow it to do this to itself. Older
	// servers say the same of a token that is dead.
	NoRight
	// DeadToken: the token is not valid any more.
	DeadToken
	// EndedToken: the other party gave a token that has ended already.
	EndedToken
)

// Facts are what the next attempt depends on.
type Facts struct {
	Class      Class
	Verdict    Verdict
	RetryAfter time.Duration
}

// Final reports whether the same request will fail until somebody changes
// something.
func (f Facts) Final() bool { return f.Class.Final() && f.Verdict != EndedToken }

// Error is a failed step.
type Error struct {
	Class   Class
	Verdict Verdict
	// Doing completes "could not …", such as "log in to Vault at https://vault:8200".
	Doing string
	// Cause is the reason. Words of another party are quoted in it, and hold no
	// token.
	Cause error
	// RetryAfter is how long the other party asks to be left alone, if it does;
	// with JWTUsed it is how long it takes until there is another JWT.
	RetryAfter time.Duration
	// Answered is when the other party answered, by its own clock; zero if it
	// does not say.
	Answered time.Time
}

// Error says what could not be done and why, in one line.
func (e *Error) Error() string { return "could not " + e.Doing + ": " + e.Cause.Error() }

// Unwrap is the reason.
func (e *Error) Unwrap() error { return e.Cause }

// Of returns what is known of a failure. An error that nobody classified counts
// as one of the network, which is tried again soon.
func Of(err error) Facts {
	if e, ok := errors.AsType[*Error](err); ok {
		return Facts{Class: e.Class, Verdict: e.Verdict, RetryAfter: e.RetryAfter}
	}
	return Facts{Class: Network}
}
