package annotations_test

import (
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/endpoint"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// FuzzParse checks what holds for all annotations, however odd.
func FuzzParse(f *testing.F) {
	f.Add("audience", "vault", "expiration", "2h", "env", "TOKEN", false)
	f.Add("audience", "", "expiration", "-9223372036854775808", "mount-path", "/../etc", false)
	f.Add("audience.aws", "sts\n", "token-file.aws", "../x", "containers.aws", "app,,", false)
	f.Add("audience", "vault", "audience.b", "b", "token-file.b", "oidc-token", false)
	f.Add("audience", "vault", "mount-path", `C:\a\..\b`, "file-mode", "0o777", true)
	f.Add("audience.b", "vault", "mount-path", `D:/`, "audience", "x", true)
	f.Add("profile", "clouds", "inject.aws", "false", "skip-containers.azure", "a", false)
	f.Add("profile.x", "mixed", "profile", "unknown", "expiration.x", "1", false)
	f.Add("audience.\x00", "v", "expiratoin.\u202e", "5124095h36m", "", "x", false)
	f.Add("containers", "a", "skip-containers", "b", "audience", "a b", false)
	f.Add("profile", "login", "login-role", "demo", "login-ca-secret", "a/b", false)
	f.Add("profile", "login", "login-mount-path", "/var/run/oidc-login", "login-env", "VAULT_ADDR", true)
	f.Add("profile", "login", "login.ca", "jwt-bearer", "login-issuer.ca", "https://[::1]:8200/a", false)
	f.Add("audience", "sts", "login", "token-exchange", "login-issuer", "https://a@b", false)
	f.Add("audience", "a", "login", "client-assertion", "login-address", "HTTPS://H.:443//", false)
	f.Add("profile.x", "login", "login-file.x", "ca.crt", "login-token.x", "\x1b[2J", false)
	f.Add("login.x", "vault", "login-mount.x", "a/../..", "login-mode", "init", false)
	f.Add("login-"+strings.Repeat("\xd8", 17_000), "", "audience", "vault", "inject", "true", false)
	f.Add("profile", "login", "login-namespace", "$(A)", "env", "VAULT_TOKEN_FILE", false)
	f.Add("aws-role-arn", "arn:aws:iam::123456789012:role/a", "aws-region.x", "eu-central-1", "expiration.aws", "20m", false)
	f.Add("gcp-provider", "projects/123456/locations/global/workloadIdentityPools/pool/providers/cluster", "token-file.gcp",
		"google-credentials.json", "audience.gcp", "x", true)
	f.Add("provider", "azure", "azure-client-id", "x", "azure-tenant-id", "a.b", false)
	f.Add("snowflake-account", "a", "mount-path.snowflake", "/a'b", "provider.b", "stackit", false)
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2, key3, value3 string, windows bool) {
		k := keys{key1: value1, key2: value2, key3: value3}
		os := annotations.OS("")
		if windows {
			os = annotations.Windows
		}
		p := newParser()
		p.Profiles, p.Providers = profiles(), provider.BuiltIn()
		spec, warnings, errs := p.Parse(k.on(os))

		again, warningsAgain, errsAgain := p.Parse(k.on(os))
		expectTokens(t, spec.Tokens, again.Tokens)
		expectLogins(t, spec.Logins, again.Logins)
		expect(t, "warnings of a second call", warnings.Texts(), warningsAgain)
		expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
		expect(t, "errors of a second call", texts(errs), texts(errsAgain))

		for _, warning := range warnings.Texts() {
			if strings.ContainsFunc(warning, unicode.IsControl) || len(warning) > 1024 {
				t.Errorf("warning %q is no line for a terminal", warning)
			}
		}
		for _, err := range errs {
			checkPointsAtAnnotation(t, k, err.Field)
		}
		if spec.OptedOut && len(spec.Tokens)+len(spec.Logins)+len(warnings)+len(errs) > 0 {
			t.Errorf("opted out, and yet %v, %v, %q, %q", spec.Tokens, spec.Logins, warnings, texts(errs))
		}
		if len(errs) > 0 {
			return
		}
		for i := range spec.Tokens {
			checkToken(t, &spec.Tokens[i], os)
		}
		for i := range spec.Logins {
			checkLogin(t, &spec.Logins[i], spec, os)
		}
	})
}

// checkPointsAtAnnotation wants an error to name an annotation of the pod, or
// another key of a token that the pod or its profile speaks of.
func checkPointsAtAnnotation(t *testing.T, k keys, at string) {
	t.Helper()
	key, ok := strings.CutPrefix(at, "metadata.annotations[oidc-injector.io/")
	if !ok {
		t.Errorf("error at %q", at)
		return
	}
	key = strings.TrimSuffix(key, "]")
	if _, present := k[key]; present {
		return
	}
	if strings.HasSuffix(key, "…") {
		return // of an annotation that is too long to be repeated
	}
	key, token, _ := strings.Cut(key, ".")
	if !slices.Contains([]string{"audience", "token-file", "mount-path", "file-mode", "env", "login", "login-address", "login-issuer"},
		key) && !requiredByProvider(key) {
		t.Errorf("error at %q, which is neither there nor missing", at)
	}
	for other := range k {
		_, suffix, _ := strings.Cut(other, ".")
		if suffix == token || other == "profile" || requiredByProvider(key) {
			return
		}
	}
	t.Errorf("error at %q, and nothing speaks of token %q", at, token)
}

// requiredByProvider reports whether a provider needs a parameter of this key.
func requiredByProvider(key string) bool {
	k, found := provider.BuiltIn().Key(key)
	return found && k.Parameter().Required
}

// checkToken wants a token that was accepted to be within all bounds.
func checkToken(t *testing.T, token *annotations.Token, os annotations.OS) {
	t.Helper()
	full := token.Path(os)
	if os == annotations.Windows {
		full = strings.ReplaceAll(full, `\`, "/")
		full = full[len("C:"):]
	}
	problems := map[string]bool{
		"audience": token.Audience == "" || strings.TrimSpace(token.Audience) != token.Audience ||
			strings.ContainsFunc(token.Audience, unicode.IsControl),
		"expiration": token.ExpirationSeconds < 600 || token.ExpirationSeconds > 86400,
		"path":       full != path.Clean(full) || !path.IsAbs(full) || path.Base(full) != token.File || path.Dir(full) == "/",
		"reserved":   strings.HasPrefix(full, "/var/run/secrets/kubernetes.io/serviceaccount/") || strings.HasPrefix(full, "/proc/"),
		"file":       strings.HasPrefix(token.File, ".."),
		"file mode":  token.FileMode != nil && (*token.FileMode&0o444 == 0 || *token.FileMode&^0o777 != 0),
		"env":        token.Env != "" && len(validation.IsEnvVarName(token.Env)) > 0,
		"source":     token.Source == nil,
		"scope":      token.Scope.Only != nil && token.Scope.Skip != nil,
	}
	for what, wrong := range problems {
		if wrong {
			t.Errorf("accepted with a wrong %s: %s", what, cmp.Diff(annotations.Token{}, *token, samePaths))
		}
	}
}

// checkLogin wants a login that was accepted to be within all bounds.
func checkLogin(t *testing.T, login *annotations.Login, spec annotations.Spec, os annotations.OS) {
	t.Helper()
	token := slices.IndexFunc(spec.Tokens, func(t annotations.Token) bool { return t.Name == login.Token })
	if token < 0 {
		t.Fatalf("login %q has no token", login.DisplayName())
	}
	apart := func(dir string) bool {
		return !annotations.Within(dir, login.MountPath) && !annotations.Within(login.MountPath, dir)
	}
	method := login.Spec()
	var given []string
	for _, name := range method.Needs {
		if value := login.Options[name]; value != "" {
			given = append(given, value)
		}
	}
	invalid := func(name loginspec.Name, value string) bool {
		o := method.Option(name)
		return o == nil || value == "" || o.Validate(value) != nil || name != loginspec.Parameters &&
			strings.ContainsFunc(value, unicode.IsControl)
	}
	u, err := endpoint.ParseWithQuery(login.URL())
	problems := map[string]bool{
		"system":  os == annotations.Windows,
		"method":  method.Name == "" || method.Name != login.Method,
		"mode":    login.Options["mode"] != "sidecar" && login.Options["mode"] != "init",
		"format":  !slices.Contains([]string{"raw", "json", "env"}, login.Options["output-format"]),
		"address": err != nil || len(given) != 1 || u.User != nil || u.Fragment != "",
		"variable": len(validation.IsEnvVarName(login.Env)) > 0 || login.Env == spec.Tokens[token].Env &&
			login.Containers.Overlaps(spec.Tokens[token].Scope),
		"path":      login.Path() != path.Clean(login.Path()) || !path.IsAbs(login.Path()) || path.Base(login.Path()) != login.File,
		"directory": !apart(spec.Tokens[token].MountPath) || !apart("/var/run/secrets/kubernetes.io/serviceaccount") || !apart("/proc"),
		"file":      login.File[0] == '.' || login.Path() == login.CAPath() || len(login.File) > 200,
		"CA": login.CA != nil && (login.CA.Name+login.CA.Signer == "" ||
			(login.CA.Key == "") != (login.CA.Kind == annotations.ClusterTrustBundle) || !apart("/var/run/oidc-login/ca")),
		"client": len(login.Client) > 0 && !apart("/var/run/oidc-login/client"),
		"options": slices.ContainsFunc(slices.Collect(maps.Keys(login.Options)),
			func(n loginspec.Name) bool { return invalid(n, login.Options[n]) }),
		"mount": login.Options["mount"] != "" && (!filepath.IsLocal(login.Options["mount"]) ||
			login.Options["mount"] != path.Clean(login.Options["mount"])),
		"source": login.Source == nil,
		"scope":  login.Containers.Only != nil && login.Containers.Skip != nil,
	}
	for what, wrong := range problems {
		if wrong {
			t.Errorf("accepted with a wrong %s: %s", what, cmp.Diff(annotations.Login{}, *login, samePaths))
		}
	}
}
