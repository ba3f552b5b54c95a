// Package oauth exchanges a JWT for an access token at an OAuth authorization
// server: by RFC 8693 (token exchange), or by RFC 7523 as an authorization grant
// (section 2.1) or as the authentication of a client (section 2.2).
package oauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
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
