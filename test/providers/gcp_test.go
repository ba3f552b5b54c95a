package providers

import (
	"net/http"
	"testing"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
)

const (
	gcpProvider   = "projects/123456789012/locations/global/workloadIdentityPools/clusters/providers/this-cluster"
	gcpAudience   = "https://iam.googleapis.com/" + gcpProvider
	gcpScope      = "https://www.googleapis.com/auth/devstorage.read_only"
	gcpEverything = "https://www.googleapis.com/auth/cloud-platform"
)

func testGCP(t *testing.T) {
	t.Run("principal", func(t *testing.T) {
		c := inject(t, gcpAudience, map[string]string{
			"gcp-provider": gcpProvider, "gcp-project": "my-project",
			"gcp-quota-project": "other-project",
		})
		internet.serve(t, "sts.googleapis.com", tokenExchange(t, c, gcpScope))
		got := googleCredentials(t)
		googleToken(t, got, "federated")
		if project, err := got.ProjectID(t.Context()); err != nil || project != "my-project" {
			t.Errorf("project %q, %v", project, err)
		}
		if project, err := got.QuotaProjectID(t.Context()); err != nil || project != "other-project" {
			t.Errorf("quota project %q, %v", project, err)
		}
		c.rotate(t)
		googleToken(t, googleCredentials(t), "federated")
	})
	t.Run("service account", func(t *testing.T) {
		const account = "app@my-project.iam.gserviceaccount.com"
		c := inject(t, gcpAudience, map[string]string{"gcp-provider": gcpProvider, "gcp-service-account": account})
		internet.serve(t, "sts.googleapis.com", tokenExchange(t, c, gcpEverything))
		internet.serve(t, "iamcredentials.googleapis.com", impersonation(t, account))
		googleToken(t, googleCredentials(t), "impersonated")
	})
	t.Run("universe", func(t *testing.T) {
		c := inject(t, gcpAudience, map[string]string{"gcp-provider": gcpProvider, "gcp-universe-domain": "apis.example"})
		internet.serve(t, "sts.apis.example", tokenExchange(t, c, gcpScope))
		got := googleCredentials(t)
		googleToken(t, got, "federated")
		if universe, err := got.UniverseDomain(t.Context()); err != nil || universe != "apis.example" {
			t.Errorf("universe %q, %v", universe, err)
		}
	})
}

func googleCredentials(t *testing.T) *auth.Credentials {
	t.Helper()
	got, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{gcpScope}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func googleToken(t *testing.T, c *auth.Credentials, want string) {
	t.Helper()
	got, err := c.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Value != want {
		t.Errorf("token %q: want %s", got.Value, want)
	}
}

// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
func tokenExchange(t *testing.T, c *container, scope string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		(&request{method: http.MethodPost, path: "/v1/token", form: map[string]string{
			"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": "//iam.googleapis.com/" + gcpProvider,
			"scope":                scope,
			"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
			"subject_token_type":   "urn:ietf:params:oauth:token-type:jwt", "subject_token": c.token,
		}}).check(t, r)
		if r.Header.Get("Authorization") != "" {
			t.Error("the client authenticates itself")
		}
		reply(w, "application/json", `{"access_token":"federated","issued_token_type":"urn:ietf:params:oauth:token-type:access_token",`+
			`"token_type":"Bearer","expires_in":3600}`)
	}
}

// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
func impersonation(t *testing.T, account string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		(&request{
			method: http.MethodPost, path: "/v1/projects/-/serviceAccounts/" + account + ":generateAccessToken",
			header: map[string]string{"Authorization": "Bearer federated"},
			json:   map[string]any{"lifetime": "3600s", "scope": []any{gcpScope}},
		}).check(t, r)
		reply(w, "application/json", `{"accessToken":"impersonated","expireTime":"`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+
			`"}`)
	}
}
