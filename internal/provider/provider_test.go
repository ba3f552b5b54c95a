package provider_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// set has one more provider, which uses everything.
func set(t *testing.T, text string) *provider.Set {
	t.Helper()
	s, errs := parse(t, text)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return s
}

func parse(t *testing.T, text string) (*provider.Set, field.ErrorList) {
	t.Helper()
	var specs map[string]provider.Spec
	if err := yaml.UnmarshalStrict([]byte(text), &specs); err != nil {
		t.Fatal(err)
	}
	return provider.NewSet(specs, func(key string) bool { return key == "login-role" }, field.NewPath("providers"))
}

const everything = `
corp:
  description: Corporate cloud
  audience: https://${tenant}.example.com
  parameters:
  - {name: tenant, description: Tenant, required: true, pattern: '[a-z]+'}
  - {name: role, description: Role, pattern: '[a-z]+'}
  - {name: session, description: Session, default: '${pod.namespace}.${pod.name}', maxLength: 12}
  - {name: free, description: Anything}
  env:
  - {name: CORP_TENANT, value: '${tenant}'}
  - {name: CORP_ROLE, value: 'role-${role}'}
  - {name: CORP_SESSION, value: '${session}'}
  - {name: CORP_TOKEN, value: '${token.path}'}
  - {name: CORP_HOME, value: '${token.directory}'}
  - {name: CORP_FILE, value: '${file.path}'}
  - {name: CORP_AS, value: '${pod.serviceAccountName} for ${token.audience}'}
  - {name: CORP_MODE, value: federated}
  file:
    name: corp.json
    json: {role: '${role}', tenant: '${tenant}', free: ['${free}', x], file: '${token.path}', depth: {a: 1, b: true}}
`

func values(t *testing.T, s *provider.Set, given map[string]string) (provider.Values, []string) {
	t.Helper()
	v, missing := s.Get("corp").Values(given, provider.Pod{Namespace: "shop", Name: "web-7d9c5b-", ServiceAccountName: "front"})
	return v.With("/var/run/secrets/tokens-corp/oidc-token", "/var/run/secrets/tokens-corp", v.Audience()), missing
}

func TestRender(t *testing.T) {
	t.Parallel()
	s := set(t, everything)
	v, missing := values(t, s, map[string]string{"tenant": "acme", "role": "reader", "free": `a"b\c`})
	name, content, err := v.File()
	if err != nil || len(missing) > 0 || name != "corp.json" || v.Audience() != "https://acme.example.com" {
		t.Fatalf("%s %v %v %s", name, err, missing, v.Audience())
	}
	want := []provider.Variable{
		{"CORP_TENANT", "acme"},
		{"CORP_ROLE", "role-reader"},
		{"CORP_SESSION", "shop.web-7d9"},
		{"CORP_TOKEN", "/var/run/secrets/tokens-corp/oidc-token"},
		{"CORP_HOME", "/var/run/secrets/tokens-corp"},
		{"CORP_FILE", "/var/run/secrets/tokens-corp/corp.json"},
		{"CORP_AS", "front for https://acme.example.com"},
		{"CORP_MODE", "federated"},
	}
	if diff := cmp.Diff(want, v.Env()); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	const wantContent = `{"depth":{"a":1,"b":true},"file":"/var/run/secrets/tokens-corp/oidc-token","free":["a\"b\\c","x"],` +
		`"role":"reader","tenant":"acme"}`
	if content != wantContent {
		t.Errorf("file %s", content)
	}
}

func TestRenderWithoutValue(t *testing.T) {
	t.Parallel()
	s := set(t, everything)
	v, missing := values(t, s, map[string]string{"tenant": "acme"})
	_, content, err := v.File()
	if err != nil || len(missing) > 0 || strings.Contains(content, "role") || !strings.Contains(content, `"free":["x"]`) {
		t.Errorf("file %s, %v, missing %v", content, err, missing)
	}
	for _, e := range v.Env() {
		if e.Name == "CORP_ROLE" {
			t.Errorf("%s is %q", e.Name, e.Value)
		}
	}
	if _, missing := values(t, s, nil); !cmp.Equal(missing, []string{"corp-tenant"}) {
		t.Errorf("missing %v", missing)
	}
}

func TestRenderLinesWithoutValue(t *testing.T) {
	t.Parallel()
	s := set(t, "corp: {description: x, audience: a, parameters: [{name: p, description: x, pattern: '[a-z]+'}], file: {name: f, text: "+
		"\"a='${p}'\\nb='${token.path}'\\n\"}}")
	for given, want := range map[string]string{
		"":  "b='/var/run/secrets/tokens-corp/oidc-token'\n",
		"x": "a='x'\nb='/var/run/secrets/tokens-corp/oidc-token'\n",
	} {
		all := map[string]string{}
		if given != "" {
			all["p"] = given
		}
		v, _ := values(t, s, all)
		if _, content, err := v.File(); err != nil || content != want {
			t.Errorf("file %q, %v", content, err)
		}
	}
}

func TestRenderWindows(t *testing.T) {
	t.Parallel()
	v, _ := set(t, everything).Get("corp").Values(map[string]string{"tenant": "acme"}, provider.Pod{})
	v = v.With(`C:\var\run\secrets\tokens-corp\oidc-token`, `C:\var\run\secrets\tokens-corp`, "a")
	_, content, _ := v.File()
	var file map[string]any
	if err := json.Unmarshal([]byte(content), &file); err != nil || file["file"] != `C:\var\run\secrets\tokens-corp\oidc-token` {
		t.Errorf("%s: %v", content, err)
	}
	for _, e := range v.Env() {
		if e.Name == "CORP_FILE" && e.Value != `C:\var\run\secrets\tokens-corp\corp.json` {
			t.Error(e.Value)
		}
	}
}

func TestValueErrors(t *testing.T) {
	t.Parallel()
	s := set(t, everything)
	for _, tt := range []struct{ key, value, want string }{
		{"corp-tenant", "acme", ""},
		{"corp-tenant", "", "must not be empty"},
		{"corp-tenant", "Acme", "must match [a-z]+: Tenant"},
		{"corp-tenant", "acme\n", "must not hold control characters"},
		{"corp-tenant", "acme x", "must match [a-z]+: Tenant"},
		{"corp-free", strings.Repeat("x", 7000), "must not be longer than 6144 bytes"},
		{"corp-free", "ä $(x) ${y}", ""},
	} {
		k, found := s.Key(tt.key)
		if !found {
			t.Fatal(tt.key)
		}
		err := k.Check(tt.value)
		if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
			t.Errorf("%s %.20q: %v", tt.key, tt.value, err)
		}
	}
	long := map[string]string{"tenant": "acme", "free": strings.Repeat(`"`, 6100)}
	v, _ := values(t, s, long)
	if _, _, err := v.File(); err == nil || !strings.Contains(err.Error(), "at most 12288") {
		t.Errorf("a large file: %v", err)
	}
}

func TestProviderErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Corp: {description: x, audience: a}": `providers[Corp]: Invalid value: "Corp"`,
		"default: {description: x, audience: a}": `providers[default]: Invalid value: "default": this is what the ` +
			`token without a name is called`,
		"corp: {audience: a}": "providers[corp].description: Required",
		"corp: {description: x, audience: a, parameters: [{name: a}]}": "providers[corp].parameters[0].description: Required",
		"corp: {description: x, audience: '${a}', parameters: [{name: a, description: x}]}": "parameter a " +
			"must be required or have a default to be in it",
		"corp: {description: x, audience: '${pod.name}'}": "providers[corp].audience: Invalid",
		"corp: {description: x, audience: a, parameters: [{name: a, description: x, " +
			"address: path}]}": `providers[corp].parameters[0].address: Unsupported value: "path"`,
		"corp: {description: x, audience: a, env: [{name: A, value: x}, {name: A, " +
			"value: y}]}": "providers[corp].env[1].name: Duplicate",
		"corp: {description: x, audience: a, env: [{name: A, value: x}], conflicts: [{env: A, " +
			"reason: x}]}": "providers[corp].conflicts[0].env: Invalid",
		"corp: {description: x, audience: a, maxExpiration: 5m}":                    "providers[corp].maxExpiration: Invalid",
		"corp: {description: x, audience: a, minExpiration: 2h, maxExpiration: 1h}": "must not be longer than maxExpiration",
		"corp: {description: x}":                            "providers[corp].audience: Required",
		"corp: {description: x, audience: '${x}'}":          `providers[corp].audience: Invalid value: "${x": must name a parameter`,
		"corp: {description: x, audience: '${token.path}'}": "providers[corp].audience: Invalid",
		"corp: {description: x, audience: 'a${'}":           "providers[corp].audience: Invalid",
		"corp: {description: x, audience: a, parameters: [{name: 'A b', " +
			"description: x}]}": "providers[corp].parameters[0].name: Invalid",
		"corp: {description: x, audience: a, parameters: [{name: a, description: x}, {name: a, " +
			"description: x}]}": "providers[corp].parameters[1].name: Duplicate",
		"corp: {description: x, audience: a, parameters: [{name: a, description: x, " +
			"pattern: '('}]}": "providers[corp].parameters[0].pattern: Invalid",
		"corp: {description: x, audience: a, parameters: [{name: a, description: x, default: " +
			"'${a}'}]}": "providers[corp].parameters[0].default: Invalid",
		"corp: {description: x, audience: a, env: [{name: '1', " +
			"value: x}]}": "providers[corp].env[0].name: Invalid",
		"corp: {description: x, audience: a, file: {name: a}}": "providers[corp].file: Required",
		"corp: {description: x, audience: a, file: {name: a, text: x, " +
			"json: {}}}": "providers[corp].file: Required",
		"corp: {description: x, audience: a, file: {name: ../a, " +
			"text: x}}": "providers[corp].file.name: Invalid",
		"corp: {description: x, audience: a, file: {name: a, json: {a: " +
			"['${x}']}}}": "providers[corp].file.json.a[0]: Invalid",
		"corp: {description: x, audience: a, parameters: [{name: a, description: x}], file: {name: a, text: " +
			"'x ${a}'}}": "providers[corp].file.text: Invalid",
		"corp: {description: x, audience: a, conflicts: [{env: A}]}": "providers[corp].conflicts[0]: Required",
		"corp: {description: x, audience: a, minExpiration: 1d}":     "providers[corp].minExpiration: Invalid",
		"login: {description: x, audience: a, parameters: [{name: role, " +
			"description: x}]}": "providers[login].parameters[0].name: Invalid value: \"role\": login-role is an annotation already",
		"terraform: {description: x, audience: a, parameters: [{name: azurerm-client-id, description: x}]}": "is a parameter of provider " +
			"terraform already",
	} {
		_, errs := parse(t, text)
		if err := errs.ToAggregate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// What would come out of a file otherwise than it was written is an error.
func TestProviderFileErrors(t *testing.T) {
	t.Parallel()
	deep := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	const number = "is too large for an exact number: put it in quotes, or write a smaller one"
	for value, want := range map[string]string{
		"9007199254740991":                      "",
		"-9007199254740991":                     "",
		"1.5e10":                                "",
		"'12345678901234567890'":                "",
		"'1e4000000 roles'":                     "",
		"9007199254740993":                      "json.a: Invalid value: 9.007199254740992e+15: " + number,
		"-12345678901234567890":                 number,
		"12345678901234567890123":               number,
		"1e300":                                 number,
		"1e400":                                 `json.a: Invalid value: "1e400": must be a number of 64 bits`,
		"[-1e400]":                              `json.a[0]: Invalid value: "-1e400": must be a number of 64 bits`,
		"{'${token.path}': 1}":                  `json.a: Invalid value: "${token.path}": the names of members are no templates`,
		deep(19):                                "",
		deep(22):                                "must not be deeper than 20",
		"'" + strings.Repeat("x", 12<<10) + "'": "providers[corp].file: Too long",
	} {
		_, errs := parse(t, "corp: {description: x, audience: a, file: {name: a, json: {a: "+value+"}}}")
		got := ""
		if err := errs.ToAggregate(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%.30s: %q, want %q", value, got, want)
		}
	}
	long := strings.Repeat("x", 12<<10+1)
	for text, want := range map[string]string{
		"env: [{name: A, value: " + long + "}]": "providers[corp].env[0].value: Too long",
		"file: {name: a, text: " + long + "}":   "providers[corp].file: Too long",
		// What needs a parameter that is optional is not there for every pod.
		"parameters: [{name: p, description: x, pattern: x}], file: {name: a, text: '${p} " + long + "'}": "",
		"parameters: [{name: p, description: x, pattern: x, required: true}], file: {name: a, text: '${p} " + long +
			"'}": "providers[corp].file: Too long",
	} {
		_, errs := parse(t, "corp: {description: x, audience: a, "+text+"}")
		if err := errs.ToAggregate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}

func TestConfiguredReplacesBuiltIn(t *testing.T) {
	t.Parallel()
	s := set(t, "aws: {description: x, audience: corp}")
	if got := s.Get("aws").Audience; got != "corp" {
		t.Error(got)
	}
	if _, found := s.Key("aws-role-arn"); found {
		t.Error("the parameters of the other one are there")
	}
	if s.Get("gcp") == nil || len(s.Names()) != len(provider.BuiltIn().Names()) {
		t.Errorf("providers %v", s.Names())
	}
}

// TestBuiltInProviders looks for what a provider that others read needs.
func TestBuiltInProviders(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("builtin/*.yaml")
	if err != nil || len(files) != len(provider.BuiltIn().Names()) {
		t.Fatalf("%d files for %d providers, %v", len(files), len(provider.BuiltIn().Names()), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		p := provider.BuiltIn().Get(name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if p == nil || p.Description == "" || len(p.Sources) == 0 || len(p.Env) == 0 {
			t.Errorf("%s lacks something:\n%s", file, text)
			continue
		}
		for _, q := range p.Parameters {
			if q.Description == "" || q.Pattern == "" {
				t.Errorf("%s: parameter %s has no description or no pattern", name, q.Name)
			}
			if strings.HasPrefix(q.Pattern, "^") {
				t.Errorf("%s: the pattern of %s is for the whole value anyway", name, q.Name)
			}
		}
	}
}

// TestCandidates: a mistyped key is compared with few others.
func TestCandidates(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "corp-%d: {description: x, audience: a, parameters: [{name: a, description: x}, {name: b, description: x}, "+
			"{name: c, description: x}]}\n", i)
	}
	s := set(t, text.String())
	if diff := cmp.Diff([]string{"corp-7-a", "corp-7-b", "corp-7-c"}, s.Candidates("corp-7-x")); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	if got := s.Candidates("corp"); len(got) > 0 {
		t.Errorf("candidates %v", got)
	}
	if got := provider.BuiltIn().Candidates("asw-role-arn"); len(got) != len(provider.BuiltIn().Keys()) {
		t.Errorf("%d candidates", len(got))
	}
}
