// Package oauth exchanges a JWT for an access token at an OAuth authorization
// server: by RFC 8693 (token exchange), or by RFC 7523 as an authorization grant
// (section 2.1) or as the authentication of a client (section 2.2).
package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// The identifiers of the grants.
const (
	grantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // a name, no credential
	grantJWTBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"     //nolint:gosec // a name, no credential
	grantClientCredentials = "client_credentials"
	assertionJWTBearer     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" //nolint:gosec // a name, no credential
)

// Server is an authorization server, for one login at a time.
type Server struct {
	client  *exchange.Client
	options loginspec.Values
	// grant adds to a form what the method is about.
	grant func(form url.Values, jwt secret.Text, options loginspec.Values)
	// discovered is the token endpoint in the metadata of the issuer.
	discovered *url.URL
}

// NewTokenExchange is a server that exchanges tokens (RFC 8693 section 2.1).
func NewTokenExchange(client *exchange.Client, options loginspec.Values) *Server {
	return &Server{client: client, options: options, grant: func(form url.Values, jwt secret.Text, options loginspec.Values) {
		form.Set("grant_type", grantTokenExchange)
		form.Set("subject_token", jwt.Reveal())
		form.Set("subject_token_type", loginspec.TokenType(options[loginspec.SubjectTokenType]))
		if requested := options[loginspec.RequestedTokenType]; requested != "" {
			form.Set("requested_token_type", loginspec.TokenType(requested))
		}
	}}
}

// NewJWTBearer is a server that takes a JWT as a grant (RFC 7523 section 2.1).
func NewJWTBearer(client *exchange.Client, options loginspec.Values) *Server {
	return &Server{client: client, options: options, grant: func(form url.Values, jwt secret.Text, _ loginspec.Values) {
		form.Set("grant_type", grantJWTBearer)
		form.Set("assertion", jwt.Reveal())
	}}
}

// NewClientAssertion is a server for which a JWT proves who the client is (RFC 7523
// section 2.2).
func NewClientAssertion(client *exchange.Client, options loginspec.Values) *Server {
	return &Server{client: client, options: options, grant: func(form url.Values, jwt secret.Text, _ loginspec.Values) {
		form.Set("grant_type", grantClientCredentials)
		assert(form, jwt)
	}}
}

func assert(form url.Values, jwt secret.Text) {
	form.Set("client_assertion_type", assertionJWTBearer)
	form.Set("client_assertion", jwt.Reveal())
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
	request, err := s.request(endpoint, jwt)
	if err != nil {
		return exchange.Credential{}, err
	}
	response, err := s.client.Do(ctx, request)
	if err != nil {
		return exchange.Credential{}, err
	}
	return s.read(request, response)
}

func (s *Server) request(endpoint *url.URL, jwt secret.Text) (exchange.Request, error) {
	request := exchange.Request{
		Doing: "get a token at " + endpoint.String(), Method: http.MethodPost, URL: endpoint, Header: http.Header{},
		Secrets: []secret.Text{jwt},
	}
	form := s.form(jwt)
	if err := s.authenticate(&request, form, jwt); err != nil {
		return request, err
	}
	if s.options[loginspec.Body] != loginspec.BodyJSON {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Body = []byte(form.Encode())
		return request, nil
	}
	request.Header.Set("Content-Type", "application/json")
	var err error
	request.Body, err = json.Marshal(object(form))
	return request, err
}

// form has the parameters of the request. Several resources and audiences are
// repeated parameters, as RFC 8693 section 2.1 has it.
func (s *Server) form(jwt secret.Text) url.Values {
	form := url.Values{}
	s.grant(form, jwt, s.options)
	for name, option := range map[string]loginspec.Name{"client_id": loginspec.ClientID, "scope": loginspec.Scope} {
		if value := s.options[option]; value != "" {
			form.Set(name, value)
		}
	}
	for name, option := range map[string]loginspec.Name{"resource": loginspec.Resource, "audience": loginspec.TargetAudience} {
		if values := s.options.Words(option); len(values) > 0 {
			form[name] = values
		}
	}
	for _, p := range s.options.Parameters(loginspec.Parameters) {
		form.Set(p.Name, p.Value)
	}
	return form
}

// object is a form as a JSON object: a parameter that is repeated is a list.
func object(form url.Values) map[string]any {
	fields := make(map[string]any, len(form))
	for name, values := range form {
		if len(values) == 1 {
			fields[name] = values[0]
		} else {
			fields[name] = values
		}
	}
	return fields
}

// authenticate adds what proves who the client is. A certificate is sent by the
// connection.
func (s *Server) authenticate(request *exchange.Request, form url.Values, jwt secret.Text) error {
	switch auth := s.options[loginspec.ClientAuth]; auth {
	case loginspec.ClientAuthAssertion:
		assert(form, jwt)
	case loginspec.ClientAuthBasic, loginspec.ClientAuthPost:
		password, err := secret.ReadFile(s.options[loginspec.ClientSecretFile])
		if err != nil {
			return request.Fail(failure.Denied, err)
		}
		request.Secrets = append(request.Secrets, password)
		if auth == loginspec.ClientAuthPost {
			form.Set("client_secret", password.Reveal())
			return nil
		}
		form.Del("client_id")
		header := secret.Text(basic(s.options[loginspec.ClientID], password))
		request.Secrets = append(request.Secrets, header)
		request.Header.Set("Authorization", "Basic "+header.Reveal())
	}
	return nil
}

// basic is the client's name and secret, each encoded as in a form, in base64 (RFC
// 6749 section 2.3.1).
func basic(id string, password secret.Text) string {
	return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id) + ":" + url.QueryEscape(password.Reveal())))
}
