package oauth

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

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
