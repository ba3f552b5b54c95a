package oauth

import (
	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

// refused is the failure that the server reports, by RFC 6749 section 5.2. Where it
// does so in another way, its words are looked for.
func refused(request exchange.Request, response exchange.Response) error {
	class := exchange.ClassOf(response.Status)
	fields, _ := exchange.FieldsOf(response.Body) // without it there is no error
	code, description := fields.Text("error"), fields.Text("error_description")
	if code == "" {
		return request.Refused(response, class, exchange.Words(response.Body)...)
	}
	switch {
	case class == failure.Protocol: // an error with a status of success
		class = failure.Denied
	case class == failure.Denied && (code == "temporarily_unavailable" || code == "server_error"):
		class = failure.Server
	case class == failure.Denied && code == "slow_down":
		class = failure.RateLimited
	}
	// The hint is of Hydra before version 2.
	if class == failure.Denied && exchange.SaysJWTUsed(code, description, fields.Text("error_hint")) {
		class = failure.JWT
	}
	words := []string{code}
	for _, more := range []string{description, fields.Text("error_uri")} {
		if more != "" {
			words = append(words, more)
		}
	}
	return request.Refused(response, class, words...)
}
