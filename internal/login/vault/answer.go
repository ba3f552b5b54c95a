package vault

import (
	"errors"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// Answers with status 200 that are of no use.
var (
	errWrapped = errors.New("the answer is a wrapped token, which only a person or a tool can unwrap: " +
		"configure the role or the policy that asks for wrapping otherwise")
	errMFA = errors.New("a second factor (MFA) is required, which a workload does not have: " +
		"leave this auth method out of the login enforcement")
	errNoAuth   = errors.New("the answer has no auth: is this the address of Vault?")
	errNoToken  = errors.New("the answer has no auth.client_token")
	errBadToken = errors.New("auth.client_token is not a token: it has characters that cannot be sent, or is too long")
)

// read takes the credential out of an answer. The fields of the same names beside
// auth are about secrets and empty in a login.
func read(request exchange.Request, response exchange.Response) (exchange.Credential, error) {
	fields, err := request.Fields(response)
	if err != nil {
		return exchange.Credential{}, err
	}
	auth, ok := fields.Object("auth")
	token := auth.Token("client_token")
	if !token.Usable() {
		return exchange.Credential{}, request.Fail(failure.Protocol, lacks(fields, auth, ok, token))
	}
	// Each request spends a use of a token whose uses are counted: they are for the
	// workload.
	uses, _ := auth.Number("num_uses")
	kind := auth.Text("token_type")
	batch := isBatch(kind, token)
	credential := exchange.Credential{
		Token:     token,
		Renewable: auth.Bool("renewable") && !batch && uses == 0,
		Revocable: !batch,
		Checkable: uses == 0,
		TokenType: tokenType(kind, batch),
		Accessor:  auth.Text("accessor"),
		Policies:  policies(auth.Texts("token_policies"), auth.Texts("policies")),
		Metadata:  auth.Map("metadata"),
	}
	if seconds, said := auth.Number("lease_duration"); said {
		credential.Lease = exchange.Seconds(seconds)
	} else {
		auth.Note("lease_duration", "does not say how long the token lasts")
		credential.Lease, credential.Assumed = exchange.LeaseOf("", response, 0)
	}
	credential.Warnings = append(fields.Texts("warnings"), fields.Warnings()...)
	return credential, nil
}

// lacks says why there is no token that can be used.
func lacks(fields, auth exchange.Fields, ok bool, token secret.Text) error {
	switch {
	case token != "":
		return errBadToken
	case fields.Has("wrap_info"):
		return errWrapped
	case !ok:
		return errNoAuth
	case auth.Has("mfa_requirement"):
		return errMFA
	default:
		return errNoToken
	}
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
