package mutate_test

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// provided is what becomes of a pod that may ask for the built-in providers.
func provided(t *testing.T, raw []byte) outcome {
	t.Helper()
	pod := parse(t, raw)
	spec, warnings, errs := parser.Parse(annotations.Input{
		Annotations: pod.Annotations, OS: pod.OS,
		Pod: provider.Pod{Namespace: "shop", Name: pod.Name, ServiceAccountName: "app"},
	})
	o := options
	o.Warnings = warnings
	result, conflicts := mutate.Patch(pod, spec, o)
	return outcomeOf(t, raw, result.Warnings, append(errs, conflicts...), result)
}

const (
	awsRole  = "arn:aws:iam::123456789012:role/app"
	gcpPool  = "projects/123456789012/locations/global/workloadIdentityPools/pool/providers/cluster"
	oneApp   = "containers: [{name: app}]\n"
	awsToken = "/var/run/secrets/tokens-aws/oidc-token"
)

func TestProvider(t *testing.T) {
	t.Parallel()
	got := provided(t, keys{"aws-role-arn": awsRole, "aws-region": "eu-central-1"}.pod(t, oneApp))
	expect(t, "errors", nil, got.Errors)
	expect(t, "warnings", nil, got.Warnings)
	var pod corev1.Pod
	if err := json.Unmarshal(got.Pod, &pod); err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, e := range pod.Spec.Containers[0].Env {
		env = append(env, e.Name+"="+e.Value)
	}
	expect(t, "variables", []string{
		"AWS_ROLE_ARN=" + awsRole, "AWS_WEB_IDENTITY_TOKEN_FILE=" + awsToken, "AWS_ROLE_SESSION_NAME=shop.pod", "AWS_REGION=eu-central-1",
		"AWS_DEFAULT_REGION=eu-central-1",
	}, env)
	volume := pod.Spec.Volumes[0]
	token := volume.Projected.Sources[0].ServiceAccountToken
	if volume.Name != "oidc-token-aws" || token.Audience != "sts.amazonaws.com" || *token.ExpirationSeconds != 3600 ||
		len(volume.Projected.Sources) != 1 {
		t.Errorf("volume %+v", volume)
	}
	expect(t, "changes at reinvocation", nil, paths(provided(t, got.Pod)))
}

func TestProviderFile(t *testing.T) {
	t.Parallel()
	raw := keys{"gcp-provider": gcpPool, "gcp-service-account": "app@project.iam.gserviceaccount.com"}.pod(t, oneApp)
	got := provided(t, raw)
	expect(t, "errors", nil, got.Errors)
	var pod corev1.Pod
	if err := json.Unmarshal(got.Pod, &pod); err != nil {
		t.Fatal(err)
	}
	const annotation = "oidc-injector.io/file.gcp"
	want := `{"audience":"//iam.googleapis.com/` + gcpPool +
		`","credential_source":{"file":"/var/run/secrets/tokens-gcp/oidc-token","format":{"type":"text"}},` +
		`"service_account_impersonation_url":"https://iamcredentials.googleapis.com/v1/` +
		`projects/-/serviceAccounts/app@project.iam.gserviceaccount.com:generateAccessToken",` +
		`"subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"https://sts.googleapis.com/v1/token",` +
		`"type":"external_account","universe_domain":"googleapis.com"}`
	if got := pod.Annotations[annotation]; got != want {
		t.Errorf("annotation %s", got)
	}
	item := pod.Spec.Volumes[0].Projected.Sources[1].DownwardAPI.Items[0]
	if item.Path != "google-credentials.json" || item.FieldRef.FieldPath != "metadata.annotations['"+annotation+"']" ||
		*item.Mode != 0o444 {
		t.Errorf("file %+v", item)
	}
	if env := pod.Spec.Containers[0].Env[0]; env.Name != "GOOGLE_APPLICATION_CREDENTIALS" ||
		env.Value != "/var/run/secrets/tokens-gcp/google-credentials.json" {
		t.Errorf("variable %+v", env)
	}
	expect(t, "changes at reinvocation", nil, paths(provided(t, got.Pod)))

	// What stands there is of somebody else, or of the pod that this one was copied from.
	changed := provided(t, []byte(strings.ReplaceAll(string(got.Pod), "app@project.iam.gserviceaccount.com:gen",
		"other@project.iam.gserviceaccount.com:gen")))
	expect(t, "changes", []string{"/metadata/annotations/oidc-injector.io~1file.gcp"}, paths(changed))
	var again corev1.Pod
	if err := json.Unmarshal(changed.Pod, &again); err != nil || again.Annotations[annotation] != want {
		t.Errorf("annotation %s, %v", again.Annotations[annotation], err)
	}
	// Nor is a volume of that name without the file, or with another one.
	for _, sources := range []string{
		"{serviceAccountToken: {audience: 'https://iam.googleapis.com/" + gcpPool + "', path: oidc-token}}",
		"{serviceAccountToken: {audience: 'https://iam.googleapis.com/" + gcpPool +
			"', path: oidc-token}}, {downwardAPI: {items: [{path: google-credentials.json, fieldRef: {fieldPath: metadata.name}}]}}",
		"{serviceAccountToken: {audience: 'https://iam.googleapis.com/" + gcpPool +
			"', path: oidc-token}}, {downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.name}}, {path: b}]}}",
	} {
		got := provided(t, keys{"gcp-provider": gcpPool}.pod(t,
			"volumes: [{name: oidc-token-gcp, projected: {sources: ["+sources+"]}}]\n"+oneApp))
		if len(got.Errors) != 1 || !strings.Contains(got.Errors[0], "spec.volumes[0].name") {
			t.Errorf("%s: errors %q", sources, got.Errors)
		}
	}
}

func TestProviderPods(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys     keys
		spec     string
		errors   []string
		warnings []string
	}{
		"several, and a plain token": {keys: keys{
			"audience": "vault", "aws-role-arn": awsRole, "azure-client-id": "00000000-0000-0000-0000-000000000001",
			"azure-tenant-id": "example.com", "gcp-provider": gcpPool,
		}},
		"overridden": {keys: keys{
			"aws-role-arn": awsRole, "audience.aws": "corp", "expiration.aws": "2h",
			"mount-path.aws": "/aws", "containers.aws": "app", "env.aws": "TOKEN",
		}},
		"a token of another name": {keys: keys{
			"aws-role-arn.reports": awsRole, "aws-role-arn": awsRole + "2", "containers.reports": "app",
			"containers.aws": "b",
		}, spec: "containers: [{name: app}, {name: b}]\n"},
		"a required parameter is missing": {keys: keys{"azure-client-id": "00000000-0000-0000-0000-000000000001"}, errors: []string{
			"metadata.annotations[oidc-injector.io/azure-tenant-id]: Required value: provider azure needs it: Tenant ID or a " +
				"verified domain",
		}},
		"another one, with a suffix": {
			keys:   keys{"azure-client-id.x": "00000000-0000-0000-0000-000000000001"},
			errors: []string{"metadata.annotations[oidc-injector.io/azure-tenant-id.x]: Required value"},
		},
		"by name alone": {
			keys:   keys{"provider": "aws"},
			errors: []string{"metadata.annotations[oidc-injector.io/aws-role-arn]: Required value"},
		},
		"an unknown one": {
			keys:   keys{"provider": "nimbus"},
			errors: []string{`metadata.annotations[oidc-injector.io/provider]: Unsupported value: "nimbus": supported values: "alibaba"`},
		},
		"a wrong value": {
			keys:   keys{"aws-role-arn": "app"},
			errors: []string{`metadata.annotations[oidc-injector.io/aws-role-arn]: Invalid value: "app": must match arn:aws`},
		},
		"a mistyped key": {
			keys:     keys{"aws-role-arm": awsRole},
			warnings: []string{`unknown annotation "oidc-injector.io/aws-role-arm": did you mean oidc-injector.io/aws-role-arn?`},
		},
		"two for one token": {
			keys:   keys{"aws-role-arn.x": awsRole, "gcp-provider.x": gcpPool},
			errors: []string{`token "x" is of provider aws: give each provider a token of its own, by a suffix`},
		},
		"two identities in a container": {keys: keys{"aws-role-arn": awsRole, "aws-role-arn.b": awsRole + "2"}, errors: []string{
			`token "aws" sets variable AWS_ROLE_ARN to another value: give the two different containers`,
		}},
		"the variable of another token": {
			keys:   keys{"aws-role-arn": awsRole, "audience": "x", "env": "AWS_WEB_IDENTITY_TOKEN_FILE"},
			errors: []string{`sets variable AWS_WEB_IDENTITY_TOKEN_FILE to another value`},
		},
		"the variable of a login": {keys: keys{
			"aws-role-arn": awsRole, "audience": "vault", "login": "vault", "login-address": "https://vault.example.com", "login-role": "a",
			"login-env": "AWS_ROLE_ARN",
		}, errors: []string{`sets the same variable`}},
		"a provider's own variable": {
			keys:   keys{"aws-role-arn": awsRole, "env.aws": "AWS_REGION", "aws-region": "eu-central-1"},
			errors: []string{"provider aws sets this variable itself"},
		},
		"a key of its token, by itself": {keys: keys{"aws-role-arn": awsRole, "expiration": "2h"}, errors: []string{
			"the token is described (expiration) but has no audience; for the token of a provider write oidc-injector.io/expiration.aws",
		}},
		"quotes in a text": {
			keys:   keys{"snowflake-account": "a", "token-file.snowflake": "x'y"},
			errors: []string{"file connections.toml cannot hold a path or an audience with quotes"},
		},
		"a suffix that says nothing": {keys: keys{"aws-role-arn": awsRole, "aws-role-arn.aws": awsRole + "2"}, errors: []string{
			`metadata.annotations[oidc-injector.io/aws-role-arn.aws]: Invalid value: "aws": the token of a provider has the provider's ` +
				`name without a suffix`,
		}},
		"a file of the token's name": {
			keys:   keys{"gcp-provider": gcpPool, "token-file.gcp": "google-credentials.json"},
			errors: []string{"provider gcp has a file of this name: give the token another token-file"},
		},
		"a short life": {
			keys: keys{
				"azure-client-id": "00000000-0000-0000-0000-000000000001",
				"azure-tenant-id": "example.com", "expiration.azure": "10m",
			},
			warnings: []string{"oidc-injector.io/expiration.azure: 600 s are too short for provider azure"},
		},
		"a long life": {keys: keys{
			"anthropic-federation-rule-id": "fdrl_1", "anthropic-organization-id": "org",
			"expiration.anthropic": "2h",
		}, warnings: []string{"7200 s are too long for provider anthropic"}},
		"static keys beside it": {
			keys:     keys{"aws-role-arn": awsRole},
			spec:     "containers: [{name: app, env: [{name: AWS_ACCESS_KEY_ID, value: a}]}]\n",
			warnings: []string{`container "app" sets AWS_ACCESS_KEY_ID beside token "aws": static keys win; the token file is not read`},
		},
		"a Secret beside it": {
			keys: keys{"aws-role-arn": awsRole},
			spec: "containers: [{name: app, envFrom: [{configMapRef: {name: c}}, {secretRef: {name: s}}]}]\n",
			warnings: []string{`container "app" has envFrom of a Secret: if that sets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ` +
				`AWS_ACCESS_KEY and the like, the SDK takes another identity than that of token "aws"`},
		},
		"a Secret with the beginning of a name": {
			keys:     keys{"aws-role-arn": awsRole},
			spec:     "containers: [{name: app, envFrom: [{prefix: DB_, secretRef: {name: a}}, {prefix: AWS_SE, secretRef: {name: b}}]}]\n",
			warnings: []string{"if that sets AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, the SDK"},
		},
		"a Secret of other variables": {
			keys: keys{"aws-role-arn": awsRole}, spec: "containers: [{name: app, envFrom: [{prefix: DB_, secretRef: {name: s}}]}]\n",
		},
		"no Secret": {
			keys: keys{"aws-role-arn": awsRole},
			spec: "containers: [{name: app, envFrom: [{configMapRef: {name: c}}, {secretRef: null}]}]\n",
		},
		"a Secret whose keys the container overrides": {
			keys: keys{"stackit-service-account-email": "app@sa.stackit.cloud"},
			spec: "containers: [{name: app, envFrom: [{prefix: STACKIT_CRED, secretRef: {name: s}}], " +
				"env: [{name: STACKIT_CREDENTIALS_PATH, value: x}]}]\n",
			warnings: []string{`container "app" sets STACKIT_CREDENTIALS_PATH beside token "stackit"`},
		},
		"a Secret beside a provider of one identity": {
			keys: keys{"kubernetes-server": "https://b", "kubernetes-audience": "b"},
			spec: "containers: [{name: app, envFrom: [{secretRef: {name: s}}]}]\n",
		},
		"a Secret in a container without the token": {
			keys: keys{"aws-role-arn": awsRole, "containers.aws": "app"},
			spec: "containers: [{name: app}, {name: b, envFrom: [{secretRef: {name: s}}]}]\n",
		},
		"a variable that the pod sets": {
			keys:     keys{"aws-role-arn": awsRole},
			spec:     "containers: [{name: app, env: [{name: AWS_ROLE_SESSION_NAME, value: mine}]}]\n",
			warnings: []string{`container "app" sets AWS_ROLE_SESSION_NAME itself, so it keeps another value`},
		},
		"opted out": {keys: keys{"aws-role-arn": "wrong", "inject.aws": "false"}},
		"Windows":   {keys: keys{"gcp-provider": gcpPool}, spec: "os: {name: windows}\n" + oneApp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := test.spec
			if spec == "" {
				spec = oneApp
			}
			got := provided(t, test.keys.pod(t, spec))
			for what, lists := range map[string][2][]string{
				"errors":   {test.errors, got.Errors},
				"warnings": {test.warnings, got.Warnings},
			} {
				if len(lists[0]) != len(lists[1]) {
					t.Errorf("%s: %q, want %q", what, lists[1], lists[0])
					continue
				}
				for i := range lists[0] {
					if !strings.Contains(lists[1][i], lists[0][i]) {
						t.Errorf("%s: %q, want %q", what, lists[1][i], lists[0][i])
					}
				}
			}
			if len(got.Errors) == 0 {
				expect(t, "changes at reinvocation", nil, paths(provided(t, got.Pod)))
			}
		})
	}
}
