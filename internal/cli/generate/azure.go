package generate

import (
	"fmt"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// azure writes a federated identity credential (Microsoft Graph, resource
// federatedIdentityCredential).
var azure = Party{
	Name: "azure", Summary: "Microsoft Entra ID: commands of `az`, or the federated identity credential", template: "azure.sh.tmpl",
	values: newAzureValues,
	suits: func(t *annotations.Token, _ *annotations.Login) bool {
		return variable(t, clientVariable) != "" || t.Audience == azureAudience
	},
}

const (
	// clientVariable is where SDKs of Azure read the identity.
	clientVariable = "AZURE_CLIENT_ID"
	azureAudience  = "api://AzureADTokenExchange"
	// maxAzureName is how long the name of a credential may be, in characters.
	maxAzureName = 120
	// maxAzureSubject is how long a subject may be, in characters.
	maxAzureSubject = 600
)

type azureValues struct {
	common
	// Client is the client ID of the application.
	Client string
}

func newAzureValues(w *Workload) (values, error) {
	v := &azureValues{common: w.common(), Client: "CLIENT_ID"}
	if client := variable(&w.Token, clientVariable); client != "" {
		v.Client = client
	}
	v.Name = v.Name[:min(len(v.Name), maxAzureName)]
	if len(v.Subject) > maxAzureSubject {
		return nil, fmt.Errorf("the subject has %d characters; Microsoft takes %d: shorten the names", len(v.Subject), maxAzureSubject)
	}
	return v, nil
}

// Credential is the resource.
func (v *azureValues) Credential() any {
	return struct {
		Name        string   `json:"name"`
		Issuer      string   `json:"issuer"`
		Subject     string   `json:"subject"`
		Description string   `json:"description"`
		Audiences   []string `json:"audiences"`
	}{v.Name, v.Issuer, v.Subject, "ServiceAccount " + v.ServiceAccount + " of namespace " + v.Namespace, []string{v.Audience}}
}

func (v *azureValues) forAPI() any { return v.Credential() }

func (v *azureValues) notes() []string {
	notes := []string{"Microsoft has to reach the issuer by public HTTPS, and takes tokens signed by RS256; issuer, subject and audience " +
		"are compared letter by letter"}
	if v.Client == "CLIENT_ID" {
		notes = append(notes, "CLIENT_ID stands for the client ID of the application")
	}
	return notes
}
