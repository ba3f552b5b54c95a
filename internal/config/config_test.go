package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// The lists of keys as errors show them.
var (
	presetKeys  = `"` + strings.Join(annotations.PresetKeys(), `", "`) + `"`
	defaultKeys = `"` + strings.Join(annotations.DefaultKeys(), `", "`) + `"`
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	cfg := config.Default(config.Environment{Prefix: "tokens.example.com"})
	want := annotations.Parser{Prefix: "tokens.example.com", Providers: provider.BuiltIn(), MaxExpiration: 24 * time.Hour}
	if diff := cmp.Diff(want, cfg.Parser, cmp.Comparer(func(a, b *provider.Set) bool { return a == b })); diff != "" {
		t.Errorf("parser (-want +got):\n%s", diff)
	}
	rules := cfg.Policy.For("default")
	if err := errors.Join(rules.Audience("vault"), rules.Env("TOKEN_FILE"), rules.MountPath("/var/run/secrets/x", false)); err != nil {
		t.Errorf("what is ordinary is denied: %s", err)
	}
	if rules.Audience("https://kubernetes.default.svc") == nil || rules.Env("PATH") == nil || rules.MountPath("/etc/x", false) == nil {
		t.Error("what is not is allowed")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	cfg := mustParse(t, header+`
defaults:
  expiration: 2h
  mount-path: /var/run/tokens
  token-file: jwt
  file-mode: "0440"
  skip-containers: istio-proxy,linkerd-proxy
maxExpiration: 12h
profiles:
  vault:
    audience: vault
    env: VAULT_JWT_FILE
  clouds:
    audience.aws: sts.amazonaws.com
    env.aws: AWS_WEB_IDENTITY_TOKEN_FILE
    audience.azure: api://AzureADTokenExchange
`)
	want := annotations.Parser{
		Providers: provider.BuiltIn(),
		Prefix:    annotations.DefaultPrefix,
		Defaults: annotations.Preset{
			"expiration": "2h", "mount-path": "/var/run/tokens", "token-file": "jwt", "file-mode": "0440",
			"skip-containers": "istio-proxy,linkerd-proxy",
		},
		Profiles: map[string]annotations.Preset{
			"vault": {"audience": "vault", "env": "VAULT_JWT_FILE"},
			"clouds": {
				"audience.aws": "sts.amazonaws.com", "env.aws": "AWS_WEB_IDENTITY_TOKEN_FILE",
				"audience.azure": "api://AzureADTokenExchange",
			},
		},
		MaxExpiration: 12 * time.Hour,
	}
	if diff := cmp.Diff(want, cfg.Parser, cmp.Comparer(func(a, b *provider.Set) bool { return a == b })); diff != "" {
		t.Errorf("parser (-want +got):\n%s", diff)
	}
}

func TestProfileOfFile(t *testing.T) {
	t.Parallel()
	cfg := mustParse(t, header+`
defaults: {expiration: "7200", skip-containers: istio-proxy}
profiles: {vault: {audience: vault, env: VAULT_JWT_FILE}}
`)
	spec, warnings, errs := cfg.Parser.Parse(annotations.Input{Annotations: annotations.FromMap(
		map[string]string{"oidc-injector.io/profile": "vault"})})
	if len(warnings)+len(errs) > 0 || len(spec.Tokens) != 1 {
		t.Fatalf("tokens %v, warnings %q, errors %v", spec.Tokens, warnings, errs)
	}
	want := annotations.Token{
		Audience: "vault", ExpirationSeconds: 7200, File: "oidc-token", MountPath: "/var/run/secrets/tokens",
		Env: "VAULT_JWT_FILE", Scope: annotations.Scope{Skip: []string{"istio-proxy"}},
	}
	got := spec.Tokens[0]
	got.Source, got.Directory = nil, ""
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(got)); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}
}

func TestParseAcceptedForms(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing but its type":           header,
		"empty sections":                 header + "defaults:\nprofiles: {}\npolicy: null\nmaxExpiration: ''\n",
		"JSON":                           `{"apiVersion":"config.oidc-injector.io/v1alpha1","kind":"InjectorConfig","maxExpiration":"24h"}`,
		"Windows line ends":              strings.ReplaceAll(header+"maxExpiration: 24h\n", "\n", "\r\n"),
		"a license before the document":  "# Copyright\n---\n" + header,
		"markers around the document":    "---\n" + header + "...\n---\n# nothing more\n",
		"anchors and aliases":            header + "profiles:\n  a: &a {audience: vault}\n  b: *a\n",
		"the shortest expiration":        header + "maxExpiration: 10m\n",
		"the longest expiration":         header + "maxExpiration: 4294967296s\n",
		"an expiration of several units": header + "maxExpiration: 1h30m\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustParse(t, text)
		})
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	const (
		undecodable = "could not decode the configuration: "
		variable    = "must be letters, digits, '_', '-' and '.', with '*' and '?' as wildcards: it could match no variable"
		directory   = `must be '*', or a clean absolute path such as /srv/tokens or D:\tokens, with '*' and '?' as wildcards: it could ` +
			`match no directory`
	)
	for _, tt := range []struct{ name, text, want string }{
		{
			"not YAML", "{", undecodable + "yaml: line 1: did not find expected node content",
		},
		{
			"binary", "\x00", undecodable + "yaml: control characters are not allowed",
		},
		{
			"not a mapping", "- a\n", undecodable + "must be a mapping",
		},
		{
			"empty", "",
			`invalid configuration: [apiVersion: Unsupported value: "": supported values: "config.oidc-injector.io/v1alpha1", ` +
				`kind: Unsupported value: "": supported values: "InjectorConfig"]`,
		},
		{
			"another version", "apiVersion: config.oidc-injector.io/v1\nkind: InjectorConfig\n",
			`invalid configuration: apiVersion: Unsupported value: "config.oidc-injector.io/v1": supported values: ` +
				`"config.oidc-injector.io/v1alpha1"`,
		},
		{
			"another kind", "apiVersion: config.oidc-injector.io/v1alpha1\nkind: ConfigMap\n",
			`invalid configuration: kind: Unsupported value: "ConfigMap": supported values: "InjectorConfig"`,
		},
		{
			"unknown field", header + "profile: {}\n", "invalid configuration: profile: unknown field",
		},
		{
			"unknown field further down", header + "policy: {namespaces: [{namespaces: [a], audience: {}}]}\n",
			"invalid configuration: [policy.namespaces[0].audience: unknown field, policy.namespaces[0].audiences: Required value: " +
				"a rule that allows and denies no audiences, loginAddresses, loginSecrets, env or mountPaths does nothing]",
		},
		{
			"field in another case", header + "maxexpiration: 1h\n", "invalid configuration: maxexpiration: unknown field",
		},
		{
			"duplicate key", header + "maxExpiration: 1h\nmaxExpiration: 2h\n",
			undecodable + "yaml: unmarshal errors:\n  line 4: key \"maxExpiration\" already set in map",
		},
		{
			"duplicate profile", header + "profiles:\n  a: {audience: x}\n  a: {audience: y}\n",
			undecodable + "yaml: unmarshal errors:\n  line 5: key \"a\" already set in map",
		},
		{
			"second document", header + "---\npolicy: {audiences: {denied: ['*']}}\n",
			undecodable + "more than one YAML document: a configuration is one",
		},
		{
			"second document behind an end marker", header + "...\npolicy: {audiences: {denied: ['*']}}\n",
			undecodable + "more than one YAML document: a configuration is one",
		},
		{
			"a mode that YAML takes for an octal number", header + "defaults: {file-mode: 0400}\n",
			"invalid configuration: defaults.file-mode: must be a string: put it in quotes if it is one",
		},
		{
			"an audience that YAML takes for true", header + "policy: {audiences: {denied: [yes]}}\n",
			"invalid configuration: policy.audiences.denied[0]: must be a string: put it in quotes if it is one",
		},
		{
			"a text for a list", header + "policy: {audiences: {denied: vault}}\n",
			"invalid configuration: policy.audiences.denied: must be a list",
		},
		{
			"a list for a mapping", header + "defaults: [expiration]\n", "invalid configuration: defaults: must be a mapping",
		},
		{
			"a profile that is a text", header + "profiles: {vault: vault}\n", "invalid configuration: profiles.vault: must be a mapping",
		},
		{
			"maxExpiration that is no duration", header + "maxExpiration: forever\n",
			`invalid configuration: maxExpiration: Invalid value: "forever": must be a Go duration of whole seconds from 10m0s to ` +
				`1193046h28m16s, such as 24h`,
		},
		{
			"maxExpiration below what the API server grants", header + "maxExpiration: 9m59s\n",
			`invalid configuration: maxExpiration: Invalid value: "9m59s": must be a Go duration of whole seconds from 10m0s to ` +
				`1193046h28m16s, such as 24h`,
		},
		{
			"maxExpiration above what the API takes", header + "maxExpiration: 4294967297s\n",
			`invalid configuration: maxExpiration: Invalid value: "4294967297s": must be a Go duration of whole seconds from 10m0s to ` +
				`1193046h28m16s, such as 24h`,
		},
		{
			"maxExpiration with a fraction", header + "maxExpiration: 3600.5s\n",
			`invalid configuration: maxExpiration: Invalid value: "3600.5s": must be a Go duration of whole seconds from 10m0s to ` +
				`1193046h28m16s, such as 24h`,
		},
		{
			"a default that is not for every token", header + "defaults: {audience: vault}\n",
			`invalid configuration: defaults[audience]: Unsupported value: "audience": supported values: ` + defaultKeys,
		},
		{
			"a default over the maximum", header + "defaults: {expiration: 2h}\nmaxExpiration: 1h\n",
			`invalid configuration: defaults[expiration]: Invalid value: "2h": must be whole seconds (7200) or a Go duration (2h), from ` +
				`600 to 3600 seconds`,
		},
		{
			"a profile of nothing", header + "profiles: {vault: {}}\n",
			`invalid configuration: profiles[vault]: Required value: a profile without keys does nothing`,
		},
		{
			"a profile's name", header + "profiles: {My Profile: {audience: vault}}\n",
			`invalid configuration: profiles[My Profile]: Invalid value: "My Profile": a lowercase RFC 1123 subdomain must consist of ` +
				`lower case alphanumeric characters, '-' or '.', ` +
				`and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is ` +
				`'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
		},
		{
			"a rule without namespaces", header + "policy: {namespaces: [{namespaces: [], audiences: {allowed: [vault]}}]}\n",
			`invalid configuration: policy.namespaces[0].namespaces: Required value: name at least one namespace or pattern`,
		},
		{
			"a rule of nothing", header + "policy: {namespaces: [{namespaces: [prod]}]}\n",
			`invalid configuration: policy.namespaces[0].audiences: Required value: a rule that allows and denies no audiences, ` +
				`loginAddresses, loginSecrets, env or mountPaths does nothing`,
		},
		{
			"a variable that is none", header + "policy: {env: {allowed: [A=B]}, namespaces: [{namespaces: [a], env: {denied: ['']}}]}\n",
			`invalid configuration: [policy.env.allowed[0]: Invalid value: "A=B": ` + variable +
				`, policy.namespaces[0].env.denied[0]: Invalid value: "": ` + variable + `]`,
		},
		{
			"directories that are none", header + "policy: {mountPaths: {allowed: [tokens, /a/../b, '/a//b', ''], denied: ['1:\\a', " +
				"'/a:b', ' /a', '/$a']}}\n",
			`invalid configuration: [policy.mountPaths.allowed[0]: Invalid value: "tokens": ` + directory +
				`, policy.mountPaths.allowed[1]: Invalid value: "/a/../b": ` + directory +
				`, policy.mountPaths.allowed[2]: Invalid value: "/a//b": ` + directory +
				`, policy.mountPaths.allowed[3]: Invalid value: "": ` + directory +
				`, policy.mountPaths.denied[0]: Invalid value: "1:\\a": ` + directory +
				`, policy.mountPaths.denied[1]: Invalid value: "/a:b": ` + directory +
				`, policy.mountPaths.denied[2]: Invalid value: " /a": ` + directory +
				`, policy.mountPaths.denied[3]: Invalid value: "/$a": ` + directory + `]`,
		},
		{
			"another answer to unknown annotations", header + "policy: {unknownAnnotations: deny}\n",
			`invalid configuration: policy.unknownAnnotations: Unsupported value: "deny": supported values: "Warn", "Deny"`,
		},
		{
			"an empty API server audience", header + "policy: {apiServerAudiences: ['']}\n",
			`invalid configuration: policy.apiServerAudiences[0]: Invalid value: "": must not be empty, hold control characters, or ` +
				`begin or end with white space`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Parse([]byte(tt.text), environment())
			if err == nil {
				t.Fatal("accepted")
			}
			if cfg != nil {
				t.Error("there is a configuration beside the error")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// What cannot be decoded does not hide what is wrong beside it.
func TestDecodingErrorsBesideOthers(t *testing.T) {
	t.Parallel()
	_, err := config.Parse([]byte(header+`
maxExpiration: 2d
profile: {a: {}}
defaults: {file-mode: 0400, expiration: 12345678901234567890}
profiles:
  Vault_1: {audience: vault}
  empty: {audience: 5}
  text: vault
login: {image: x, resources: {limits: {memory: 1}, claims: []}, command: [sh]}
policy:
  audiences: {allowed: [1, " vault", true], denied: vault}
  namespaces: [prod]
  workload: Deny
`), environment())
	invalid, ok := errors.AsType[*config.InvalidError](err)
	if !ok {
		t.Fatalf("error %v", err)
	}
	const text = "must be a string: put it in quotes if it is one"
	want := []string{
		"defaults.expiration: " + text, "defaults.file-mode: " + text, "login.command: unknown field",
		"login.resources.claims: unknown field",
		"login.resources.limits.memory: " + text, "policy.audiences.allowed[0]: " + text, "policy.audiences.allowed[2]: " + text,
		"policy.audiences.denied: must be a list", "policy.namespaces[0]: must be a mapping", "policy.workload: unknown field",
		"profile: unknown field", "profiles.empty.audience: " + text, "profiles.text: must be a mapping",
		`maxExpiration: Invalid value: "2d"`, `profiles[Vault_1]: Invalid value: "Vault_1"`,
		`policy.audiences.allowed[1]: Invalid value: " vault"`,
	}
	got := make([]string, 0, len(invalid.Problems))
	for _, problem := range invalid.Problems {
		got = append(got, problem[:min(len(problem), len(want[min(len(got), len(want)-1)]))])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s\nof %q", diff, invalid.Problems)
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Parse([]byte(`
apiVersion: v1
kind: Config
maxExpiration: 1s
defaults: {expiration: soon, env: TOKEN}
profiles:
  b: {expiration: 5m}
  a: {audiense: vault}
policy:
  audiences: {allowed: [" vault"], denied: ["\tvault"]}
  namespaces:
  - namespaces: ["prod "]
    audiences: {allowed: [""]}
  - {}
  apiServerAudiences: ["a\nb"]
`), environment())
	if err == nil {
		t.Fatal("accepted")
	}
	const pattern = "must not be empty, hold control characters, or begin or end with white space"
	want := []string{
		`invalid configuration: [apiVersion: Unsupported value: "v1": supported values: "config.oidc-injector.io/v1alpha1"`,
		`kind: Unsupported value: "Config": supported values: "InjectorConfig"`,
		`maxExpiration: Invalid value: "1s": must be a Go duration of whole seconds from 10m0s to 1193046h28m16s, such as 24h`,
		`defaults[env]: Unsupported value: "env": supported values: ` + defaultKeys,
		`defaults[expiration]: Invalid value: "soon": must be whole seconds (7200) or a Go duration (2h), from 600 to 86400 seconds`,
		`profiles[a][audiense]: Unsupported value: "audiense": supported values: ` + presetKeys,
		`profiles[b][expiration]: Invalid value: "5m": must be whole seconds (7200) or a Go duration (2h), from 600 to 86400 seconds`,
		`policy.audiences.allowed[0]: Invalid value: " vault": ` + pattern,
		`policy.audiences.denied[0]: Invalid value: "\tvault": ` + pattern,
		`policy.namespaces[0].namespaces[0]: Invalid value: "prod ": must be lower-case letters, digits and '-', with '*' and '?' as ` +
			`wildcards: it could match no namespace`,
		`policy.namespaces[0].audiences.allowed[0]: Invalid value: "": ` + pattern,
		`policy.namespaces[1].namespaces: Required value: name at least one namespace or pattern`,
		`policy.namespaces[1].audiences: Required value: a rule that allows and denies no audiences, loginAddresses, loginSecrets, env ` +
			`or mountPaths does nothing`,
		`policy.apiServerAudiences[0]: Invalid value: "a\nb": ` + pattern + `]`,
	}
	if diff := cmp.Diff(strings.Join(want, ", "), err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}
