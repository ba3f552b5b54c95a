package providers

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stackitcloud/stackit-sdk-go/core/auth"
	"github.com/stackitcloud/stackit-sdk-go/core/config"
)

func testSTACKIT(t *testing.T) {
	for _, test := range []struct {
		name, host, path string
		asked            map[string]string
	}{
		{"usual", "accounts.stackit.cloud", "/oauth/v2/token", nil},
		{"endpoint", "accounts.example:8443", "/token", map[string]string{"stackit-token-endpoint": "https://accounts.example:8443/token"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := inject(t, "sts.accounts.stackit.cloud", test.asked,
				map[string]string{"stackit-service-account-email": "app@sa.stackit.cloud"})
			// The access token has expired as soon as it is there: each request needs another one.
			access := unsigned(fmt.Sprintf(`{"exp":%d}`, time.Now().Unix()))
			internet.serve(t, test.host, func(w http.ResponseWriter, r *http.Request) {
				(&request{method: http.MethodPost, path: test.path, form: map[string]string{
					"grant_type": "client_credentials", "client_id": "app@sa.stackit.cloud",
					"client_assertion_type": "urn:schwarz:params:oauth:client-assertion-type:workload-jwt", "client_assertion": c.token,
				}}).check(t, r)
				reply(w, "application/json", `{"access_token":"`+access+`","token_type":"Bearer","expires_in":0}`)
			})
			internet.serve(t, "iaas.api.stackit.cloud", func(_ http.ResponseWriter, r *http.Request) {
				(&request{method: http.MethodGet, path: "/", header: map[string]string{"Authorization": "Bearer " + access}}).check(t, r)
			})
			transport, err := auth.SetupAuth(&config.Configuration{})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if status := get(t, &http.Client{Transport: transport}, "https://iaas.api.stackit.cloud/"); status != http.StatusOK {
					t.Errorf("status %d", status)
				}
				c.rotate(t)
			}
		})
	}
}
