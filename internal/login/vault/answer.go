package vault

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

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
	return looksBatch(token)
}

// looksBatch recognises a batch token by its prefix.
func looksBatch(token secret.Text) bool {
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
