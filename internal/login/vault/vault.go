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
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// Vault is a Vault or OpenBao server.
type Vault struct {
	Client *exchange.Client
	// Address is its URL, which may have a path in front of /v1.
	Address *url.URL
	// Mount is the path of the auth method below auth/.
	Mount string
	// Role is the role to log in as; empty means the mount's default_role.
	Role string
	// Namespace is for Vault Enterprise and OpenBao, and may be empty.
	Namespace string
}

// Login exchanges a JWT for a token.
func (v *Vault) Login(ctx context.Context, jwt secret.Text) (exchange.Credential, error) {
	body, err := json.Marshal(struct { //nolint:gosec // a login is about sending it
		JWT  string `json:"jwt"`
		Role string `json:"role,omitempty"`
	}{jwt.Reveal(), v.Role})
	if err != nil {
		return exchange.Credential{}, err
	}
	request := v.request("log in to", "auth/"+v.Mount+"/login", body, jwt)
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
	response, err := v.Client.Do(ctx, request)
	if err != nil {
		return request, response, err
	}
	if response.Status >= 200 && response.Status <= 299 {
		return request, response, nil
	}
	err = refused(request, response)
	if e, ok := errors.AsType[*failure.Error](err); ok && response.Status == http.StatusForbidden {
		e.Verdict = failure.NoRight
		if strings.Contains(string(response.Body), "invalid token") {
			e.Verdict = failure.DeadToken
		} else {
			e.Cause = fmt.Errorf("%w: the token's policies do not allow %s on %s, as the policy default does", e.Cause, rightTo[request.Method], path)
		}
	}
	return request, response, err
}

// request prepares a request below /v1/.
func (v *Vault) request(doing, path string, body []byte, carries secret.Text) exchange.Request {
	target := *v.Address
	target.RawPath = ""
	target.Path = strings.TrimRight(v.Address.Path, "/") + "/v1/" + path
	// X-Vault-Request is what Vault's own clients send, and what its agents may
	// demand against forged requests.
	header := http.Header{"Content-Type": {"application/json"}, "X-Vault-Request": {"true"}}
	if v.Namespace != "" {
		header.Set("X-Vault-Namespace", v.Namespace)
	}
	return exchange.Request{
		Doing: doing + " Vault at " + v.Address.String(), Method: http.MethodPost, URL: &target, Header: header, Body: body,
		// A standby node may redirect to the active one.
		Redirects: 1, Secrets: []secret.Text{carries},
	}
}

// exchange sends a request that is answered with a token.
func (v *Vault) exchange(ctx context.Context, request exchange.Request) (exchange.Credential, error) {
	response, err := v.Client.Do(ctx, request)
	if err != nil {
		return exchange.Credential{}, err
	}
	if response.Status != http.StatusOK {
		return exchange.Credential{}, refused(request, response)
	}
	return read(request, response)
}

// read takes the credential out of an answer.
func read(request exchange.Request, response exchange.Response) (exchange.Credential, error) {
	var a answer
	if err := request.Decode(response, &a); err != nil {
		return exchange.Credential{}, err
	}
	credential, err := a.credential()
	if err != nil {
		return exchange.Credential{}, request.Fail(failure.Protocol, err)
	}
	return credential, nil
}

// answer is what Vault says, as far as it matters here. The fields of the same
// names beside auth are about secrets and empty in a login.
type answer struct {
	Auth *struct {
		ClientToken    secret.Text       `json:"client_token"`
		Accessor       string            `json:"accessor"`
		TokenPolicies  []string          `json:"token_policies"`
		Policies       []string          `json:"policies"`
		Metadata       map[string]string `json:"metadata"`
		LeaseDuration  float64           `json:"lease_duration"`
		Renewable      bool              `json:"renewable"`
		TokenType      string            `json:"token_type"`
		NumUses        int64             `json:"num_uses"`
		MFARequirement json.RawMessage   `json:"mfa_requirement"`
	} `json:"auth"`
	WrapInfo json.RawMessage `json:"wrap_info"`
	Warnings []string        `json:"warnings"`
}

// Answers with status 200 that are of no use.
var (
	errWrapped = errors.New("the answer is a wrapped token, which only a person or a tool can unwrap: " +
		"configure the role or the policy that asks for wrapping otherwise")
	errMFA = errors.New("a second factor (MFA) is required, which a workload does not have: " +
		"leave this auth method out of the login enforcement")
	errNoAuth   = errors.New("the answer has no auth: is this the address of Vault?")
	errNoToken  = errors.New("the answer has no auth.client_token")
	errBadToken = errors.New("auth.client_token is not a token: it has characters that cannot be sent, or is too long")
	errBadLease = errors.New("auth.lease_duration is negative")
)

func (a answer) credential() (exchange.Credential, error) {
	switch {
	case present(a.WrapInfo):
		return exchange.Credential{}, errWrapped
	case a.Auth == nil:
		return exchange.Credential{}, errNoAuth
	case a.Auth.ClientToken == "" && present(a.Auth.MFARequirement):
		return exchange.Credential{}, errMFA
	case a.Auth.ClientToken == "":
		return exchange.Credential{}, errNoToken
	case !a.Auth.ClientToken.Usable():
		return exchange.Credential{}, errBadToken
	case a.Auth.LeaseDuration < 0:
		return exchange.Credential{}, errBadLease
	}
	batch := isBatch(a.Auth.TokenType, a.Auth.ClientToken)
	return exchange.Credential{
		Token: a.Auth.ClientToken,
		Lease: exchange.Seconds(a.Auth.LeaseDuration),
		// Each request spends a use of a token whose uses are counted: they are
		// for the workload.
		Renewable: a.Auth.Renewable && !batch && a.Auth.NumUses <= 0,
		Revocable: !batch,
		Checkable: a.Auth.NumUses <= 0,
		TokenType: tokenType(a.Auth.TokenType, batch),
		Accessor:  a.Auth.Accessor,
		Policies:  policies(a.Auth.TokenPolicies, a.Auth.Policies),
		Metadata:  a.Auth.Metadata,
		Warnings:  a.Warnings,
	}, nil
}

// isBatch recognises a batch token, which can be neither renewed nor revoked.
func isBatch(kind string, token secret.Text) bool {
	if kind != "" {
		return kind == "batch"
	}
	return LooksBatch(token)
}

// LooksBatch recognises a batch token by its prefix.
func LooksBatch(token secret.Text) bool {
	return strings.HasPrefix(token.Reveal(), "hvb.") || strings.HasPrefix(token.Reveal(), "b.")
}

func tokenType(said string, batch bool) string {
	switch {
	case said != "":
		return said
	case batch:
		return "batch"
	default:
		return "service"
	}
}

// policies are those of the token itself; older servers have one list only.
func policies(token, all []string) []string {
	if len(token) > 0 {
		return token
	}
	return all
}

// present tells whether a field is there and not null.
func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// refused is the failure that Vault reports: {"errors":[…]}, sometimes with
// the reason among the warnings.
func refused(request exchange.Request, response exchange.Response) error {
	var said struct {
		Errors   []string `json:"errors"`
		Warnings []string `json:"warnings"`
	}
	class := exchange.ClassOf(response.Status)
	if json.Unmarshal(response.Body, &said) != nil {
		return request.Refused(response, class)
	}
	switch {
	case class == failure.Server && slices.ContainsFunc(said.Errors, hasNoActiveNode):
		class = failure.Sealed
	case class == failure.Server && slices.ContainsFunc(said.Errors, isPastMaxTTL):
		class = failure.Denied
	}
	return request.Refused(response, class, slices.Concat(said.Errors, said.Warnings)...)
}

// hasNoActiveNode recognises Vault's texts for being sealed or in standby
// without an active node. There is nothing else to tell them by.
func hasNoActiveNode(text string) bool {
	return strings.Contains(text, "Vault is sealed") || strings.Contains(text, "not active") || strings.Contains(text, "standby")
}

// isPastMaxTTL recognises Vault's text for a token that is renewed too late for
// its max TTL, or after that was shortened. Vault calls it its own error (500),
// but only a login helps, and the sooner the better: the token lives for a while.
func isPastMaxTTL(text string) bool { return strings.Contains(text, "past the max TTL") }
