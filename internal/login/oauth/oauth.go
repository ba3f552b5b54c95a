// Package oauth exchanges a JWT for an access token at an OAuth authorization
// server: by RFC 8693 (token exchange), or by RFC 7523 as an authorization grant
// (section 2.1) or as the authentication of a client (section 2.2).
package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// The identifiers of the grants and token types.
const (
	grantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // a name, no credential
	grantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"     //nolint:gosec // a name, no credential
	grantClientCredentials = "client_credentials"
	assertionJWTBearer     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" //nolint:gosec // a name, no credential
	typeJWT                = "urn:ietf:params:oauth:token-type:jwt"
)

// Server is an authorization server, for one login at a time. Exactly one of Endpoint and Issuer is set.
type Server struct {
	Client *exchange.Client
	// Endpoint is the URL of the token endpoint.
	Endpoint *url.URL
	// Issuer is the server's identifier, whose metadata name the endpoint.
	Issuer *url.URL
	// Method is loginspec.MethodTokenExchange, MethodJWTBearer or
	// MethodClientAssertion.
	Method string
	// ClientID, Scope, Resources and Audiences are sent as they are where they
	// are set. Several resources and audiences are repeated parameters, as RFC
	// 8693 section 2.1 has it.
	ClientID, Scope      string
	Resources, Audiences []string
	// Lifetime is how long a token lasts where neither the server nor the token
	// says so; 0 means that nobody knows.
	Lifetime time.Duration

	discovered *url.URL
}

// Login exchanges a JWT for an access token.
func (s *Server) Login(ctx context.Context, jwt secret.Text) (exchange.Credential, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return exchange.Credential{}, err
	}
	credential, err := s.exchange(ctx, endpoint, jwt)
	if err != nil {
		s.discovered = nil // the endpoint may have moved
	}
	return credential, err
}

func (s *Server) exchange(ctx context.Context, endpoint *url.URL, jwt secret.Text) (exchange.Credential, error) {
	request := exchange.Request{
		Doing: "get a token at " + endpoint.String(), Method: http.MethodPost, URL: endpoint,
		Header:  http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		Body:    []byte(s.form(jwt).Encode()),
		Secrets: []secret.Text{jwt},
	}
	response, err := s.Client.Do(ctx, request)
	if err != nil {
		return exchange.Credential{}, err
	}
	return s.read(request, response)
}

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
	credential, err := a.credential(s.Method)
	if err != nil {
		return exchange.Credential{}, request.Fail(failure.Protocol, err)
	}
	if !a.saysLease() {
		credential.Lease, credential.Assumed = s.lease(a.AccessToken, response)
	}
	if credential.Lease <= 0 { // a server that gives the same token until its end may do so at its end
		return credential, &failure.Error{Class: failure.Protocol, Verdict: failure.EndedToken, Doing: request.Doing, Cause: errEnded}
	}
	return credential, nil
}

// form is the request's body.
func (s *Server) form(jwt secret.Text) url.Values {
	form := url.Values{}
	switch s.Method {
	case loginspec.MethodTokenExchange: // RFC 8693 section 2.1
		form.Set("grant_type", grantTokenExchange)
		form.Set("subject_token", jwt.Reveal())
		form.Set("subject_token_type", typeJWT)
	case loginspec.MethodJWTBearer: // RFC 7523 section 2.1
		form.Set("grant_type", grantJWTBearer)
		form.Set("assertion", jwt.Reveal())
	case loginspec.MethodClientAssertion: // RFC 7523 section 2.2
		form.Set("grant_type", grantClientCredentials)
		form.Set("client_assertion_type", assertionJWTBearer)
		form.Set("client_assertion", jwt.Reveal())
	}
	for name, value := range map[string]string{"client_id": s.ClientID, "scope": s.Scope} {
		if value != "" {
			form.Set(name, value)
		}
	}
	for name, values := range map[string][]string{"resource": s.Resources, "audience": s.Audiences} {
		if len(values) > 0 {
			form[name] = values
		}
	}
	return form
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

// assumedLease is when to get another token where nobody knows how long one
// lasts, as RFC 6749 section 5.1 allows. Short enough for what is common, long
// enough not to be a burden.
const assumedLease = 5 * time.Minute

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

// lease is how long a token lasts of which the answer does not say it: until its
// own exp, if it is a JWT (RFC 9068 section 2.2), counted from when it was
// issued by the clock of who issued it; else as long as the user says. The last
// resort is a guess.
func (s *Server) lease(token secret.Text, response exchange.Response) (lease time.Duration, assumed bool) {
	issued := response.Answered()
	dated := !issued.IsZero()
	if !dated {
		issued = time.Now()
	}
	times, err := jwtfile.Parse(token.Reveal())
	left := times.Expires.Sub(issued)
	switch {
	case err == nil && !times.Expires.IsZero() && (left > 0 || dated):
		return exchange.Seconds(left.Seconds()), false
	case s.Lifetime > 0:
		return s.Lifetime, false
	default:
		return assumedLease, true
	}
}

// refused is the failure that the server reports, by RFC 6749 section 5.2.
func refused(request exchange.Request, response exchange.Response) error {
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		URI         string `json:"error_uri"`
		Hint        string `json:"error_hint"` // of Hydra before version 2
	}
	class := exchange.ClassOf(response.Status)
	if json.Unmarshal(response.Body, &said) != nil || said.Error == "" {
		return request.Refused(response, class)
	}
	switch {
	case class == failure.Protocol: // an error with a status of success
		class = failure.Denied
	case class == failure.Denied && (said.Error == "temporarily_unavailable" || said.Error == "server_error"):
		class = failure.Server
	case class == failure.Denied && said.Error == "slow_down":
		class = failure.RateLimited
	}
	words := []string{said.Error}
	for _, more := range []string{said.Description, said.URI} {
		if more != "" {
			words = append(words, more)
		}
	}
	if class == failure.Denied && saysJWTUsed(said.Error, said.Description+said.Hint) {
		err := request.Refused(response, failure.JWT, words...)
		if e, ok := errors.AsType[*failure.Error](err); ok {
			e.Verdict = failure.JWTUsed
		}
		return err
	}
	return request.Refused(response, class, words...)
}

// usedTexts are what servers say of an assertion whose jti they have seen before.
// There is nothing else to tell that by: but for Hydra they all call it
// invalid_client or invalid_grant, like a wrong signature.
//
//   - Ory Hydra: the error jti_known, "The jti was already used." and "… MUST only
//     be used once." (ory/fosite: errors.go, client_authentication.go,
//     handler/rfc7523/handler.go).
//   - Keycloak: "Token reuse detected" (keycloak/keycloak: AbstractBaseJWTValidator,
//     for client assertions and JWT grants, unless reuse is allowed).
//   - Okta: "The client_assertion token has already been used." (as its users quote
//     it; "If jti is specified, the token can only be used once", its guide says).
//   - node-oidc-provider: "client assertion tokens must only be used once"
//     (panva/node-oidc-provider: lib/shared/token_jwt_auth.js, where shown).
//   - Smaller ones: "assertion has already been used", "jti has already been used".
//
// Connect2id gives no reason, and PingOne does not look at jti. Of others no text is
// known.
var usedTexts = []string{"already used", "already been used", "only be used once", "token reuse", "replay detected", "replayed"}

// saysJWTUsed reports whether an error means that the JWT is accepted once.
func saysJWTUsed(code, description string) bool {
	description = strings.ToLower(description)
	return code == "jti_known" || slices.ContainsFunc(usedTexts, func(text string) bool { return strings.Contains(description, text) })
}
