package login

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// tfResource is one of the provider hashicorp/vault, with the arguments that its documentation
// names (hashicorp/terraform-provider-vault, website/docs/r) and that are Vault's own fields.
type tfResource struct {
	required, optional map[string]cty.Type
	// apply sends the arguments to where the provider sends them.
	apply func(t *testing.T, arguments map[string]any)
}

var list, texts = cty.List(cty.String), cty.Map(cty.String)

var resources = map[string]tfResource{
	"vault_jwt_auth_backend": {
		required: map[string]cty.Type{"path": cty.String},
		optional: map[string]cty.Type{
			"namespace": cty.String, "type": cty.String, "oidc_discovery_url": cty.String, "oidc_discovery_ca_pem": cty.String,
			"bound_issuer": cty.String,
		},
		apply: func(t *testing.T, a map[string]any) {
			t.Helper()
			path := take(a, "path")
			send(t, "sys/auth/"+path, map[string]any{"type": take(a, "type")})
			send(t, "auth/"+path+"/config", a)
		},
	},
	"vault_policy": {
		required: map[string]cty.Type{"name": cty.String, "policy": cty.String},
		optional: map[string]cty.Type{"namespace": cty.String},
		apply: func(t *testing.T, a map[string]any) {
			t.Helper()
			send(t, "sys/policies/acl/"+take(a, "name"), a)
		},
	},
	"vault_jwt_auth_backend_role": {
		required: map[string]cty.Type{"role_name": cty.String, "user_claim": cty.String},
		optional: map[string]cty.Type{
			"namespace": cty.String, "backend": cty.String, "role_type": cty.String, "bound_audiences": list, "bound_subject": cty.String,
			"bound_claims": texts, "user_claim_json_pointer": cty.Bool, "token_policies": list, "token_ttl": cty.Number,
			"token_max_ttl": cty.Number,
		},
		apply: func(t *testing.T, a map[string]any) {
			t.Helper()
			send(t, "auth/"+take(a, "backend")+"/role/"+take(a, "role_name"), a)
		},
	},
}

func take(arguments map[string]any, name string) string {
	value, _ := arguments[name].(string)
	delete(arguments, name)
	return value
}

func send(t *testing.T, path string, data map[string]any) {
	t.Helper()
	if _, err := server.Client().Logical().WriteWithContext(t.Context(), path, data); err != nil {
		t.Fatal(err)
	}
}

// applyTerraform does with what is generated what Terraform and its provider do, which are too
// large to compile for this: it reads the language with its own parser, checks resources and
// arguments by their schema, follows references, and sends the rest to Vault.
func applyTerraform(t *testing.T, args []string) {
	t.Helper()
	text := said(t, "", args...)
	isFormatted(t, text)
	for _, r := range readTerraform(t, text) {
		r.apply(t, r.arguments)
	}
}

type read struct {
	tfResource
	kind      string
	arguments map[string]any
}

// readTerraform returns the resources in their order.
func readTerraform(t *testing.T, text string) []read {
	t.Helper()
	file, problems := hclsyntax.ParseConfig([]byte(text), "generated.tf", hcl.InitialPos)
	failOn(t, problems)
	content, problems := file.Body.Content(&hcl.BodySchema{
		Blocks: []hcl.BlockHeaderSchema{{Type: "resource", LabelNames: []string{"type", "name"}}},
	})
	failOn(t, problems)
	known := map[string]map[string]cty.Value{}
	var all []read
	for _, block := range content.Blocks {
		kind, name := block.Labels[0], block.Labels[1]
		schema, found := resources[kind]
		if !found || !hclsyntax.ValidIdentifier(name) {
			t.Fatalf("resource %q %q", kind, name)
		}
		spec := hcldec.ObjectSpec{}
		for argument, of := range schema.required {
			spec[argument] = &hcldec.AttrSpec{Name: argument, Type: of, Required: true}
		}
		for argument, of := range schema.optional {
			spec[argument] = &hcldec.AttrSpec{Name: argument, Type: of}
		}
		variables := map[string]cty.Value{}
		for kind, named := range known {
			variables[kind] = cty.ObjectVal(named)
		}
		value, problems := hcldec.Decode(block.Body, spec, &hcl.EvalContext{Variables: variables})
		failOn(t, problems)
		if known[kind] == nil {
			known[kind] = map[string]cty.Value{}
		}
		known[kind][name] = value
		raw, err := ctyjson.Marshal(value, value.Type())
		if err != nil {
			t.Fatal(err)
		}
		var arguments map[string]any
		if err := json.Unmarshal(raw, &arguments); err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(arguments, func(_ string, v any) bool { return v == nil })
		all = append(all, read{schema, kind, arguments})
	}
	return all
}

func failOn(t *testing.T, problems hcl.Diagnostics) {
	t.Helper()
	if problems.HasErrors() {
		t.Fatal(problems)
	}
}

// isFormatted holds that `terraform fmt` has nothing to change.
func isFormatted(t *testing.T, text string) {
	t.Helper()
	if diff := cmp.Diff(string(hclwrite.Format([]byte(text))), text); diff != "" {
		t.Errorf("not formatted (-want +got):\n%s", diff)
	}
}

// TestGenerateTerraform reads what is generated for pods whose values are those of a language.
func TestGenerateTerraform(t *testing.T) {
	t.Parallel()
	const pod = `
apiVersion: v1
kind: Pod
metadata:
  name: app
  namespace: "1team"
  annotations:
    oidc-injector.io/audience: 'a"${path.module}%{ if true }\\'
    oidc-injector.io/login: vault
    oidc-injector.io/login-address: https://vault.example.com
    oidc-injector.io/login-role: app
    oidc-injector.io/login-namespace: NAMESPACE
spec:
  serviceAccountName: app.x
  containers: [{name: app, image: app}]
`
	for _, namespace := range []string{"a/b", ""} {
		for _, ca := range []string{writeTemp(t, "ca.crt", server.CA()), ""} {
			input := strings.ReplaceAll(pod, "    oidc-injector.io/login-namespace: NAMESPACE\n", "")
			if namespace != "" {
				input = strings.ReplaceAll(pod, "NAMESPACE", namespace)
			}
			args := []string{"generate", "terraform", "--filename=-", "--issuer=https://issuer.example.com"}
			if ca != "" {
				args = append(args, "--issuer-ca="+ca)
			}
			text := said(t, input, args...)
			isFormatted(t, text)
			all := readTerraform(t, text)
			if len(all) != len(resources) {
				t.Fatalf("%d resources", len(all))
			}
			for _, r := range all {
				if got, _ := r.arguments["namespace"].(string); got != namespace {
					t.Errorf("%s is in namespace %q, want %q", r.kind, got, namespace)
				}
			}
			role := all[slices.IndexFunc(all, func(r read) bool { return r.kind == "vault_jwt_auth_backend_role" })].arguments
			if diff := cmp.Diff([]any{`a"${path.module}%{ if true }\\`}, role["bound_audiences"]); diff != "" {
				t.Errorf("audiences (-want +got):\n%s", diff)
			}
			if got := role["bound_subject"]; got != "system:serviceaccount:1team:app.x" {
				t.Errorf("the subject is %v", got)
			}
			if got, _ := all[0].arguments["oidc_discovery_ca_pem"].(string); (got != "") != (ca != "") {
				t.Errorf("the CA is %q", got)
			}
		}
	}
}
