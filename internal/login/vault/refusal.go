package vault

import (
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

// refused is the failure that Vault reports: {"errors":[…]}, sometimes with
// the reason among the warnings.
func refused(request exchange.Request, response exchange.Response) error {
	class := exchange.ClassOf(response.Status)
	fields, _ := exchange.FieldsOf(response.Body) // without it there are none
	said := fields.Texts("errors")
	switch {
	case class == failure.Server && slices.ContainsFunc(said, hasNoActiveNode):
		class = failure.Sealed
	case class == failure.Server && slices.ContainsFunc(said, isPastMaxTTL):
		class = failure.Denied
	}
	said = append(said, fields.Texts("warnings")...)
	if len(said) == 0 { // not by Vault itself
		said = exchange.Words(response.Body)
	}
	return request.Refused(response, class, said...)
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
