package annotations_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// TestParse shows what each annotation does.
func TestParse(t *testing.T) {
	t.Parallel()
	type Token = annotations.Token
	for name, test := range map[string]struct {
		keys   keys
		os     annotations.OS
		tokens []Token
	}{
		"nothing asks for nothing": {},
		"an audience asks for a token with the defaults": {
			keys:   keys{"audience": "vault"},
			tokens: []Token{token(nil)},
		},
		"an audience may be anything printable": {
			keys:   keys{"audience": "https://ü.example/a b?c=d,e"},
			tokens: []Token{token(func(t *Token) { t.Audience = "https://ü.example/a b?c=d,e" })},
		},
		"expiration in seconds": {
			keys:   keys{"audience": "vault", "expiration": "7200"},
			tokens: []Token{token(func(t *Token) { t.ExpirationSeconds = 7200 })},
		},
		"expiration as a duration": {
			keys:   keys{"audience": "vault", "expiration": "1h30m"},
			tokens: []Token{token(func(t *Token) { t.ExpirationSeconds = 5400 })},
		},
		"the shortest expiration": {
			keys:   keys{"audience": "vault", "expiration": "600"},
			tokens: []Token{token(func(t *Token) { t.ExpirationSeconds = 600 })},
		},
		"the longest expiration": {
			keys:   keys{"audience": "vault", "expiration": "24h"},
			tokens: []Token{token(func(t *Token) { t.ExpirationSeconds = 86400 })},
		},
		"file and directory": {
			keys:   keys{"audience": "vault", "token-file": "jwt", "mount-path": "/vault/token"},
			tokens: []Token{token(func(t *Token) { t.File, t.MountPath = "jwt", "/vault/token" })},
		},
		"directories next to the API token's are free": {
			keys:   keys{"audience": "vault", "mount-path": "/var/run/secrets/kubernetes.io/serviceaccounts"},
			tokens: []Token{token(func(t *Token) { t.MountPath = "/var/run/secrets/kubernetes.io/serviceaccounts" })},
		},
		"a file mode, with or without zeros": {
			keys: keys{
				"audience": "vault", "file-mode": "0440", "audience.b": "vault", "file-mode.b": "440", "audience.c": "vault",
				"file-mode.c": "0o440",
			},
			tokens: []Token{
				token(func(t *Token) { t.FileMode = new(int32(0o440)) }),
				named("b", func(t *Token) { t.FileMode = new(int32(0o440)) }),
				named("c", func(t *Token) { t.FileMode = new(int32(0o440)) }),
			},
		},
		"an environment variable": {
			keys:   keys{"audience": "vault", "env": "VAULT_TOKEN_FILE"},
			tokens: []Token{token(func(t *Token) { t.Env = "VAULT_TOKEN_FILE" })},
		},
		"only some containers": {
			keys: keys{"audience": "vault", "containers": "app, worker ,app"},
			tokens: []Token{token(func(t *Token) {
				t.Scope = annotations.Scope{Only: []string{"app", "worker"}, Written: true}
			})},
		},
		"all containers but some": {
			keys:   keys{"audience": "vault", "skip-containers": "proxy"},
			tokens: []Token{token(func(t *Token) { t.Scope = annotations.Scope{Skip: []string{"proxy"}, Written: true} })},
		},
		"a suffix makes another token, whose file has its name": {
			keys: keys{"audience": "vault", "audience.aws": "sts.amazonaws.com", "env.aws": "AWS_WEB_IDENTITY_TOKEN_FILE"},
			tokens: []Token{
				token(nil),
				named("aws", func(t *Token) { t.Audience, t.Env = "sts.amazonaws.com", "AWS_WEB_IDENTITY_TOKEN_FILE" }),
			},
		},
		"the default token comes first, then the names in order": {
			keys:   keys{"audience.b": "vault", "audience": "vault", "audience.a": "vault"},
			tokens: []Token{token(nil), named("a", nil), named("b", nil)},
		},
		"a suffixed token needs no default one": {
			keys:   keys{"audience.aws": "vault"},
			tokens: []Token{named("aws", nil)},
		},
		"two tokens of one file in two directories": {
			keys: keys{"audience": "vault", "audience.b": "vault", "token-file.b": "oidc-token", "mount-path.b": "/b"},
			tokens: []Token{
				token(nil),
				named("b", func(t *Token) { t.File, t.MountPath = "oidc-token", "/b" }),
			},
		},
		"tokens that no container has both of may share everything": {
			keys: keys{
				"audience.a": "vault", "token-file.a": "jwt", "file-mode.a": "0400", "env.a": "TOKEN", "containers.a": "app",
				"audience.b": "vault", "token-file.b": "jwt", "file-mode.b": "0440", "env.b": "TOKEN", "skip-containers.b": "app",
			},
			tokens: []Token{
				named("a", func(t *Token) {
					t.File, t.FileMode, t.Env = "jwt", new(int32(0o400)), "TOKEN"
					t.Scope = annotations.Scope{Only: []string{"app"}, Written: true}
				}),
				named("b", func(t *Token) {
					t.File, t.FileMode, t.Env = "jwt", new(int32(0o440)), "TOKEN"
					t.Scope = annotations.Scope{Skip: []string{"app"}, Written: true}
				}),
			},
		},
		"our own status is no input": {
			keys:   keys{"audience": "vault", "status": "{not even JSON"},
			tokens: []Token{token(nil)},
		},
		"Windows takes its own paths": {
			keys: keys{"audience": "vault", "mount-path": `C:\Vault\Tokens`, "audience.b": "vault", "mount-path.b": `D:\Tokens`},
			os:   annotations.Windows,
			tokens: []Token{
				token(func(t *Token) { t.MountPath = `C:\Vault\Tokens` }),
				named("b", func(t *Token) { t.MountPath = `D:\Tokens` }),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec, warnings, errs := newParser().Parse(test.keys.on(test.os))
			expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
			expectTokens(t, test.tokens, spec.Tokens)
			expect(t, "warnings", nil, warnings)
			expect(t, "errors", nil, texts(errs))
		})
	}
}

func TestInjectFalseOptsOut(t *testing.T) {
	t.Parallel()
	for _, no := range []string{"false", "False", "FALSE", "f", "0"} {
		got, warnings, errs := newParser().Parse(keys{
			"inject": no, "audience": "", "expiration": "soon", "audiense": "x", "profile": "unknown", "env.B@D": "?",
		}.on(""))
		if diff := cmp.Diff(annotations.Spec{OptedOut: true}, got); diff != "" {
			t.Errorf("inject %q (-want +got):\n%s", no, diff)
		}
		expect(t, "warnings", nil, warnings)
		expect(t, "errors", nil, texts(errs))
	}
}

func TestInjectTrueChangesNothing(t *testing.T) {
	t.Parallel()
	for _, yes := range []string{"true", "True", "t", "1"} {
		got, warnings, errs := newParser().Parse(keys{"inject": yes, "audience": "vault"}.on(""))
		expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
		expectTokens(t, []annotations.Token{token(nil)}, got.Tokens)
		expect(t, "warnings", nil, warnings)
		expect(t, "errors", nil, texts(errs))
	}
}

func TestInjectFalseOptsOneTokenOut(t *testing.T) {
	t.Parallel()
	got, warnings, errs := newParser().Parse(keys{
		"audience": "vault", "inject.aws": "false", "audience.aws": "\n", "expiration.aws": "soon", "profile.aws": "unknown",
	}.on(""))
	expectTokens(t, []annotations.Token{token(nil)}, got.Tokens)
	if got.OptedOut {
		t.Error("the whole pod is said to opt out")
	}
	expect(t, "warnings", nil, warnings)
	expect(t, "errors", nil, texts(errs))
}

// TestParseWarnings shows every warning of the parser.
func TestParseWarnings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys     keys
		warnings []string
	}{
		"a typing error": {
			keys:     keys{"audience": "vault", "expiraton": "2h"},
			warnings: []string{`unknown annotation "oidc-injector.io/expiraton": did you mean oidc-injector.io/expiration?`},
		},
		"a typing error before a suffix": {
			keys:     keys{"audience.aws": "vault", "tokenfile.aws": "jwt"},
			warnings: []string{`unknown annotation "oidc-injector.io/tokenfile.aws": did you mean oidc-injector.io/token-file.aws?`},
		},
		"a typing error before a suffix that is none": {
			keys:     keys{"audience": "vault", "tokenfile.A_B": "jwt"},
			warnings: []string{`unknown annotation "oidc-injector.io/tokenfile.A_B": did you mean oidc-injector.io/token-file?`},
		},
		"upper case": {
			keys:     keys{"audience": "vault", "EXPIRATION": "2h"},
			warnings: []string{`unknown annotation "oidc-injector.io/EXPIRATION": did you mean oidc-injector.io/expiration?`},
		},
		"a plural, in the order of the annotations": {
			keys: keys{"audience": "vault", "mount-paths": "/a", "container": "app"},
			warnings: []string{
				`unknown annotation "oidc-injector.io/container": did you mean oidc-injector.io/containers?`,
				`unknown annotation "oidc-injector.io/mount-paths": did you mean oidc-injector.io/mount-path?`,
			},
		},
		"a key that is like no other": {
			keys: keys{"audience": "vault", "x": "y"},
			warnings: []string{`unknown annotation "oidc-injector.io/x": the keys are profile, inject, audience, expiration, ` +
				`token-file, mount-path, file-mode, env, containers, skip-containers, login, login-*, and those of providers`},
		},
		"nothing but a slash": {
			keys: keys{"audience": "vault", "": "y"},
			warnings: []string{`unknown annotation "oidc-injector.io/": the keys are profile, inject, audience, expiration, ` +
				`token-file, mount-path, file-mode, env, containers, skip-containers, login, login-*, and those of providers`},
		},
		"a status with a suffix is not ours": {
			keys: keys{"audience": "vault", "status.aws": "y"},
			warnings: []string{`unknown annotation "oidc-injector.io/status.aws": the keys are profile, inject, audience, expiration, ` +
				`token-file, mount-path, file-mode, env, containers, skip-containers, login, login-*, and those of providers`},
		},
		"inject alone": {
			keys: keys{"inject": "true"},
			warnings: []string{`metadata.annotations[oidc-injector.io/inject] asks for nothing by itself: set oidc-injector.io/audience ` +
				`or oidc-injector.io/profile`},
		},
		"inject for a token that does not exist": {
			keys: keys{"audience": "vault", "inject.aws": "true"},
			warnings: []string{`metadata.annotations[oidc-injector.io/inject.aws] asks for nothing by itself: set ` +
				`oidc-injector.io/audience.aws or oidc-injector.io/profile.aws`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, warnings, errs := newParser().Parse(test.keys.on(""))
			expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
			expect(t, "warnings", test.warnings, warnings)
			expect(t, "errors", nil, texts(errs))
		})
	}
}

func TestParseOtherPrefix(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.Prefix = "tokens.example.com"
	spec, warnings, errs := p.Parse(annotations.Input{Annotations: annotations.FromMap(map[string]string{
		"tokens.example.com/audience": "vault", "tokens.example.com/mode": "0400", "oidc-injector.io/audience.old": "vault",
	})})
	if len(spec.Tokens) != 1 || spec.Tokens[0].Name != "" {
		t.Errorf("got %+v, want the default token alone", spec.Tokens)
	}
	expect(t, "warnings", []string{`unknown annotation "tokens.example.com/mode": the keys are profile, inject, audience, expiration, ` +
		`token-file, mount-path, file-mode, env, containers, skip-containers, login, login-*, and those of providers`}, warnings)
	expect(t, "errors", nil, texts(errs))
	for annotation, ours := range map[string]bool{
		"tokens.example.com/audience": true, "tokens.example.com/": true, "tokens.example.com": false,
		"tokens.example.comx/audience": false, "x/audience": false, "": false,
	} {
		if p.Prefix.Owns(annotation) != ours {
			t.Errorf("Owns(%q) = %v", annotation, !ours)
		}
	}
}

func TestConfiguredDefaults(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.Defaults = annotations.Preset{
		"expiration": "2h", "token-file": "jwt", "mount-path": "/tokens", "file-mode": "0440", "skip-containers": "istio-proxy",
	}
	spec, warnings, errs := p.Parse(keys{
		"audience":     "vault",
		"audience.own": "vault", "expiration.own": "3h", "token-file.own": "t", "mount-path.own": "/own", "file-mode.own": "0400",
		"containers.own": "app",
		"audience.skip":  "vault", "skip-containers.skip": "app",
	}.on(""))
	defaulted := func(t *annotations.Token) {
		t.ExpirationSeconds, t.MountPath, t.FileMode = 7200, "/tokens", new(int32(0o440))
		t.Scope = annotations.Scope{Skip: []string{"istio-proxy"}}
	}
	expectTokens(t, []annotations.Token{
		token(func(t *annotations.Token) { defaulted(t); t.File = "jwt" }),
		named("own", func(t *annotations.Token) {
			t.ExpirationSeconds, t.File, t.MountPath, t.FileMode = 10800, "t", "/own", new(int32(0o400))
			t.Scope = annotations.Scope{Only: []string{"app"}, Written: true}
		}),
		// A default directory is one for each token.
		named("skip", func(t *annotations.Token) {
			defaulted(t)
			t.File, t.MountPath = "jwt", "/tokens-skip"
			t.Scope = annotations.Scope{Skip: []string{"app"}, Written: true}
		}),
	}, spec.Tokens)
	expect(t, "warnings", nil, warnings)
	expect(t, "errors", nil, texts(errs))
}

func TestDefaultExpirationBelowMaximum(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.MaxExpiration = 15 * time.Minute
	spec, _, errs := p.Parse(keys{"audience": "vault"}.on(""))
	expectTokens(t, []annotations.Token{token(func(t *annotations.Token) { t.ExpirationSeconds = 900 })}, spec.Tokens)
	expect(t, "errors", nil, texts(errs))
}

func TestParseKeepsInput(t *testing.T) {
	t.Parallel()
	state := func() (*annotations.Parser, annotations.Input) {
		p := newParser()
		p.Profiles = map[string]annotations.Preset{"vault": {"audience": "vault", "audience.b": "b"}}
		p.Defaults = annotations.Preset{"expiration": "2h"}
		return p, keys{"profile": "vault", "expiration": "1h", "audiance": "x"}.on("")
	}
	p, in := state()
	p.Parse(in)
	wantParser, wantInput := state()
	if diff := cmp.Diff(wantParser, p); diff != "" {
		t.Errorf("parser (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(wantInput, in); diff != "" {
		t.Errorf("input (-before +after):\n%s", diff)
	}
}

func TestTokenPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dir  string
		os   annotations.OS
		want string
	}{
		{"/var/run/secrets/tokens", "", "/var/run/secrets/tokens/jwt"},
		{"/var/run/secrets/tokens", "linux", "/var/run/secrets/tokens/jwt"},
		{"/var/run/secrets/tokens", annotations.Windows, `C:\var\run\secrets\tokens\jwt`},
		{`C:\Tokens`, annotations.Windows, `C:\Tokens\jwt`},
		{"c:/Tokens", annotations.Windows, `c:\Tokens\jwt`},
		{`\Tokens`, annotations.Windows, `C:\Tokens\jwt`},
		{`D:\`, annotations.Windows, `D:\jwt`},
	} {
		token := annotations.Token{MountPath: test.dir, File: "jwt"}
		if got := token.Path(test.os); got != test.want {
			t.Errorf("%s on %q: got %s, want %s", test.dir, test.os, got, test.want)
		}
	}
}

func TestScope(t *testing.T) {
	t.Parallel()
	everyone := annotations.Scope{}
	only := func(names ...string) annotations.Scope { return annotations.Scope{Only: names} }
	skip := func(names ...string) annotations.Scope { return annotations.Scope{Skip: names} }
	for _, test := range []struct {
		name     string
		a, b     annotations.Scope
		overlaps bool
	}{
		{"everyone meets everyone", everyone, everyone, true},
		{"everyone meets one", everyone, only("app"), true},
		{"everyone meets the rest", everyone, skip("app"), true},
		{"one name in common", only("app", "worker"), only("proxy", "worker"), true},
		{"no name in common", only("app"), only("worker"), false},
		{"one that is not skipped", only("app"), skip("worker"), true},
		{"the one that is skipped", only("app"), skip("app", "worker"), false},
		{"all but a few always leave somebody", skip("app"), skip("worker"), true},
	} {
		if got := test.a.Overlaps(test.b); got != test.overlaps {
			t.Errorf("%s: got %v", test.name, got)
		}
		if got := test.b.Overlaps(test.a); got != test.overlaps {
			t.Errorf("%s, the other way round: got %v", test.name, got)
		}
	}
	for _, test := range []struct {
		scope annotations.Scope
		app   bool
	}{{everyone, true}, {only("app"), true}, {only("worker"), false}, {skip("app"), false}, {skip("worker"), true}} {
		if got := test.scope.Includes("app"); got != test.app {
			t.Errorf("%+v includes app: %v", test.scope, got)
		}
	}
	if none := (annotations.Scope{Only: []string{}}); none.Includes("app") {
		t.Error("an empty list of containers includes app")
	}
}
