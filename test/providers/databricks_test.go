package providers

import (
	"os"
	"strings"
	"testing"
)

// testDatabricks compares what is injected, variable by variable, with what is documented:
// https://docs.databricks.com/aws/dev-tools/auth/oauth-federation-exchange. The name of the file's variable
// is the one of all SDKs, and the one that Python's had before 0.103.0.
func testDatabricks(t *testing.T) {
	const client, account = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	for _, test := range []struct {
		name        string
		asked, want map[string]string
	}{
		{"account-wide", nil, map[string]string{}},
		{"a service principal", map[string]string{"databricks-client-id": client}, map[string]string{"DATABRICKS_CLIENT_ID": client}},
		{
			"the account's API",
			map[string]string{"databricks-client-id": client, "databricks-account-id": account},
			map[string]string{"DATABRICKS_CLIENT_ID": client, "DATABRICKS_ACCOUNT_ID": account},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := inject(t, account, test.asked, map[string]string{
				"databricks-audience": account, "databricks-host": "https://workspace.cloud.databricks.example",
			})
			test.want["DATABRICKS_HOST"] = "https://workspace.cloud.databricks.example"
			test.want["DATABRICKS_AUTH_TYPE"] = "file-oidc"
			test.want["DATABRICKS_OIDC_TOKEN_FILEPATH"] = c.path
			test.want["DATABRICKS_OIDC_TOKEN_FILE"] = c.path
			got := map[string]string{}
			for _, variable := range os.Environ() {
				if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "DATABRICKS_") {
					got[name] = value
				}
			}
			compare(t, "variables", test.want, got)
		})
	}
}
