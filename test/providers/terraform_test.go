package providers

import (
	"net/http"
	"os"
	"testing"

	"github.com/hashicorp/go-azure-sdk/sdk/auth"
	"github.com/hashicorp/go-azure-sdk/sdk/environments"
)

func testTerraformAzureRM(t *testing.T) {
	for _, test := range []struct {
		name, authority, manager, audience string
		asked                              map[string]string
	}{
		{"public", "login.microsoftonline.com", "https://management.azure.com", "api://AzureADTokenExchange", nil},
		{
			"another cloud", "login.microsoftonline.us", "https://management.usgovcloudapi.net", "api://AzureADTokenExchangeUSGov",
			map[string]string{
				"terraform-azurerm-audience": "api://AzureADTokenExchangeUSGov", "terraform-azurerm-environment": "usgovernment",
				"terraform-azurerm-subscription-id": "99999999-8888-7777-6666-555555555555",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := inject(t, test.audience, test.asked,
				map[string]string{"terraform-azurerm-client-id": azureClient, "terraform-azurerm-tenant-id": azureTenant})
			internet.serve(t, test.authority, func(w http.ResponseWriter, r *http.Request) {
				// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, third case
				(&request{method: http.MethodPost, path: "/" + azureTenant + "/oauth2/v2.0/token", form: map[string]string{
					"grant_type": "client_credentials", "client_id": azureClient, "scope": test.manager + "/.default",
					"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": c.token,
				}}).check(t, r)
				reply(w, "application/json", `{"token_type":"Bearer","expires_in":3599,"access_token":"access"}`)
			})
			credentials := azureRM(t)
			authorizer, err := auth.NewAuthorizerFromCredentials(t.Context(), credentials, credentials.Environment.ResourceManager)
			if err != nil {
				t.Fatal(err)
			}
			got, err := authorizer.Token(t.Context(), &http.Request{})
			if err != nil {
				t.Fatal(err)
			}
			if got.AccessToken != "access" {
				t.Errorf("token %q", got.AccessToken)
			}
			if subscription := os.Getenv("ARM_SUBSCRIPTION_ID"); subscription != test.asked["terraform-azurerm-subscription-id"] {
				t.Errorf("subscription %q", subscription)
			}
		})
	}
}

// azureRM reads the variables as the Terraform provider documents them, whose own packages are internal:
// https://registry.terraform.io/providers/hashicorp/azurerm/latest/docs#argument-reference. The rest is its SDK's.
func azureRM(t *testing.T) auth.Credentials {
	t.Helper()
	name := os.Getenv("ARM_ENVIRONMENT")
	if name == "" {
		name = "public"
	}
	environment, err := environments.FromName(name)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := os.ReadFile(os.Getenv("ARM_OIDC_TOKEN_FILE_PATH"))
	if err != nil {
		t.Fatal(err)
	}
	return auth.Credentials{
		Environment: *environment, ClientID: os.Getenv("ARM_CLIENT_ID"), TenantID: os.Getenv("ARM_TENANT_ID"),
		EnableAuthenticationUsingOIDC: os.Getenv("ARM_USE_OIDC") == "true", OIDCAssertionToken: string(assertion),
		// The method after it, as the provider has it by default: it would ask the machine.
		EnableAuthenticatingUsingAzureCLI: true,
	}
}
