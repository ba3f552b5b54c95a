package providers

import (
	"maps"
	"net/http"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
)

func testAnthropic(t *testing.T) {
	t.Run("required", func(t *testing.T) {
		c := inject(t, "https://api.anthropic.com",
			map[string]string{"anthropic-federation-rule-id": "fdrl_rule", "anthropic-organization-id": "org_example"})
		internet.serve(t, "api.anthropic.com", claude(t, c, nil))
		listModels(t, c)
	})
	t.Run("all", func(t *testing.T) {
		c := inject(t, "https://api.anthropic.com", map[string]string{
			"anthropic-federation-rule-id": "fdrl_rule", "anthropic-organization-id": "org_example",
			"anthropic-service-account-id": "svac_app", "anthropic-workspace-id": "wrkspc_team",
			"anthropic-base-url": "https://claude.example",
		})
		internet.serve(t, "claude.example", claude(t, c, map[string]any{"service_account_id": "svac_app", "workspace_id": "wrkspc_team"}))
		listModels(t, c)
	})
}

func listModels(t *testing.T, c *container) {
	t.Helper()
	client := anthropic.NewClient()
	for range 2 { // the first access token expires at once
		got, err := client.Models.List(t.Context(), anthropic.ModelListParams{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Data) != 1 || got.Data[0].ID != "claude" {
			t.Errorf("models: %v", got.Data)
		}
		c.rotate(t)
	}
}

// https://platform.claude.com/docs/en/manage-claude/wif-reference
func claude(t *testing.T, c *container, more map[string]any) http.HandlerFunc {
	t.Helper()
	exchange := map[string]any{
		"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "federation_rule_id": "fdrl_rule", "organization_id": "org_example",
	}
	maps.Copy(exchange, more)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != "" {
			t.Error("there is an API key")
		}
		if r.Method == http.MethodGet {
			(&request{method: http.MethodGet, path: "/v1/models", header: map[string]string{"Authorization": "Bearer access"}}).check(t, r)
			reply(w, "application/json", `{"data":[{"type":"model","id":"claude"}],"has_more":false}`)
			return
		}
		exchange["assertion"] = c.token
		(&request{method: http.MethodPost, path: "/v1/oauth/token", json: exchange}).check(t, r)
		reply(w, "application/json", `{"access_token":"access","token_type":"Bearer","expires_in":1}`)
	}
}
