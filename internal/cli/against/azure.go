package against

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// credential is a federated identity credential (Microsoft Graph resource
// federatedIdentityCredential; for managed identities inside properties).
type credential struct {
	Name      string `json:"name"`
	Issuer    string `json:"issuer"`
	Subject   string `json:"subject"`
	Audiences texts  `json:"audiences"`
	// Expression stands instead of a subject in flexible credentials.
	Expression *struct {
		Value string `json:"value"`
	} `json:"claimsMatchingExpression"`
}

// readCredentials finds them in what was given: one, or a list of them.
func readCredentials(data []byte) ([]credential, error) {
	var raw []json.RawMessage
	if json.Unmarshal(data, &raw) != nil {
		raw = []json.RawMessage{data}
	}
	credentials := make([]credential, 0, len(raw))
	for _, r := range raw {
		var inner struct {
			Name       string          `json:"name"`
			Properties json.RawMessage `json:"properties"`
		}
		var c credential
		if err := unmarshal("a federated identity credential", r, &inner); err != nil {
			return nil, err
		}
		if inner.Properties != nil {
			r = inner.Properties
		}
		if err := unmarshal("a federated identity credential", r, &c); err != nil {
			return nil, err
		}
		if inner.Name != "" {
			c.Name = inner.Name
		}
		if c.Issuer == "" {
			return nil, errors.New("the file is not a federated identity credential: it has no issuer")
		}
		credentials = append(credentials, c)
	}
	if len(credentials) == 0 {
		return nil, errors.New("the file holds no federated identity credential")
	}
	return credentials, nil
}

// evaluateAzure judges as Microsoft Entra ID does: issuer, subject and audience of one of
// the credentials are compared letter by letter (Microsoft, "Important considerations and
// restrictions for federated identity credentials").
func evaluateAzure(rule []byte, t *issuer.Token, now time.Time) ([]issuer.Check, error) {
	credentials, err := readCredentials(rule)
	if err != nil {
		return nil, err
	}
	var best []issuer.Check
	for i := range credentials {
		checks := credentials[i].judge(t)
		if !issuer.Failed(checks) {
			best = checks
			break
		}
		if best == nil || failures(checks) < failures(best) { // the one that was meant, most likely
			best = checks
		}
	}
	if t.Algorithm() != "RS256" {
		best = append(best, issuer.Check{
			Rule: "alg", Status: report.Warn, Detail: fmt.Sprintf("the token is signed by %q; Microsoft supports RS256 alone",
				t.Algorithm()),
			Fix: "let the API server sign with an RSA key (--service-account-signing-key-file)",
		})
	}
	return append(best, issuer.CheckTimes(t, now, 0)...), nil
}

func failures(checks []issuer.Check) int {
	n := 0
	for i := range checks {
		if checks[i].Status == report.Fail {
			n++
		}
	}
	return n
}

func (c *credential) judge(t *issuer.Token) []issuer.Check {
	at := ""
	if c.Name != "" {
		at = fmt.Sprintf("credential %q: ", c.Name)
	}
	checks := []issuer.Check{tokenIssuer(at+"issuer", t, c.Issuer)}
	switch {
	case c.Expression != nil:
		checks = append(checks, issuer.Check{
			Rule: at + "claimsMatchingExpression", Status: report.Unknown, Detail: "expressions are evaluated by Microsoft alone: " +
				c.Expression.Value,
		})
	case c.Subject == t.Subject():
		checks = append(checks, issuer.Passed(at+"subject", fmt.Sprintf("%q", c.Subject)))
	default:
		checks = append(checks, issuer.Failure(at+"subject",
			fmt.Sprintf("the token's subject is %q, the credential has %q; patterns are not known",
				t.Subject(), c.Subject), "run the pod with the ServiceAccount of the credential, or add a credential with this subject"))
	}
	audiences := []string(c.Audiences)
	if len(audiences) == 0 {
		audiences = []string{"api://AzureADTokenExchange"} // the default of the API
	}
	got, _ := t.Audiences()
	if len(got) > 1 && slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(got, a) }) {
		return append(checks, issuer.Failure(at+"audiences", "the token has several audiences; Microsoft takes one",
			"ask for a token of one audience"))
	}
	return append(checks, issuer.CheckAudience(at+"audiences", t, audiences))
}
