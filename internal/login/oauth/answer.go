package oauth

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// read takes the credential out of an answer.
func (s *Server) read(request exchange.Request, response exchange.Response) (exchange.Credential, error) {
	if response.Status < 200 || response.Status > 299 {
		return exchange.Credential{}, refused(request, response)
	}
	var a answer
	if err := request.Decode(response, &a); err != nil {
		return exchange.Credential{}, err
	}
	if a.Error != "" { // some servers report errors with status 200
		return exchange.Credential{}, refused(request, response)
	}
	credential, err := a.credential(s.options[loginspec.MethodName])
	if err != nil {
		return exchange.Credential{}, request.Fail(failure.Protocol, err)
	}
	if !a.saysLease() {
		credential.Lease, credential.Assumed = exchange.LeaseOf(a.AccessToken, response, s.options.Duration(loginspec.Lifetime))
	}
	if credential.Lease <= 0 { // a server that gives the same token until its end may do so at its end
		return credential, &failure.Error{Class: failure.Protocol, Verdict: failure.EndedToken, Doing: request.Doing, Cause: errEnded}
	}
	return credential, nil
}

// answer is that of RFC 6749 sections 5.1 and 5.2 and of RFC 8693 section 2.2.
// A refresh token is left alone: the JWT is what proves the identity, each time.
type answer struct {
	AccessToken     secret.Text     `json:"access_token"`
	TokenType       string          `json:"token_type"`
	IssuedTokenType string          `json:"issued_token_type"`
	ExpiresIn       json.RawMessage `json:"expires_in"`
	Scope           string          `json:"scope"`

	Error string `json:"error"`
}

// Answers with status 200 that are of no use.
var (
	errNoToken  = errors.New("the answer has no access_token")
	errBadToken = errors.New("access_token is not a token: it has characters that cannot be sent, or is too long")
	errNoType   = errors.New("the answer has no token_type")
	errNoIssued = errors.New("the answer has no issued_token_type, which RFC 8693 requires: is this endpoint one for token exchange?")
	errExpires  = errors.New("expires_in is not a number of seconds")
	errEnded    = errors.New("the token has ended already, as expires_in or its exp says")
)

func (a answer) credential(method string) (exchange.Credential, error) {
	lease, ok := a.lease()
	switch {
	case a.AccessToken == "":
		return exchange.Credential{}, errNoToken
	case !a.AccessToken.Usable():
		return exchange.Credential{}, errBadToken
	case a.TokenType == "":
		return exchange.Credential{}, errNoType
	case method == loginspec.MethodTokenExchange && a.IssuedTokenType == "":
		return exchange.Credential{}, errNoIssued
	case !ok:
		return exchange.Credential{}, errExpires
	}
	return exchange.Credential{
		Token: a.AccessToken, Lease: lease,
		TokenType: a.TokenType, IssuedTokenType: a.IssuedTokenType, Scope: a.Scope,
	}, nil
}

// saysLease reports whether the answer has an expires_in.
func (a answer) saysLease() bool { return len(a.ExpiresIn) > 0 && string(a.ExpiresIn) != "null" }

// lease reads expires_in: a number, or, from some servers, a number in quotes.
func (a answer) lease() (time.Duration, bool) {
	if !a.saysLease() {
		return 0, true
	}
	seconds, err := strconv.ParseFloat(strings.Trim(string(a.ExpiresIn), `"`), 64)
	lease := exchange.Seconds(seconds)
	return lease, err == nil && lease >= 0
}
