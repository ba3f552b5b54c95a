package annotations_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

func boundParser() *annotations.Parser {
	p := newParser()
	p.Profiles, p.Providers = profiles(), provider.BuiltIn()
	return p
}

// bind is a binding of these keys, which are right.
func bind(t *testing.T, p *annotations.Parser, name string, preset annotations.Preset) *annotations.Bound {
	t.Helper()
	b, errs := p.Bind(name, preset, field.NewPath("bindings").Key(name).Child("annotations"))
	expect(t, "errors of binding "+name, nil, texts(errs))
	return b
}

// inBinding is where a binding has a key.
func inBinding(name, key string) *field.Path {
	return field.NewPath("bindings").Key(name).Child("annotations").Key(key)
}

func TestBoundTokens(t *testing.T) {
	t.Parallel()
	type Token = annotations.Token
	vault := annotations.Preset{"audience": "vault", "expiration": "2h"}
	fromVault := func(edit func(*Token)) Token {
		return token(func(t *Token) {
			t.ExpirationSeconds, t.Source = 7200, inBinding("a", "audience")
			if edit != nil {
				edit(t)
			}
		})
	}
	mesh := named("mesh", func(t *Token) { t.Audience, t.Source = "mesh", inBinding("b", "audience.mesh") })
	for name, test := range map[string]struct {
		keys   keys
		bound  []annotations.Preset
		tokens []Token
		given  []string
	}{
		"without annotations": {bound: []annotations.Preset{vault}, tokens: []Token{fromVault(nil)}, given: []string{"a"}},
		"several add up": {
			bound: []annotations.Preset{vault, {"audience.mesh": "mesh"}}, tokens: []Token{fromVault(nil), mesh}, given: []string{"a", "b"},
		},
		"beside what the pod asks for": {
			keys: keys{"audience.x": "x"}, bound: []annotations.Preset{vault},
			tokens: []Token{fromVault(nil), named("x", func(t *Token) { t.Audience = "x" })}, given: []string{"a"},
		},
		"the pod's keys win": {
			keys: keys{"audience": "bao", "env": "TOKEN"}, bound: []annotations.Preset{vault},
			tokens: []Token{token(func(t *Token) { t.Audience, t.Env, t.ExpirationSeconds = "bao", "TOKEN", 7200 })}, given: []string{"a"},
		},
		"the pod's keys leave nothing": {
			keys: keys{"audience": "bao", "expiration": "3h"}, bound: []annotations.Preset{vault},
			tokens: []Token{token(func(t *Token) { t.Audience, t.ExpirationSeconds = "bao", 3*3600 })},
		},
		"the pod's scope replaces the binding's": {
			keys: keys{"containers": "app"}, bound: []annotations.Preset{{"audience": "vault", "skip-containers": "proxy"}},
			tokens: []Token{token(func(t *Token) {
				t.Source, t.Scope = inBinding("a", "audience"), annotations.Scope{Only: []string{"app"}, Written: true}
			})},
			given: []string{"a"},
		},
		"a profile of the binding": {
			bound: []annotations.Preset{{"profile": "vault", "expiration": "4h"}},
			tokens: []Token{token(func(t *Token) {
				t.ExpirationSeconds, t.Env, t.Source = 4*3600, "VAULT_TOKEN_FILE", inBinding("a", "profile")
			})},
			given: []string{"a"},
		},
		"a profile of the pod replaces it": {
			keys: keys{"profile": "mesh"}, bound: []annotations.Preset{{"profile": "vault", "file-mode": "0440"}},
			tokens: []Token{token(func(t *Token) {
				mode := int32(0o440)
				t.Audience, t.Source, t.FileMode = "mesh", at("profile"), &mode
				t.Scope = annotations.Scope{Skip: []string{"istio-proxy"}}
			})},
			given: []string{"a"},
		},
		"a profile with a suffix": {
			bound: []annotations.Preset{{"profile.x": "vault"}},
			tokens: []Token{named("x", func(t *Token) {
				t.ExpirationSeconds, t.Env, t.Source = 7200, "VAULT_TOKEN_FILE", inBinding("a", "profile.x")
			})},
			given: []string{"a"},
		},
		"one token is opted out of": {
			keys: keys{"inject.mesh": "false"}, bound: []annotations.Preset{vault, {"audience.mesh": "mesh"}},
			tokens: []Token{fromVault(nil)}, given: []string{"a"},
		},
		"all are opted out of": {keys: keys{"inject": "false"}, bound: []annotations.Preset{vault}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := boundParser()
			in := test.keys.on("")
			for i, preset := range test.bound {
				in.Bound = append(in.Bound, bind(t, p, string(rune('a'+i)), preset))
			}
			spec, warnings, errs := p.Parse(in)
			expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
			expect(t, "errors", nil, texts(errs))
			expect(t, "warnings", nil, warnings)
			expect(t, "bindings", test.given, spec.Bindings)
			if diff := cmp.Diff(test.tokens, spec.Tokens, samePaths); diff != "" && len(test.tokens)+len(spec.Tokens) > 0 {
				t.Errorf("tokens (-want +got):\n%s", diff)
			}
		})
	}
}

// A provider's token is completed by what a binding and the pod say together, and what
// the binding says is not the pod's own.
func TestBoundProvider(t *testing.T) {
	t.Parallel()
	p := boundParser()
	in := keys{"aws-region": "eu-central-1"}.on("")
	in.Bound = []*annotations.Bound{bind(t, p, "reports", annotations.Preset{"aws-role-arn": "arn:aws:iam::123456789012:role/app"})}
	spec, _, errs := p.Parse(in)
	expect(t, "errors", nil, texts(errs))
	if len(spec.Tokens) != 1 || spec.Tokens[0].Name != "aws" || spec.Tokens[0].Own("aws-role-arn") || !spec.Tokens[0].Own("aws-region") {
		t.Fatalf("tokens %+v", spec.Tokens)
	}
	if got := spec.Tokens[0].Origin("aws-role-arn"); got != "binding reports" {
		t.Errorf("origin %q", got)
	}
}

func TestBindingErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		preset annotations.Preset
		errs   []string
	}{
		"no keys": {nil, []string{"keys: Required value: no token: say audience, or name a profile or a provider"}},
		"no token": {
			annotations.Preset{"expiration": "2h"},
			[]string{"keys[audience]: Required value: the token is described (expiration) but has no audience"},
		},
		"opting out": {
			annotations.Preset{"audience": "vault", "inject": "false"},
			[]string{`keys[inject]: Unsupported value: "inject": supported values: "profile", "provider", ` + presetKeys},
		},
		"a bad suffix": {
			annotations.Preset{"audience.X": "vault"},
			[]string{`keys[audience.X]: Invalid value: "X": the suffix names a token: lower-case letters, digits and '-', at most 40 ` +
				`characters`},
		},
		"an unknown profile": {
			annotations.Preset{"profile": "nosuch"},
			[]string{`keys[profile]: Unsupported value: "nosuch": supported values: "clouds", "fragment", "login", "mesh", "mixed", ` +
				`"vault", "worker", "wrong"`},
		},
		"a profile of several tokens with a suffix": {
			annotations.Preset{"profile.x": "clouds"},
			[]string{`keys[profile.x]: Invalid value: "clouds": this profile describes several tokens, so it goes without a ` +
				`suffix: profile`},
		},
		"a bad value": {
			annotations.Preset{"audience": "vault", "mount-path": "tokens"},
			[]string{`keys[mount-path]: Invalid value: "tokens": must be an absolute path, such as /var/run/secrets/tokens`},
		},
		"a bad value of its profile": {
			annotations.Preset{"profile": "wrong"},
			[]string{`keys[profile]: Invalid value: "soon": must be whole seconds (7200) or a Go duration (2h), from 600 to 86400 seconds`},
		},
		"a path of Windows": {annotations.Preset{"audience": "vault", "mount-path": `C:\tokens`}, nil},
		"a missing parameter": {
			annotations.Preset{"azure-tenant-id": "0b7a5f3c-5d0b-4a3c-9d2a-6a1f1f6b7c11"},
			[]string{"keys[azure-client-id]: Required value: provider azure needs it: " +
				"Client ID of the application or user-assigned managed identity"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs := boundParser().Bind("a", test.preset, field.NewPath("keys"))
			expect(t, "errors", test.errs, texts(errs))
		})
	}
}

func TestBindingConflicts(t *testing.T) {
	t.Parallel()
	const another = `token "x" is of provider aws: give each provider a token of its own, by a suffix`
	for name, test := range map[string]struct {
		a, b annotations.Preset
		errs []string
	}{
		"the same":         {annotations.Preset{"audience": "vault"}, annotations.Preset{"audience": "vault", "expiration": "2h"}, nil},
		"different tokens": {annotations.Preset{"audience": "vault"}, annotations.Preset{"audience.x": "x"}, nil},
		"two values": {
			annotations.Preset{"audience": "vault"},
			annotations.Preset{"audience": "bao"},
			[]string{`bindings[b].annotations[audience]: Invalid value: "bao": binding a says "vault": audience of token "default"`},
		},
		"two values, one of a profile": {
			annotations.Preset{"profile": "vault"},
			annotations.Preset{"audience": "vault", "expiration": "3h"},
			[]string{`bindings[b].annotations[expiration]: Invalid value: "3h": binding a says "2h": expiration of token "default"`},
		},
		"rivals": {
			annotations.Preset{"audience": "vault", "containers": "app"},
			annotations.Preset{"audience": "vault", "skip-containers": "x"},
			[]string{`bindings[b].annotations[skip-containers]: Invalid value: "x": binding a says "app": containers of token "default"`},
		},
		"one directory": {
			annotations.Preset{"audience": "vault", "mount-path": "/tokens"},
			annotations.Preset{"audience.x": "x", "mount-path.x": "/tokens"},
			[]string{`bindings[b].annotations[mount-path.x]: Invalid value: "/tokens": token "default" has the same directory, ` +
				`mount-path /tokens: ` +
				"a token has a volume, and so a directory, of its own"},
		},
		"two providers of a token": {
			annotations.Preset{"aws-role-arn.x": "arn:aws:iam::123456789012:role/app"},
			annotations.Preset{"provider.x": "kubernetes", "kubernetes-server.x": "https://api.example.com", "kubernetes-audience.x": "x"},
			[]string{
				`bindings[b].annotations[kubernetes-audience.x]: Invalid value: "x": ` + another,
				`bindings[b].annotations[kubernetes-server.x]: Invalid value: "https://api.example.com": ` + another,
				`bindings[b].annotations[provider.x]: Invalid value: "kubernetes": ` + another,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := boundParser()
			errs := p.Contradictions(bind(t, p, "a", test.a), bind(t, p, "b", test.b))
			expect(t, "errors", test.errs, texts(errs))
		})
	}
}
