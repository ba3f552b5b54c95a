package annotations_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// TestExamplesOfProviders: each provider has one, which asks for its token and nothing
// else, without a warning.
func TestExamplesOfProviders(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.Providers = provider.BuiltIn()
	for _, name := range provider.BuiltIn().Names() {
		content, err := os.ReadFile(filepath.Join("../../examples/providers", name+".yaml"))
		if err != nil {
			t.Error(err)
			continue
		}
		_, pod, _ := bytes.Cut(content, []byte("\n---\n"))
		var object struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		}
		if err := yaml.Unmarshal(pod, &object); err != nil {
			t.Fatal(err)
		}
		spec, warnings, errs := p.Parse(annotations.Input{
			Annotations: annotations.FromMap(object.Metadata.Annotations),
			Pod:         provider.Pod{Namespace: "shop", Name: "app", ServiceAccountName: "app"},
		})
		expect(t, name+": errors", nil, texts(errs))
		expect(t, name+": warnings", nil, warnings)
		if len(spec.Tokens) != 1 || spec.Tokens[0].Name != name || len(spec.Tokens[0].Variables) == 0 {
			t.Errorf("%s: tokens %+v", name, spec.Tokens)
		}
	}
	files, err := filepath.Glob("../../examples/providers/*.yaml")
	if err != nil || len(files) != len(provider.BuiltIn().Names()) {
		t.Errorf("%d examples, %v", len(files), err)
	}
}

// The API server refuses names of annotations that are longer, but not before the manifest
// is applied.
func TestNamesThatAreTooLong(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.Providers = provider.BuiltIn()
	const id = "00000000-0000-0000-0000-000000000000"
	suffix := func(length int) string { return "." + strings.Repeat("s", length) }
	azurerm := func(length int, more keys) keys {
		all := keys{"terraform-azurerm-client-id" + suffix(length): id, "terraform-azurerm-tenant-id" + suffix(length): id}
		maps.Copy(all, more)
		return all
	}
	const tooLong = "what follows the prefix may have at most 63 characters"
	for name, test := range map[string]struct {
		keys keys
		errs []string
	}{
		"as long as can be": {azurerm(35, nil), nil},
		"a parameter": {
			azurerm(35, keys{"terraform-azurerm-subscription-id" + suffix(35): id}),
			[]string{`metadata.annotations[oidc-injector.io/terraform-azurerm-subscription-id` + suffix(35) + `]: Invalid value: "` +
				suffix(35)[1:] + `": ` + tooLong + ": behind terraform-azurerm-subscription-id a suffix has at most 29"},
		},
		"a parameter that is missing": {
			keys{"provider" + suffix(36): "terraform-azurerm"},
			[]string{
				"metadata.annotations[oidc-injector.io/terraform-azurerm-client-id" + suffix(36) + "]: Required value: provider " +
					"terraform-azurerm needs it: Client ID; this name is too long with that suffix: " + tooLong,
				"metadata.annotations[oidc-injector.io/terraform-azurerm-tenant-id" + suffix(36) + "]: Required value: provider " +
					"terraform-azurerm needs it: Tenant ID; this name is too long with that suffix: " + tooLong,
			},
		},
		"an option of a login": {
			keys{
				"audience" + suffix(40): "a", "login" + suffix(40): "vault", "login-address" + suffix(40): "https://v.example",
				"login-requested-token-type" + suffix(40): "x",
			},
			[]string{
				`metadata.annotations[oidc-injector.io/login-requested-token-type` + suffix(40) + `]: Invalid value: "` + suffix(40)[1:] +
					`": ` + tooLong + ": behind login-requested-token-type a suffix has at most 36",
				`metadata.annotations[oidc-injector.io/login-requested-token-type` + suffix(40) + `]: Invalid value: "x": ` +
					"this key is for OAuth: a login of method vault has no use for it",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, errs := p.Parse(test.keys.on(""))
			expect(t, "errors", test.errs, texts(errs))
		})
	}
	// What a binding lacks is no annotation's name.
	_, errs := p.Bind("b", annotations.Preset{"provider" + suffix(36): "terraform-azurerm"}, field.NewPath("b"))
	if len(errs) != 2 || strings.Contains(errs[0].Error()+errs[1].Error(), tooLong) {
		t.Errorf("errors of a binding: %q", texts(errs))
	}
}

// TestProvidersContradicted: settings that a provider's token excludes, and that are fine
// where no container has both.
func TestProvidersContradicted(t *testing.T) {
	t.Parallel()
	const role = "arn:aws:iam::123456789012:role/app"
	p := newParser()
	p.Providers = provider.BuiltIn()
	login := keys{"audience": "vault", "login": "vault", "login-address": "https://vault.example.com", "login-role": "a"}
	for name, test := range map[string]struct {
		keys keys
		more keys
		err  string // a part of the only one
	}{
		"its own name as a suffix": {keys{"aws-role-arn.aws": role}, nil, "has the provider's name without a suffix: leave it out"},
		"its own variable":         {keys{"aws-role-arn": role, "env.aws": "AWS_ROLE_ARN"}, nil, "provider aws sets this variable itself"},
		"another variable":         {keys{"aws-role-arn": role, "env.aws": "TOKEN"}, nil, ""},
		"a wrong value":            {keys{"aws-role-arn": "app"}, nil, `Invalid value: "app": must match arn:aws`},
		"the variable of another token": {
			keys{"aws-role-arn": role, "audience": "x", "env": "AWS_ROLE_ARN"}, nil, "sets variable AWS_ROLE_ARN to another value",
		},
		"the variable of another token in another container": {
			keys{"aws-role-arn": role, "audience": "x", "env": "AWS_ROLE_ARN"}, keys{"containers": "a", "containers.aws": "b"}, "",
		},
		"the variable of a login": {login, keys{"aws-role-arn": role, "login-env": "AWS_ROLE_ARN"}, "sets the same variable"},
		"the variable of a login in another container": {
			login, keys{"aws-role-arn": role, "login-env": "AWS_ROLE_ARN", "containers": "a", "containers.aws": "b"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := maps.Clone(test.keys)
			maps.Copy(all, test.more)
			_, _, errs := p.Parse(all.on(""))
			switch {
			case test.err == "":
				expect(t, "errors", nil, texts(errs))
			case len(errs) != 1 || !strings.Contains(errs[0].Error(), test.err):
				t.Errorf("errors %q, want one with %q", texts(errs), test.err)
			}
		})
	}
}
