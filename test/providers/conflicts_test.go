package providers

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/aliyun/credentials-go/credentials"
	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/stackitcloud/stackit-sdk-go/core/auth"
	"github.com/stackitcloud/stackit-sdk-go/core/config"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/provider"
)

const awsRole = "arn:aws:iam::123456789012:role/team/app"

// TestConflicts tries what providers warn of: with another variable in the container, the
// token does not do what it is there for.
func TestConflicts(t *testing.T) {
	for _, test := range []struct {
		provider string
		// variables are those of the warning, the first one, and what belongs to it.
		variables []string
		try       func(t *testing.T, env []corev1.EnvVar)
	}{
		{"aws", []string{"AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=other"}, testStaticKeysWin},
		{"aws", []string{"AWS_SECRET_ACCESS_KEY=other", "AWS_ACCESS_KEY_ID=AKIAEXAMPLE"}, testStaticKeysWin},
		{"aws", []string{"AWS_ACCESS_KEY=AKIAEXAMPLE", "AWS_SECRET_KEY=other"}, testStaticKeysWin},
		{"aws", []string{"AWS_PROFILE=missing"}, testProfileIsMissing},
		{"aws", []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1/credentials"}, testTokenIsPreferred},
		{"aws", []string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials"}, testTokenIsPreferred},
		{"aws", []string{"AWS_ENDPOINT_URL=https://storage.example"}, testServicesAreMoved},
		{"minio", []string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"}, testTokenGoesToAWS},
		{"ceph", []string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"}, testTokenGoesToAWS},
		{"azure", []string{"AZURE_CLIENT_SECRET=other"}, testSecretWins},
		{"alibaba", []string{"ALIBABA_CLOUD_ACCESS_KEY_ID=LTAIexample", "ALIBABA_CLOUD_ACCESS_KEY_SECRET=other"}, testAlibabaKeysWin},
		{"alibaba", []string{"ALIBABA_CLOUD_OIDC_TOKEN=other"}, testOtherTokenWins},
		{"anthropic", []string{"ANTHROPIC_API_KEY=other"}, testAPIKeyWins},
		{"anthropic", []string{"ANTHROPIC_AUTH_TOKEN=other"}, testAPIKeyWins},
		{"anthropic", []string{"ANTHROPIC_PROFILE=missing"}, testProfileWins},
		{"stackit", []string{"STACKIT_SERVICE_ACCOUNT_TOKEN=other"}, testSilentFallback},
	} {
		name, _, _ := strings.Cut(test.variables[0], "=")
		t.Run(test.provider+"/"+name, func(t *testing.T) {
			warned := func(c provider.Conflict) bool { return c.Env == name }
			if !slices.ContainsFunc(provider.BuiltIn().Get(test.provider).Conflicts, warned) {
				t.Errorf("provider %s does not warn of it", test.provider)
			}
			var env []corev1.EnvVar
			for _, variable := range test.variables {
				name, value, _ := strings.Cut(variable, "=")
				env = append(env, corev1.EnvVar{Name: name, Value: value})
			}
			test.try(t, env)
		})
	}
}

func testStaticKeysWin(t *testing.T, env []corev1.EnvVar) {
	injectBeside(t, env, "sts.amazonaws.com", map[string]string{"aws-role-arn": awsRole, "aws-region": "eu-central-1"})
	cfg, err := awsconfig.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cfg.Credentials.Retrieve(t.Context()); err != nil || got.AccessKeyID != "AKIAEXAMPLE" {
		t.Errorf("key %s, %v", got.AccessKeyID, err)
	}
}

func testProfileIsMissing(t *testing.T, env []corev1.EnvVar) {
	injectBeside(t, env, "sts.amazonaws.com", map[string]string{"aws-role-arn": awsRole, "aws-region": "eu-central-1"})
	if _, err := awsconfig.LoadDefaultConfig(t.Context()); err == nil {
		t.Error("there is no error")
	}
}

func testTokenIsPreferred(t *testing.T, env []corev1.EnvVar) {
	c := injectBeside(t, env, "sts.amazonaws.com", map[string]string{"aws-role-arn": awsRole, "aws-region": "eu-central-1"})
	internet.serve(t, "sts.eu-central-1.amazonaws.com", assumeRole(t, c, awsRole, "team.app-0"))
	awsCredentials(t, c)
}

func testServicesAreMoved(t *testing.T, env []corev1.EnvVar) {
	c := injectBeside(t, env, "sts.amazonaws.com", map[string]string{"aws-role-arn": awsRole, "aws-region": "eu-central-1"})
	internet.serve(t, "sts.eu-central-1.amazonaws.com", assumeRole(t, c, awsRole, "team.app-0"))
	internet.serve(t, "storage.example", storage(t, "eu-central-1", func(http.ResponseWriter, *http.Request) {
		t.Error("the login is moved, too")
	}))
	listBuckets(t, awsCredentials(t, c))
}

func testTokenGoesToAWS(t *testing.T, env []corev1.EnvVar) {
	name := "minio"
	if strings.Contains(t.Name(), "ceph") {
		name = "ceph"
	}
	c := injectBeside(t, env, "storage", map[string]string{
		name + "-audience": "storage", name + "-role-arn": "arn:aws:iam:::role/app",
		name + "-endpoint": "https://storage.example",
	})
	internet.serve(t, "sts.us-east-1.amazonaws.com", assumeRole(t, c, "arn:aws:iam:::role/app", "team.app-0"))
	awsCredentials(t, c)
}

func testSecretWins(t *testing.T, env []corev1.EnvVar) {
	injectBeside(t, env, "api://AzureADTokenExchange", map[string]string{"azure-client-id": azureClient, "azure-tenant-id": azureTenant})
	asked := ""
	discovery := entra(t, nil, "login.microsoftonline.com")
	internet.serve(t, "login.microsoftonline.com", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			discovery(w, r)
			return
		}
		asked = r.FormValue("client_secret") + r.FormValue("client_assertion")
		reply(w, "application/json", `{"token_type":"Bearer","expires_in":3599,"access_token":"access"}`)
	})
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	scopes := policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}}
	if _, err := credential.GetToken(t.Context(), scopes); err != nil || asked != "other" {
		t.Errorf("%q was sent, %v", asked, err)
	}
}

func alibabaCredentials(t *testing.T) *credentials.CredentialModel {
	t.Helper()
	credential, err := credentials.NewCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := credential.GetCredential()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func alibabaContainer(t *testing.T, env []corev1.EnvVar) *container {
	t.Helper()
	return injectBeside(t, env, "sts.aliyuncs.com", map[string]string{
		"alibaba-role-arn":          "acs:ram::1234567890123456:role/app",
		"alibaba-oidc-provider-arn": "acs:ram::1234567890123456:oidc-provider/cluster",
	})
}

func testAlibabaKeysWin(t *testing.T, env []corev1.EnvVar) {
	alibabaContainer(t, env)
	if got := alibabaCredentials(t); *got.AccessKeyId != "LTAIexample" {
		t.Errorf("key %s", *got.AccessKeyId)
	}
}

func testOtherTokenWins(t *testing.T, env []corev1.EnvVar) {
	c := alibabaContainer(t, env)
	c.token = "other"
	internet.serve(t, "sts.aliyuncs.com", assumeRoleWithOIDC(t, c))
	alibabaCredentials(t)
}

func anthropicContainer(t *testing.T, env []corev1.EnvVar) {
	t.Helper()
	injectBeside(t, env, "https://api.anthropic.com",
		map[string]string{"anthropic-federation-rule-id": "fdrl_rule", "anthropic-organization-id": "org_example"})
}

func testAPIKeyWins(t *testing.T, env []corev1.EnvVar) {
	anthropicContainer(t, env)
	internet.serve(t, "api.anthropic.com", func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("X-Api-Key") + r.Header.Get("Authorization"); r.URL.Path != "/v1/models" || got != "other" &&
			got != "Bearer other" {
			t.Errorf("%s %s is asked for with %q", r.Method, r.URL.Path, got)
		}
		reply(w, "application/json", `{"data":[],"has_more":false}`)
	})
	client := anthropic.NewClient()
	if _, err := client.Models.List(t.Context(), anthropic.ModelListParams{}); err != nil {
		t.Error(err)
	}
}

func testProfileWins(t *testing.T, env []corev1.EnvVar) {
	anthropicContainer(t, env)
	client := anthropic.NewClient(option.WithMaxRetries(0))
	if _, err := client.Models.List(t.Context(), anthropic.ModelListParams{}); err == nil ||
		!strings.Contains(err.Error(), "ANTHROPIC_PROFILE") {
		t.Errorf("error %v", err)
	}
}

func testSilentFallback(t *testing.T, env []corev1.EnvVar) {
	c := injectBeside(t, env, "sts.accounts.stackit.cloud", map[string]string{"stackit-service-account-email": "app@sa.stackit.cloud"})
	if err := os.Remove(c.path); err != nil {
		t.Fatal(err)
	}
	internet.serve(t, "iaas.api.stackit.cloud", func(_ http.ResponseWriter, r *http.Request) {
		(&request{method: http.MethodGet, path: "/", header: map[string]string{"Authorization": "Bearer other"}}).check(t, r)
	})
	transport, err := auth.SetupAuth(&config.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	get(t, &http.Client{Transport: transport}, "https://iaas.api.stackit.cloud/")
}
