package annotations_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// TestDenied shows every error of the parser as the person at kubectl reads it.
func TestDenied(t *testing.T) {
	t.Parallel()
	const (
		control    = "the audience must not hold control characters"
		expiration = "must be whole seconds (7200) or a Go duration (2h), from 600 to 86400 seconds"
		file       = `must be a file name of at most 255 bytes, without '/', '\', ':', '$', ".." or control characters`
		fileMode   = "must be an octal mode from 0004 to 0777 that lets somebody read, such as 0440"
		env        = "must be the name of an environment variable: letters, digits and '_', not starting with a digit, " +
			"such as VAULT_TOKEN_FILE"
		names  = "must be container names, separated by commas, such as app,worker; at most 100"
		suffix = "the suffix names a token: lower-case letters, digits and '-', at most 40 characters"
	)
	// invalid is the error of one annotation; the value is quoted as it stands.
	invalid := func(key, value, allowed string) string {
		return fmt.Sprintf("metadata.annotations[oidc-injector.io/%s]: Invalid value: %q: %s", key, value, allowed)
	}
	// with adds a key to a pod that is right otherwise.
	with := func(key, value string) keys { return keys{"audience": "vault", key: value} }

	for name, test := range map[string]struct {
		keys keys
		errs []string
	}{
		"audience: empty":             {keys{"audience": ""}, []string{invalid("audience", "", "the audience must not be empty")}},
		"audience: blank":             {keys{"audience": " "}, []string{invalid("audience", " ", "the audience must not be empty")}},
		"audience: line feed":         {keys{"audience": "a\nb"}, []string{invalid("audience", "a\nb", control)}},
		"audience: NUL":               {keys{"audience": "a\x00"}, []string{invalid("audience", "a\x00", control)}},
		"audience: C1 control":        {keys{"audience": "a\u0085b"}, []string{invalid("audience", "a\u0085b", control)}},
		"audience: trailing new line": {keys{"audience": "vault\n"}, []string{invalid("audience", "vault\n", control)}},
		"audience: leading blank": {
			keys{"audience": " vault"},
			[]string{invalid("audience", " vault", "the audience must not begin or end with white space")},
		},

		"expiration: empty":               {with("expiration", ""), []string{invalid("expiration", "", expiration)}},
		"expiration: not a number":        {with("expiration", "soon"), []string{invalid("expiration", "soon", expiration)}},
		"expiration: with blanks":         {with("expiration", " 7200"), []string{invalid("expiration", " 7200", expiration)}},
		"expiration: too short":           {with("expiration", "599"), []string{invalid("expiration", "599", expiration)}},
		"expiration: too short, duration": {with("expiration", "9m59s"), []string{invalid("expiration", "9m59s", expiration)}},
		"expiration: too long":            {with("expiration", "86401"), []string{invalid("expiration", "86401", expiration)}},
		"expiration: too long, duration":  {with("expiration", "25h"), []string{invalid("expiration", "25h", expiration)}},
		"expiration: zero":                {with("expiration", "0"), []string{invalid("expiration", "0", expiration)}},
		"expiration: negative":            {with("expiration", "-7200"), []string{invalid("expiration", "-7200", expiration)}},
		"expiration: negative duration":   {with("expiration", "-2h"), []string{invalid("expiration", "-2h", expiration)}},
		"expiration: a fraction":          {with("expiration", "7200.5"), []string{invalid("expiration", "7200.5", expiration)}},
		"expiration: a fraction, seconds": {with("expiration", "7200.5s"), []string{invalid("expiration", "7200.5s", expiration)}},
		"expiration: exponent":            {with("expiration", "1e4"), []string{invalid("expiration", "1e4", expiration)}},
		"expiration: days":                {with("expiration", "1d"), []string{invalid("expiration", "1d", expiration)}},
		"expiration: 2^63": {
			with("expiration", "9223372036854775808"),
			[]string{invalid("expiration", "9223372036854775808", expiration)},
		},
		// Counted in nanoseconds, this one would wrap around to two hours.
		"expiration: overflows into the range": {
			with("expiration", "18446751273"),
			[]string{invalid("expiration", "18446751273", expiration)},
		},
		"expiration: duration overflows": {with("expiration", "5124095h36m"), []string{invalid("expiration", "5124095h36m", expiration)}},

		"token-file: empty":         {with("token-file", ""), []string{invalid("token-file", "", file)}},
		"token-file: a dot":         {with("token-file", "."), []string{invalid("token-file", ".", file)}},
		"token-file: parent":        {with("token-file", ".."), []string{invalid("token-file", "..", file)}},
		"token-file: climbs out":    {with("token-file", "../jwt"), []string{invalid("token-file", "../jwt", file)}},
		"token-file: the kubelet's": {with("token-file", "..data"), []string{invalid("token-file", "..data", file)}},
		"token-file: a directory":   {with("token-file", "a/jwt"), []string{invalid("token-file", "a/jwt", file)}},
		"token-file: a backslash":   {with("token-file", `a\jwt`), []string{invalid("token-file", `a\jwt`, file)}},
		"token-file: a stream":      {with("token-file", "a:b"), []string{invalid("token-file", "a:b", file)}},
		"token-file: control":       {with("token-file", "a\tb"), []string{invalid("token-file", "a\tb", file)}},
		"token-file: long": {
			with("token-file", strings.Repeat("a", 256)),
			[]string{invalid("token-file", strings.Repeat("a", 128)+"…", file)},
		},
		"token-file.b: parent":       {keys{"audience.b": "vault", "token-file.b": ".."}, []string{invalid("token-file.b", "..", file)}},
		"file-mode: empty":           {with("file-mode", ""), []string{invalid("file-mode", "", fileMode)}},
		"file-mode: symbolic":        {with("file-mode", "u=r"), []string{invalid("file-mode", "u=r", fileMode)}},
		"file-mode: not octal":       {with("file-mode", "0489"), []string{invalid("file-mode", "0489", fileMode)}},
		"file-mode: set-user-ID":     {with("file-mode", "4440"), []string{invalid("file-mode", "4440", fileMode)}},
		"file-mode: nobody reads":    {with("file-mode", "0333"), []string{invalid("file-mode", "0333", fileMode)}},
		"file-mode: zero":            {with("file-mode", "0"), []string{invalid("file-mode", "0", fileMode)}},
		"file-mode: negative":        {with("file-mode", "-440"), []string{invalid("file-mode", "-440", fileMode)}},
		"file-mode: overflows":       {with("file-mode", "40000000440"), []string{invalid("file-mode", "40000000440", fileMode)}},
		"env: empty":                 {with("env", ""), []string{invalid("env", "", env)}},
		"env: starts with a digit":   {with("env", "1TOKEN"), []string{invalid("env", "1TOKEN", env)}},
		"env: an equals sign":        {with("env", "A=B"), []string{invalid("env", "A=B", env)}},
		"env: a blank":               {with("env", "A B"), []string{invalid("env", "A B", env)}},
		"containers: empty":          {with("containers", ""), []string{invalid("containers", "", names)}},
		"containers: trailing comma": {with("containers", "app,"), []string{invalid("containers", "app,", names)}},
		"containers: no comma":       {with("containers", "app worker"), []string{invalid("containers", "app worker", names)}},
		"containers: a wildcard":     {with("containers", "*"), []string{invalid("containers", "*", names)}},
		"skip-containers: bad name":  {with("skip-containers", "App"), []string{invalid("skip-containers", "App", names)}},
		"inject: empty":              {with("inject", ""), []string{invalid("inject", "", `must be "true" or "false"`)}},
		"inject: yes":                {with("inject", "yes"), []string{invalid("inject", "yes", `must be "true" or "false"`)}},
		"inject.b: no": {
			keys{"audience.b": "vault", "inject.b": "no"},
			[]string{invalid("inject.b", "no", `must be "true" or "false"`)},
		},

		"containers and skip-containers": {
			keys{"audience": "vault", "containers": "app", "skip-containers": "app"},
			[]string{invalid("skip-containers", "app", "say either containers or skip-containers, not both")},
		},
		"the suffix is upper case": {keys{"audience.AWS": "vault"}, []string{invalid("audience.AWS", "AWS", suffix)}},
		"the suffix has an '_'":    {keys{"env.a_b": "TOKEN"}, []string{invalid("env.a_b", "a_b", suffix)}},
		"the suffix has a dot":     {keys{"audience.a.b": "vault"}, []string{invalid("audience.a.b", "a.b", suffix)}},
		"the suffix is empty":      {keys{"audience.": "vault"}, []string{invalid("audience.", "", suffix)}},
		"the suffix is too long": {
			keys{"audience." + strings.Repeat("a", 41): "v"},
			[]string{invalid("audience."+strings.Repeat("a", 41), strings.Repeat("a", 41), suffix)},
		},
		"the suffix is default": {
			keys{"audience.default": "vault"},
			[]string{invalid("audience.default", "default", "the default token has no suffix: leave it out")},
		},
		"a huge value is shortened": {
			with("expiration", strings.Repeat("ü", 1000)),
			[]string{invalid("expiration", strings.Repeat("ü", 64)+"…", expiration)},
		},
		"no audience": {
			keys{"expiration": "2h", "env": "TOKEN"},
			[]string{"metadata.annotations[oidc-injector.io/audience]: Required value: the token is described (expiration, " +
				"env) but has no audience"},
		},
		"no audience, but a suffix": {
			keys{"audience": "vault", "token-file.aws": "jwt"},
			[]string{"metadata.annotations[oidc-injector.io/audience.aws]: Required value: the token is described (token-file) but has " +
				"no audience"},
		},
		"inject and no audience": {
			keys{"inject": "true", "env": "TOKEN"},
			[]string{"metadata.annotations[oidc-injector.io/audience]: Required value: the token is described (env) but has no audience"},
		},
		"a profile where there are none": {
			keys{"profile": "vault"},
			[]string{invalid("profile", "vault", "the injector's configuration has no profiles")},
		},
		"everything at once, in the order of the annotations": {
			keys{
				"audience": "", "expiration": "1s", "token-file": "/", "mount-path": "tokens", "file-mode": "x", "env": "=",
				"containers": ",", "inject": "?",
			},
			[]string{
				invalid("audience", "", "the audience must not be empty"),
				invalid("containers", ",", names),
				invalid("env", "=", env),
				invalid("expiration", "1s", expiration),
				invalid("file-mode", "x", fileMode),
				invalid("inject", "?", `must be "true" or "false"`),
				invalid("mount-path", "tokens", "must be an absolute path, such as /var/run/secrets/tokens"),
				invalid("token-file", "/", file),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, warnings, errs := newParser().Parse(test.keys.on(""))
			expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
			expect(t, "errors", test.errs, texts(errs))
			expect(t, "warnings", nil, warnings)
		})
	}
}

// TestMistypedKeys: what is missing because its name is mistyped is said with that
// name.
func TestMistypedKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys keys
		errs []string
	}{
		"audience": {
			keys{"audiense": "vault", "expiration": "2h"},
			[]string{`metadata.annotations[oidc-injector.io/audience]: Required value: the token is described (expiration) but has no ` +
				`audience; did you mean it by "oidc-injector.io/audiense"?`},
		},
		"login": {
			keys{"audience": "vault", "logn.a": "vault", "login-role.a": "demo"},
			[]string{
				"metadata.annotations[oidc-injector.io/login.a]: Required value: the login is described (login-role) but has no method: " +
					`vault, token-exchange, jwt-bearer, client-assertion, http; did you mean it by "oidc-injector.io/logn.a"?`,
			},
		},
		"address": {
			keys{"audience": "vault", "login": "vault", "login-addrss": "https://vault.example.com"},
			[]string{
				"metadata.annotations[oidc-injector.io/login-address]: Required value: the login needs the address of Vault, such as " +
					`https://vault.example.com:8200; did you mean it by "oidc-injector.io/login-addrss"?`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, warnings, errs := newParser().Parse(test.keys.on(""))
			expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
			expect(t, "errors", test.errs, texts(errs))
			if len(warnings) != 1 {
				t.Errorf("warnings %q, want one about the name", warnings)
			}
		})
	}
}

// sameDirectory is the error of a second token with the directory of another.
func sameDirectory(key, dir, other, theirs string) string {
	return fmt.Sprintf("metadata.annotations[oidc-injector.io/%s]: Invalid value: %q: "+
		"token %q has the same directory, mount-path %s: a token has a volume, and so a directory, of its own", key, dir, other, theirs)
}

// TestTokenConflicts shows the errors between tokens that some
// container may have both of.
func TestTokenConflicts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys keys
		os   annotations.OS
		errs []string
	}{
		"the same directory": {
			keys: keys{"audience": "vault", "audience.aws": "sts", "mount-path.aws": "/var/run/secrets/tokens", "token-file.aws": "aws"},
			errs: []string{sameDirectory("mount-path.aws", "/var/run/secrets/tokens", "default", "/var/run/secrets/tokens")},
		},
		"the same directory by its two names": {
			keys: keys{"audience": "vault", "audience.aws": "sts", "mount-path.aws": "/run/secrets/tokens"},
			errs: []string{sameDirectory("mount-path.aws", "/run/secrets/tokens", "default", "/var/run/secrets/tokens")},
		},
		"the same directory, which another token has by default": {
			keys: keys{"audience": "vault", "mount-path": "/var/run/secrets/tokens-aws", "audience.aws": "sts"},
			errs: []string{sameDirectory("audience.aws", "/var/run/secrets/tokens-aws", "default", "/var/run/secrets/tokens-aws")},
		},
		"the same directory, in some container": {
			keys: keys{
				"audience.a": "a", "mount-path.a": "/t", "containers.a": "app,worker",
				"audience.b": "b", "mount-path.b": "/t", "skip-containers.b": "app",
			},
			errs: []string{sameDirectory("mount-path.b", "/t", "a", "/t")},
		},
		"the same directory on Windows, whose names have no case": {
			keys: keys{"audience.a": "a", "mount-path.a": `C:\Tokens`, "audience.b": "b", "mount-path.b": "/tokens"},
			os:   annotations.Windows,
			errs: []string{sameDirectory("mount-path.b", "/tokens", "a", `C:\Tokens`)},
		},
		"another case elsewhere": {
			keys: keys{"audience.a": "a", "mount-path.a": "/Tokens", "audience.b": "b", "mount-path.b": "/tokens"},
		},
		"one file name in two directories": {
			keys: keys{"audience.a": "a", "token-file.a": "jwt", "audience.b": "b", "token-file.b": "jwt"},
		},
		"two modes": {
			keys: keys{"audience": "vault", "file-mode": "0400", "audience.aws": "sts", "file-mode.aws": "440"},
		},
		"a directory inside another": {
			keys: keys{"audience": "vault", "audience.aws": "sts", "mount-path.aws": "/var/run/secrets/tokens/aws"},
		},
		"a directory over the file of another": {
			keys: keys{"audience": "vault", "audience.aws": "sts", "mount-path.aws": "/var/run/secrets/tokens/oidc-token"},
			errs: []string{`metadata.annotations[oidc-injector.io/mount-path.aws]: Invalid value: "/var/run/secrets/tokens/oidc-token": ` +
				`token "default" has ` +
				"mount-path /var/run/secrets/tokens, " +
				"and one of the two directories would hide the other's file: give one of them another mount-path"},
		},
		"a directory inside another, by the other name": {
			keys: keys{"audience": "vault", "audience.aws": "sts", "mount-path.aws": "/run/secrets/tokens/aws"},
			errs: []string{`metadata.annotations[oidc-injector.io/mount-path.aws]: Invalid value: "/run/secrets/tokens/aws": token ` +
				`"default" has mount-path ` +
				"/var/run/secrets/tokens, and where /var/run is a link to /run one lies in the other: write both the same way"},
		},
		"a directory around another": {
			keys: keys{"audience.a": "a", "mount-path.a": "/t/a", "audience.b": "b", "mount-path.b": "/t"},
		},
		"the same variable": {
			keys: keys{"audience": "vault", "env": "TOKEN", "audience.aws": "sts", "env.aws": "TOKEN"},
			errs: []string{`metadata.annotations[oidc-injector.io/env.aws]: Invalid value: "TOKEN": token "default" sets the same ` +
				`variable`},
		},
		"each pair, directory and variable": {
			keys: keys{
				"audience.a": "a", "mount-path.a": "/t", "env.a": "TOKEN", "containers.a": "app",
				"audience.b": "b", "mount-path.b": "/t", "env.b": "TOKEN", "containers.b": "worker",
				"audience.c": "c", "mount-path.c": "/t", "env.c": "TOKEN",
			},
			errs: []string{
				`metadata.annotations[oidc-injector.io/env.c]: Invalid value: "TOKEN": token "a" sets the same variable`,
				`metadata.annotations[oidc-injector.io/env.c]: Invalid value: "TOKEN": token "b" sets the same variable`,
				sameDirectory("mount-path.c", "/t", "a", "/t"),
				sameDirectory("mount-path.c", "/t", "b", "/t"),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, warnings, errs := newParser().Parse(test.keys.on(test.os))
			expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
			expect(t, "errors", test.errs, texts(errs))
			expect(t, "warnings", nil, warnings)
		})
	}
}

func TestTooManyTokens(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.Profiles = map[string]annotations.Preset{"clouds": {"audience.aws": "sts", "audience.azure": "entra"}}
	tokens := func(n int, others keys) annotations.Input {
		for i := range n {
			others[fmt.Sprintf("audience.t%02d", i)] = "vault"
		}
		return others.on("")
	}
	for name, test := range map[string]struct {
		in     annotations.Input
		tokens int
		errs   []string
	}{
		"as many as allowed": {in: tokens(32, keys{}), tokens: 32},
		"one more": {
			in: tokens(33, keys{}), tokens: 32,
			errs: []string{"metadata.annotations: Forbidden: asks for more than 32 tokens by oidc-injector.io/audience.NAME: a pod may " +
				"have at most 32"},
		},
		"by a profile": {
			in: tokens(31, keys{"profile": "clouds"}), tokens: 31, // and the default one, of which nothing is said
			errs: []string{"metadata.annotations: Forbidden: asks for more than 32 tokens by oidc-injector.io/audience.NAME: a pod may " +
				"have at most 32"},
		},
		"of a pod that opts out": {in: tokens(33, keys{"inject": "false"})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec, _, errs := p.Parse(test.in)
			expect(t, "errors", test.errs, texts(errs))
			if len(spec.Tokens) != test.tokens {
				t.Errorf("got %d tokens, want %d", len(spec.Tokens), test.tokens)
			}
		})
	}
}

func TestAnnotationsTooLong(t *testing.T) {
	t.Parallel()
	_, _, errs := newParser().Parse(keys{"audience": strings.Repeat("a", 256<<10)}.on(""))
	expect(t, "errors", []string{"metadata.annotations: Too long: may not be more than 262144 bytes"}, texts(errs))
	// Those of others are not ours to judge.
	in := keys{"audience": "vault"}.on("")
	in.Annotations = append(in.Annotations, annotations.Annotation{Name: "example.com/long", Value: strings.Repeat("a", 256<<10)})
	_, _, errs = newParser().Parse(in)
	expect(t, "errors", nil, texts(errs))
}

func TestTooManyContainerNames(t *testing.T) {
	t.Parallel()
	list := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("c%d", i)
		}
		return strings.Join(names, ",")
	}
	_, _, errs := newParser().Parse(keys{"audience": "vault", "containers": list(100)}.on(""))
	expect(t, "errors", nil, texts(errs))
	// Unbounded, a list of as many as fit kept the parser busy for seconds.
	_, _, errs = newParser().Parse(keys{"audience": "vault", "containers": list(30_000)}.on(""))
	expect(t, "errors", []string{
		`metadata.annotations[oidc-injector.io/containers]: Invalid value: "` + list(30_000)[:128] + `…": ` +
			"must be container names, separated by commas, such as app,worker; at most 100",
	}, texts(errs))
}
