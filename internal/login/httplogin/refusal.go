package httplogin

import (
	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

// refused is the failure that a relying party reports, in its own words, wherever
// they are.
func refused(request exchange.Request, response exchange.Response) error {
	class, words := exchange.ClassOf(response.Status), exchange.Words(response.Body)
	if class == failure.Denied && exchange.SaysJWTUsed(words...) {
		class = failure.JWT
	}
	return request.Refused(response, class, words...)
}
