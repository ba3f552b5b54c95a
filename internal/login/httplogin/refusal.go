package httplogin

import (
	"encoding/json"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
)

// reasons are where relying parties say why they refuse.
var reasons = []string{"error", "error_description", "errors", "message", "msg", "detail", "details", "title", "reason", "code"}

// refused is the failure that a relying party reports, in its own words, wherever
// they are.
func refused(request exchange.Request, response exchange.Response) error {
	var document any
	_ = json.Unmarshal(response.Body, &document) // without it, its page is shown
	return request.Refused(response, exchange.ClassOf(response.Status), words(document, 4)...)
}

// words are the texts in a document that say why, to a depth.
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
