package providers

import (
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const (
	azureClient = "11111111-2222-3333-4444-555555555555"
	azureTenant = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
)

func testAzure(t *testing.T) {
	for _, test := range []struct {
		name, authority string
		asked           map[string]string
	}{
		{"public", "login.microsoftonline.com", nil},
		{"another cloud", "login.microsoftonline.us", map[string]string{
			"azure-authority-host": "https://login.microsoftonline.us/", "azure-token-credentials": "WorkloadIdentityCredential",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := inject(t, "api://AzureADTokenExchange", test.asked,
				map[string]string{"azure-client-id": azureClient, "azure-tenant-id": azureTenant})
			if test.asked["azure-token-credentials"] != "" {
				// What would come first otherwise is left out.
				t.Setenv("AZURE_CLIENT_SECRET", "secret")
			}
			internet.serve(t, test.authority, entra(t, c, test.authority))
			credential, err := azidentity.NewDefaultAzureCredential(nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
			if err != nil {
				t.Fatal(err)
			}
			if got.Token != "access" {
				t.Errorf("token %q", got.Token)
			}
		})
	}
}

// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, third case:
// a federated credential.
func entra(t *testing.T, c *container, authority string) http.HandlerFunc {
	t.Helper()
	issuer := "https://" + authority + "/" + azureTenant
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/common/discovery/instance":
			reply(w, "application/json", `{"tenant_discovery_endpoint":"`+issuer+`/v2.0/.well-known/openid-configuration","metadata":[]}`)
			return
		case "/" + azureTenant + "/v2.0/.well-known/openid-configuration":
			reply(w, "application/json", `{"issuer":"`+issuer+`/v2.0","authorization_endpoint":"`+issuer+
				`/oauth2/v2.0/authorize","token_endpoint":"`+issuer+`/oauth2/v2.0/token"}`)
			return
		}
		(&request{method: http.MethodPost, path: "/" + azureTenant + "/oauth2/v2.0/token", form: map[string]string{
			"grant_type": "client_credentials", "client_id": azureClient, "client_info": "1",
			"scope":                 "https://vault.azure.net/.default openid offline_access profile",
			"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": c.token,
		}}).check(t, r)
		reply(w, "application/json", `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"access"}`)
	}
}
