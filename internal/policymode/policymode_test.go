package policymode

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte("apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"+text),
		config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestUnsupported names each value that only the webhook does.
func TestUnsupported(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config string
		want   []string
	}{
		"nothing":    {"defaults: {expiration: 2h}", nil},
		"token user": {"setTokenUser: true", []string{"setTokenUser needs webhook mode"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Unsupported(parse(t, tt.config))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestFileRows: what is left of the rows, where some lack a value, is JSON.
func TestFileRows(t *testing.T) {
	t.Parallel()
	rows := fileRows(&provider.File{JSON: map[string]any{
		"a": "${a}", "b": map[string]any{"c": "${c}", "d": 1.5}, "e": []any{"${e}", "x", map[string]any{}}, "z": nil, "<&>": true,
	}})
	for name, tt := range map[string]struct {
		without []string
		want    string
	}{
		"all":           {nil, `{"<&>":true,"a":"${a}","b":{"c":"${c}","d":1.5},"e":["${e}","x",{}],"z":null}`},
		"without first": {[]string{"${a}", "${c}", "${e}"}, `{"<&>":true,"b":{"d":1.5},"e":["x",{}],"z":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
		next:
			for _, row := range rows {
				for _, gone := range tt.without {
					if strings.Contains(row, gone) {
						continue next
					}
				}
				text.WriteString(row)
			}
			// As injecting.yaml puts them together.
			joined := strings.NewReplacer("{"+separator, "{", "["+separator, "[", separator, ",").Replace(text.String())
			var got, want any
			if err := json.Unmarshal([]byte(joined), &got); err != nil {
				t.Fatalf("%v: %s", err, joined)
			}
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPolicies: each policy has its binding, of the same name, and what advises fails open.
func TestPolicies(t *testing.T) {
	t.Parallel()
	objects := Policies(parse(t, ""), Options{Name: "x", Version: "v1", Static: true})
	if len(objects) != 10 {
		t.Errorf("%d objects", len(objects))
	}
	for i := 0; i+1 < len(objects); i += 2 {
		policy, bound := objects[i], objects[i+1]
		name := policy["metadata"].(object)["name"].(string)
		spec := bound["spec"].(object)
		if !strings.HasSuffix(name, ".static.k8s.io") || spec["policyName"] != name || bound["kind"] != policy["kind"].(string)+"Binding" {
			t.Errorf("%s: %v", name, bound)
		}
		actions, _ := spec["validationActions"].([]string)
		denies := policy["kind"] == "MutatingAdmissionPolicy" || cmp.Equal(actions, []string{"Deny"})
		if fails := policy["spec"].(object)["failurePolicy"] == "Fail"; fails != denies {
			t.Errorf("%s: actions %v, and the failure policy is Fail: %v", name, actions, fails)
		}
	}
	if off := Policies(parse(t, "policy: {workloads: \"Off\"}"), Options{Name: "x"}); len(off) != 8 {
		t.Errorf("%d objects without checks of workloads", len(off))
	}
}

// TestVariableName: the pattern takes what Kubernetes takes.
func TestVariableName(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(variableName)
	for _, name := range []string{"A", "_", "-a", ".a", ".", "..", "..a", ".-", "a.b", "1A", "", "A B", "ü", "a..", "A=B", "..-", "._"} {
		if want := len(validation.IsEnvVarName(name)) == 0; pattern.MatchString(name) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
}

// TestTokenName: the same, for suffixes.
func TestTokenName(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(tokenName)
	for _, name := range []string{"a", "0", "a-b", "-a", "a-", "A", "", "a.b", strings.Repeat("n", 40), strings.Repeat("n", 41)} {
		if want := len(validation.IsDNS1123Label(name)) == 0 && len(name) <= 40; pattern.MatchString(name) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
}

// TestGoDuration: what matches is a duration, so that CEL does not fail with it.
func TestGoDuration(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(goDuration)
	for text, want := range map[string]bool{
		"2h": true, "1h30m": true, "1.5h": true, ".5h": true, "-1h": true, "1h1h": true, "7200000ms": true, "99999h": true,
		strings.Repeat("99999h", 10): true, strings.Repeat("9999999m", 10): true,
		"999999h": false, strings.Repeat("1h", 11): false, "1": false, "": false, "h": false, "1d": false, ".h": false, "1e3s": false,
	} {
		if pattern.MatchString(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
		if _, err := time.ParseDuration(text); want && err != nil {
			t.Errorf("%q matches, and is none: %v", text, err)
		}
	}
}

// TestRecord: the policies that make the record of the configuration are the same ones.
func TestRecord(t *testing.T) {
	t.Parallel()
	const binding = 1 // of the injecting policy
	for name, text := range map[string]string{
		"nothing": "",
		"all": `
defaults: {expiration: 20m}
maxExpiration: 90m
profiles: {vault: {audience: "https://vault <&>"}}
bindings: [{name: b, namespaces: [a], serviceAccounts: ["*"], podLabels: {a: ""}, annotations: {profile: vault}}]
providers:
  corp:
    {description: Corp, audience: "${a}", parameters: [{name: a, description: A, required: true}], file: {name: f, json: {b: [1, null]}}}
injectedContainers: []
login: {image: login}
podTemplates: [{apiGroup: argoproj.io, resource: rollouts, path: spec.template}]
policy: {unknownAnnotations: Deny, workloads: "Off", audiences: {denied: [a]}, namespaces: [{namespaces: [b], env: {allowed: [C]}}]}
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := Policies(parse(t, text), Options{Name: "p", Version: "v"})
			record := made[binding]["metadata"].(object)["annotations"].(object)[config.Annotation].(string)
			cfg, err := config.Parse([]byte(record), config.Environment{Prefix: annotations.DefaultPrefix})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(made, Policies(cfg, Options{Name: "p", Version: "v"})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, o := range Policies(parse(t, ""), Options{Name: "p", Static: true}) {
		if o["metadata"].(object)["annotations"] != nil {
			t.Errorf("%s has annotations, which nobody could read", o["kind"])
		}
	}
}
