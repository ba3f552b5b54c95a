package annotations_test

import (
	"maps"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// The lists of keys as errors show them.
var (
	presetKeys  = `"` + strings.Join(annotations.PresetKeys(), `", "`) + `"`
	defaultKeys = `"` + strings.Join(annotations.DefaultKeys(), `", "`) + `"`
)

// profiles are those of the tests below.
func profiles() map[string]annotations.Preset {
	return map[string]annotations.Preset{
		"vault":  {"audience": "vault", "expiration": "2h", "env": "VAULT_TOKEN_FILE"},
		"mesh":   {"audience": "mesh", "skip-containers": "istio-proxy"},
		"worker": {"expiration": "4h", "containers": "worker"},
		"clouds": {
			"audience.aws": "sts.amazonaws.com", "env.aws": "AWS_WEB_IDENTITY_TOKEN_FILE", "containers.aws": "app",
			"audience.azure": "api://AzureADTokenExchange", "env.azure": "AZURE_FEDERATED_TOKEN_FILE",
		},
		"login": {
			"audience": "vault", "login": "vault", "login-address": "https://vault.example.com:8200", "login-ca-configmap": "vault-ca",
		},
		"mixed":    {"audience": "vault", "audience.aws": "sts.amazonaws.com"},
		"fragment": {"expiration": "2h"},
		"wrong":    {"audience": "vault", "expiration": "soon"},
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	type Token = annotations.Token
	aws := named("aws", func(t *Token) {
		t.Audience, t.Env, t.Source = "sts.amazonaws.com", "AWS_WEB_IDENTITY_TOKEN_FILE", at("profile")
		t.Scope = annotations.Scope{Only: []string{"app"}}
	})
	azure := named("azure", func(t *Token) {
		t.Audience, t.Env, t.Source = "api://AzureADTokenExchange", "AZURE_FEDERATED_TOKEN_FILE", at("profile")
	})
	for name, test := range map[string]struct {
		keys   keys
		tokens []Token
	}{
		"a profile supplies everything": {
			keys: keys{"profile": "vault"},
			tokens: []Token{token(func(t *Token) {
				t.ExpirationSeconds, t.Env, t.Source = 7200, "VAULT_TOKEN_FILE", at("profile")
			})},
		},
		"the pod's own keys win": {
			keys: keys{"profile": "vault", "audience": "bao", "expiration": "3h"},
			tokens: []Token{token(func(t *Token) {
				t.Audience, t.ExpirationSeconds, t.Env = "bao", 10800, "VAULT_TOKEN_FILE"
			})},
		},
		"a suffix makes another token of the profile": {
			keys: keys{"audience": "vault", "profile.b": "vault"},
			tokens: []Token{token(nil), named("b", func(t *Token) {
				t.ExpirationSeconds, t.Env, t.Source = 7200, "VAULT_TOKEN_FILE", at("profile.b")
			})},
		},
		"a profile of several tokens": {
			keys:   keys{"profile": "clouds"},
			tokens: []Token{aws, azure},
		},
		"a profile of several tokens beside the pod's own one": {
			keys:   keys{"profile": "clouds", "audience": "vault"},
			tokens: []Token{token(nil), aws, azure},
		},
		"one of several tokens is edited": {
			keys: keys{"profile": "clouds", "expiration.azure": "2h"},
			tokens: []Token{aws, func() Token {
				t := azure
				t.ExpirationSeconds = 7200
				return t
			}()},
		},
		"one of several tokens is left out": {
			keys:   keys{"profile": "clouds", "inject.azure": "false"},
			tokens: []Token{aws},
		},
		"a profile for one token wins over the pod's": {
			keys: keys{"profile": "mixed", "profile.aws": "vault"},
			tokens: []Token{
				token(func(t *Token) { t.Source = at("profile") }),
				named("aws", func(t *Token) {
					t.ExpirationSeconds, t.Env, t.Source = 7200, "VAULT_TOKEN_FILE", at("profile.aws")
				}),
			},
		},
		// Side by side they would be an error, and not the pod's.
		"the pod's containers replace the profile's skip-containers": {
			keys: keys{"profile": "mesh", "containers": "app"},
			tokens: []Token{token(func(t *Token) {
				t.Audience, t.Source = "mesh", at("profile")
				t.Scope = annotations.Scope{Only: []string{"app"}, Written: true}
			})},
		},
		"the pod's skip-containers replace the profile's containers": {
			keys: keys{"profile": "worker", "audience": "vault", "skip-containers": "app"},
			tokens: []Token{token(func(t *Token) {
				t.ExpirationSeconds = 14400
				t.Scope = annotations.Scope{Skip: []string{"app"}, Written: true}
			})},
		},
		"a token's profile's containers replace those of the pod's profile": {
			keys: keys{"profile": "clouds", "profile.azure": "mesh", "profile.aws": "mesh"},
			tokens: []Token{
				named("aws", func(t *Token) {
					t.Audience, t.Env, t.Source = "mesh", "AWS_WEB_IDENTITY_TOKEN_FILE", at("profile.aws")
					t.Scope = annotations.Scope{Skip: []string{"istio-proxy"}}
				}),
				named("azure", func(t *Token) {
					t.Audience, t.Env, t.Source = "mesh", "AZURE_FEDERATED_TOKEN_FILE", at("profile.azure")
					t.Scope = annotations.Scope{Skip: []string{"istio-proxy"}}
				}),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParser()
			p.Profiles = profiles()
			spec, warnings, errs := p.Parse(test.keys.on(""))
			expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
			expectTokens(t, test.tokens, spec.Tokens)
			expect(t, "warnings", nil, warnings)
			expect(t, "errors", nil, texts(errs))
		})
	}
}

func TestProfileOverridesDefaults(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.Profiles, p.Defaults = profiles(), annotations.Preset{"expiration": "900"}
	spec, _, errs := p.Parse(keys{"profile": "fragment", "audience": "vault", "audience.b": "vault"}.on(""))
	expectTokens(t, []annotations.Token{
		token(func(t *annotations.Token) { t.ExpirationSeconds = 7200 }),
		named("b", func(t *annotations.Token) { t.ExpirationSeconds = 900 }),
	}, spec.Tokens)
	expect(t, "errors", nil, texts(errs))
}

func TestProfileErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys keys
		errs []string
	}{
		"unknown": {
			keys: keys{"profile": "valt", "expiration": "2h"},
			errs: []string{`metadata.annotations[oidc-injector.io/profile]: Unsupported value: "valt": ` +
				`supported values: "clouds", "fragment", "login", "mesh", "mixed", "vault", "worker", "wrong"`},
		},
		"unknown, for one token": {
			keys: keys{"audience": "vault", "profile.aws": ""},
			errs: []string{`metadata.annotations[oidc-injector.io/profile.aws]: Unsupported value: "": ` +
				`supported values: "clouds", "fragment", "login", "mesh", "mixed", "vault", "worker", "wrong"`},
		},
		"without an audience": {
			keys: keys{"profile": "fragment"},
			errs: []string{"metadata.annotations[oidc-injector.io/audience]: Required value: the token is described (expiration) but has " +
				"no audience"},
		},
		"several tokens for one": {
			keys: keys{"profile.x": "mixed", "expiration.x": "2h"},
			errs: []string{`metadata.annotations[oidc-injector.io/profile.x]: Invalid value: "mixed": ` +
				`this profile describes several tokens, so it goes without a suffix: oidc-injector.io/profile`},
		},
		"a wrong value points at the profile": {
			keys: keys{"profile": "wrong"},
			errs: []string{`metadata.annotations[oidc-injector.io/profile]: Invalid value: "soon": ` +
				`must be whole seconds (7200) or a Go duration (2h), from 600 to 86400 seconds`},
		},
		"a conflict with the pod's own token": {
			keys: keys{"profile": "clouds", "audience.x": "x", "env.x": "AWS_WEB_IDENTITY_TOKEN_FILE"},
			errs: []string{`metadata.annotations[oidc-injector.io/env.x]: Invalid value: "AWS_WEB_IDENTITY_TOKEN_FILE": token "aws" sets ` +
				`the same variable`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParser()
			p.Profiles = profiles()
			for range 50 { // maps have no order, texts must have one
				_, warnings, errs := p.Parse(test.keys.on(""))
				expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
				expect(t, "errors", test.errs, texts(errs))
				expect(t, "warnings", nil, warnings)
			}
		})
	}
}

func TestValidateProfile(t *testing.T) {
	t.Parallel()
	for name, profile := range profiles() {
		if name != "wrong" {
			errs := annotations.ValidateProfile(profile, nil, annotations.DefaultMaxExpiration, field.NewPath("profiles").Key(name))
			expect(t, "errors of profile "+name, nil, texts(errs))
		}
	}
	for name, test := range map[string]struct {
		profile annotations.Preset
		errs    []string
	}{
		"empty": {
			errs: []string{"profiles[p]: Required value: a profile without keys does nothing"},
		},
		"keys that are not a token's": {
			profile: annotations.Preset{"audience": "vault", "profile": "x", "inject": "true", "audiense.aws": "y"},
			errs: []string{
				`profiles[p][audiense.aws]: Unsupported value: "audiense.aws": supported values: ` + presetKeys,
				`profiles[p][inject]: Unsupported value: "inject": supported values: ` + presetKeys,
				`profiles[p][profile]: Unsupported value: "profile": supported values: ` + presetKeys,
			},
		},
		"tokens that no container could have both": {
			profile: annotations.Preset{"audience": "vault", "env": "TOKEN", "audience.aws": "sts", "env.aws": "TOKEN"},
			errs:    []string{`profiles[p][env.aws]: Invalid value: "TOKEN": token "default" sets the same variable`},
		},
		"every value is checked": {
			profile: annotations.Preset{"audience": "", "expiration.aws": "25h", "mount-path.aws": "/", "audience.B": "b"},
			errs: []string{
				`profiles[p][audience.B]: Invalid value: "B": the suffix names a token: lower-case letters, digits and '-', at most 40 ` +
					`characters`,
				`profiles[p][audience]: Invalid value: "": the audience must not be empty`,
				`profiles[p][mount-path.aws]: Invalid value: "/": ` + reservedPath,
				`profiles[p][expiration.aws]: Invalid value: "25h": must be whole seconds (7200) or a Go duration (2h), from 600 to ` +
					`86400 seconds`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := maps.Clone(test.profile)
			errs := annotations.ValidateProfile(test.profile, nil, annotations.DefaultMaxExpiration, field.NewPath("profiles").Key("p"))
			expect(t, "errors", test.errs, texts(errs))
			if !maps.Equal(before, test.profile) {
				t.Errorf("the profile was edited: %v", test.profile)
			}
		})
	}
}

func TestValidateDefaults(t *testing.T) {
	t.Parallel()
	good := annotations.Preset{
		"expiration": "2h", "token-file": "jwt", "mount-path": "/tokens", "file-mode": "0440",
		"skip-containers": "proxy",
	}
	expect(t, "errors", nil, texts(annotations.ValidateDefaults(good, annotations.DefaultMaxExpiration, field.NewPath("defaults"))))
	expect(t, "errors", nil, texts(annotations.ValidateDefaults(nil, annotations.DefaultMaxExpiration, field.NewPath("defaults"))))

	bad := annotations.Preset{"audience": "vault", "expiration": "1m", "expiration.aws": "2h", "skip-containers": "a b"}
	expect(t, "errors", []string{
		`defaults[audience]: Unsupported value: "audience": supported values: ` + defaultKeys,
		`defaults[expiration.aws]: Unsupported value: "expiration.aws": supported values: ` + defaultKeys,
		`defaults[skip-containers]: Invalid value: "a b": must be container names, separated by commas, such as app,worker; at most 100`,
		`defaults[expiration]: Invalid value: "1m": must be whole seconds (7200) or a Go duration (2h), from 600 to 86400 seconds`,
	}, texts(annotations.ValidateDefaults(bad, annotations.DefaultMaxExpiration, field.NewPath("defaults"))))
}
