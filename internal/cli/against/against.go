// Package against evaluates a token against the rule by which a relying party lets
// workloads in: what the party would say, without asking it. A party is a file and a row
// of [Parties].
package against

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// Party is a relying party whose rules can be evaluated.
type Party struct {
	// Name is what users write.
	Name string
	// Rule says what the rule is, and how to get it from the party.
	Rule string
	// Evaluate judges a token by a rule at a time. The error says that the rule cannot be
	// read; that the token is refused is a check.
	Evaluate func(rule []byte, t *issuer.Token, now time.Time) ([]issuer.Check, error)
}

// Parties are all of them, in the order of their names.
var Parties = []Party{
	{
		Name: "aws-trust", Evaluate: evaluateAWS,
		Rule: "the trust policy of an IAM role: aws iam get-role --role-name NAME",
	},
	{
		Name: "azure", Evaluate: evaluateAzure,
		Rule: "a federated identity credential: az identity federated-credential show, or az ad app federated-credential list",
	},
	{
		Name: "gcp", Evaluate: evaluateGCP,
		Rule: "a workload identity pool provider: gcloud iam workload-identity-pools providers describe --format=json",
	},
	{
		Name: "vault-role", Evaluate: evaluateVault,
		Rule: "a role of the JWT auth method of Vault or OpenBao: vault read -format=json auth/jwt/role/NAME, or its URL",
	},
}

// Find returns the party of a name, or nil.
func Find(name string) *Party {
	i := slices.IndexFunc(Parties, func(p Party) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &Parties[i]
}

// Names are those of the parties.
func Names() []string {
	names := make([]string, 0, len(Parties))
	for i := range Parties {
		names = append(names, Parties[i].Name)
	}
	return names
}

// unmarshal reads a JSON object into a value.
func unmarshal(what string, rule []byte, into any) error {
	if err := json.Unmarshal(rule, into); err != nil {
		return fmt.Errorf("the file is not %s in JSON: %w", what, err)
	}
	return nil
}

// texts is a list of texts that JSON may also have as a single one.
type texts []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	var list []string
	err := json.Unmarshal(data, &list)
	*t = list
	return err
}

func quoted(texts []string) string {
	all := make([]string, 0, len(texts))
	for _, t := range texts {
		all = append(all, fmt.Sprintf("%q", t))
	}
	return strings.Join(all, ", ")
}

// tokenIssuer reports an issuer of a rule that has to be the token's, letter by letter.
func tokenIssuer(rule string, t *issuer.Token, want string) issuer.Check {
	if t.Issuer() == want {
		return issuer.Passed(rule, fmt.Sprintf("%q", want))
	}
	return issuer.Failure(rule, fmt.Sprintf("the token's issuer is %q, the rule has %q", t.Issuer(), want),
		fmt.Sprintf("write the issuer as %q: to the letter, with or without a slash at its end as the token has it", t.Issuer()))
}

// anySubject warns of a rule that no claim of the workload has a part in.
func anySubject(rule, fix string) issuer.Check {
	return issuer.Check{
		Rule: rule, Status: report.Warn, Fix: fix,
		Detail: "the rule looks at no claim of the workload: every ServiceAccount of the cluster with a token for the audience is let in",
	}
}
