// Package httplogin logs in where a relying party has a protocol of its own: by one
// HTTP request, which the options describe, as they do its answer.
package httplogin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// Party is a relying party.
type Party struct {
	client  *exchange.Client
	options loginspec.Values
}

// New is the party that the options describe.
func New(client *exchange.Client, options loginspec.Values) *Party {
	return &Party{client: client, options: options}
}

// Login exchanges a JWT for a token.
func (p *Party) Login(ctx context.Context, jwt secret.Text) (exchange.Credential, error) {
	request, err := p.request(jwt)
	if err != nil {
		return exchange.Credential{}, err
	}
	response, err := p.client.Do(ctx, request)
	if err != nil {
		return exchange.Credential{}, err
	}
	return p.read(request, response)
}

// request puts the JWT into a field, or into the header Authorization.
func (p *Party) request(jwt secret.Text) (exchange.Request, error) {
	target := p.options.URL(loginspec.Address)
	request := exchange.Request{
		Doing: "log in at " + target.Redacted(), Method: p.options[loginspec.HTTPMethod], URL: target, Header: http.Header{},
		Secrets: []secret.Text{jwt},
	}
	fields := p.options.Parameters(loginspec.Parameters)
	if field := p.options[loginspec.JWTField]; field != "" {
		fields = append(fields, loginspec.Parameter{Name: field, Value: jwt.Reveal()})
	} else {
		request.Header.Set("Authorization", "Bearer "+jwt.Reveal())
	}
	var err error
	switch {
	case len(fields) == 0:
	case request.Method == http.MethodGet:
		query := target.Query()
		for _, f := range fields {
			query.Set(f.Name, f.Value)
		}
		target.RawQuery = query.Encode()
	case p.options[loginspec.Body] == loginspec.BodyForm:
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		form := url.Values{}
		for _, f := range fields {
			form.Set(f.Name, f.Value)
		}
		request.Body = []byte(form.Encode())
	default:
		request.Header.Set("Content-Type", "application/json")
		request.Body, err = body(fields)
	}
	return request, err
}

// body is a JSON object with the fields.
func body(fields []loginspec.Parameter) ([]byte, error) {
	object, err := loginspec.Object(fields)
	if err != nil {
		return nil, err
	}
	return json.Marshal(object)
}
