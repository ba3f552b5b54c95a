// Package vault logs in by the JWT auth method of Vault and OpenBao, and renews
// and revokes the tokens it gets there.
package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// Vault is a Vault or OpenBao server.
type Vault struct {
	client *exchange.Client
	// address may have a path in front of /v1.
	address *url.URL
	// mount is the path of the auth method below auth/, role may be empty for the
	// mount's default_role, and namespace is of Vault Enterprise and OpenBao.
	mount, role, namespace string
}

// New is the server that the options name.
func New(client *exchange.Client, options loginspec.Values) *Vault {
	return &Vault{
		client: client, address: options.URL(loginspec.Address),
		mount: options[loginspec.Mount], role: options[loginspec.Role], namespace: options[loginspec.Namespace],
	}
}

// Login exchanges a JWT for a token.
func (v *Vault) Login(ctx context.Context, jwt secret.Text) (exchange.Credential, error) {
	body, err := json.Marshal(struct { //nolint:gosec // a login is about sending it
		JWT  string `json:"jwt"`
		Role string `json:"role,omitempty"`
	}{jwt.Reveal(), v.role})
	if err != nil {
		return exchange.Credential{}, err
	}
	request := v.request("log in to", "auth/"+v.mount+"/login", body, jwt)
	return v.exchange(ctx, request)
}

// Renew extends the lease of a token. The answer has what a login's has.
func (v *Vault) Renew(ctx context.Context, token secret.Text) (exchange.Credential, error) {
	request, response, err := v.self(ctx, "renew", "renew-self", token)
	if err != nil {
		return exchange.Credential{}, err
	}
	if response.Status != http.StatusOK {
		return exchange.Credential{}, refused(request, response)
	}
	return read(request, response)
}

// Revoke ends a token, and with it all leases that were made by it.
func (v *Vault) Revoke(ctx context.Context, token secret.Text) error {
	_, _, err := v.self(ctx, "revoke", "revoke-self", token)
	return err
}

// Check asks whether a token is still valid.
func (v *Vault) Check(ctx context.Context, token secret.Text) error {
	_, _, err := v.self(ctx, "look up", "lookup-self", token)
	return err
}

// Revocable reports whether a token can be revoked, by its prefix.
func (v *Vault) Revocable(token secret.Text) bool { return !looksBatch(token) }

// rightTo are the capabilities that a token needs for what it asks about itself.
var rightTo = map[string]string{http.MethodPost: "update", http.MethodGet: "read"}

// self sends what a token asks about itself. An error has a verdict where Vault
// says no: today's versions tell a token that they do not know ("invalid token")
// from one whose policies do not allow it.
func (v *Vault) self(ctx context.Context, verb, name string, token secret.Text) (exchange.Request, exchange.Response, error) {
	path := "auth/token/" + name
	request := v.request(verb+" the token of", path, []byte("{}"), token)
	if name == "lookup-self" {
		request.Method, request.Body = http.MethodGet, nil
	}
	request.Header.Set("X-Vault-Token", token.Reveal())
	response, err := v.client.Do(ctx, request)
	if err != nil {
		return request, response, err
	}
	if response.Success() {
		return request, response, nil
	}
	err = refused(request, response)
	if e, ok := errors.AsType[*failure.Error](err); ok && response.Status == http.StatusForbidden {
		e.Verdict = failure.NoRight
		if strings.Contains(string(response.Body), "invalid token") {
			e.Verdict = failure.DeadToken
		} else {
			e.Cause = fmt.Errorf("%w: the token's policies do not allow %s on %s, as the policy default does", e.Cause,
				rightTo[request.Method], path)
		}
	}
	return request, response, err
}

// request prepares a request below /v1/.
func (v *Vault) request(doing, path string, body []byte, carries secret.Text) exchange.Request {
	target := *v.address
	target.RawPath = ""
	target.Path = strings.TrimRight(v.address.Path, "/") + "/v1/" + path
	// X-Vault-Request is what Vault's own clients send, and what its agents may
	// demand against forged requests.
	header := http.Header{"Content-Type": {"application/json"}, "X-Vault-Request": {"true"}}
	if v.namespace != "" {
		header.Set("X-Vault-Namespace", v.namespace)
	}
	return exchange.Request{
		Doing: doing + " Vault at " + v.address.String(), Method: http.MethodPost, URL: &target, Header: header, Body: body,
		Secrets: []secret.Text{carries},
	}
}

// exchange sends a request that is answered with a token.
func (v *Vault) exchange(ctx context.Context, request exchange.Request) (exchange.Credential, error) {
	response, err := v.client.Do(ctx, request)
	if err != nil {
		return exchange.Credential{}, err
	}
	if response.Status != http.StatusOK {
		return exchange.Credential{}, refused(request, response)
	}
	return read(request, response)
}
