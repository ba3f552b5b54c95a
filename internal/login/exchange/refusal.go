package exchange

import (
	"encoding/json"
	"slices"
	"strings"
)

// reasons are where relying parties say why they refuse.
var reasons = []string{"error", "error_description", "errors", "message", "msg", "detail", "details", "title", "reason", "code"}

// Words are the texts of an answer in JSON that say why, wherever they are.
func Words(body []byte) []string {
	var document any
	_ = json.Unmarshal(body, &document) // without it there are none
	return words(document, 4)
}

// words are those in a document, to a depth.
func words(document any, depth int) []string {
	if depth == 0 {
		return nil
	}
	var all []string
	switch v := document.(type) {
	case string:
		return []string{v}
	case []any:
		for _, inner := range v {
			all = append(all, words(inner, depth-1)...)
		}
	case map[string]any:
		for _, name := range reasons {
			all = append(all, words(v[name], depth-1)...)
		}
	}
	return all
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

// SaysJWTUsed reports whether the words of a refusal mean that the JWT is accepted
// once, and was used before.
func SaysJWTUsed(said ...string) bool {
	return slices.Contains(said, "jti_known") || slices.ContainsFunc(usedTexts, func(text string) bool {
		return strings.Contains(strings.ToLower(strings.Join(said, "\n")), text)
	})
}
