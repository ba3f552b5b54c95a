package oauth

import (
	"errors"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// Answers with status 200 that are of no use.
var (
	errNoToken  = errors.New("the answer has no access_token")
	errBadToken = errors.New("access_token is not a token: it has characters that cannot be sent, or is too long")
	errEnded    = errors.New("the token has ended already, as expires_in or its exp says")
)

// read takes the credential out of an answer, by RFC 6749 section 5.1 and RFC 8693
// section 2.2. A refresh token is left alone: the JWT is what proves the identity,
// each time.
func (s *Server) read(request exchange.Request, response exchange.Response) (exchange.Credential, error) {
	if !response.Success() {
		return exchange.Credential{}, refused(request, response)
	}
	fields, err := request.Fields(response)
	if err != nil {
		return exchange.Credential{}, err
	}
	token := fields.Token("access_token")
	switch {
	case token.Usable():
	case fields.Has("error"): // some servers report errors with status 200
		return exchange.Credential{}, refused(request, response)
	case token == "":
		return exchange.Credential{}, request.Fail(failure.Protocol, errNoToken)
	default:
		return exchange.Credential{}, request.Fail(failure.Protocol, errBadToken)
	}
	credential := exchange.Credential{
		Token: token, TokenType: fields.Text("token_type"), IssuedTokenType: fields.Text("issued_token_type"), Scope: fields.Text("scope"),
	}
	if seconds, said := fields.Number("expires_in"); said {
		credential.Lease = exchange.Seconds(seconds)
	} else {
		credential.Lease, credential.Assumed = exchange.LeaseOf(token, response, s.options.Duration(loginspec.Lifetime))
	}
	if credential.Lease <= 0 { // a server that gives the same token until its end may do so at its end
		return credential, &failure.Error{Class: failure.Protocol, Verdict: failure.EndedToken, Doing: request.Doing, Cause: errEnded}
	}
	s.complete(&credential, fields)
	return credential, nil
}

// complete assumes what the server does not say, though the RFCs want it to.
func (s *Server) complete(credential *exchange.Credential, fields exchange.Fields) {
	if credential.TokenType == "" {
		credential.TokenType = "Bearer"
		fields.Note("token_type", "is not given, and Bearer is assumed")
	}
	if s.options[loginspec.MethodName] == loginspec.MethodTokenExchange && credential.IssuedTokenType == "" {
		fields.Note("issued_token_type", "is not given")
	}
	credential.Warnings = fields.Warnings()
}
