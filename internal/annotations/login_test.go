package annotations_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// vaultKeys ask for the simplest login with Vault, oauthKeys for that with an
// OAuth issuer.
var (
	vaultKeys = keys{"audience": "vault", "login": "vault", "login-address": "https://vault.example.com:8200"}
	oauthKeys = keys{"audience": "sts", "login": "token-exchange", "login-issuer": "https://login.example.com"}
)

// and returns the keys with others, which win.
func (k keys) and(others keys) keys {
	all := maps.Clone(k)
	maps.Copy(all, others)
	return all
}

// without returns the keys without one of them.
func (k keys) without(key string) keys {
	all := maps.Clone(k)
	delete(all, key)
	return all
}

// vaultLogin is the login of vaultKeys, edited.
func vaultLogin(edit func(*annotations.Login)) annotations.Login {
	l := annotations.Login{
		Method: "vault", Options: loginspec.Values{
			"address": "https://vault.example.com:8200", "mount": "jwt", "check-interval": "5m", "mode": "sidecar", "output-format": "raw",
		},
		MountPath: "/var/run/secrets/login", File: "token", Env: "VAULT_TOKEN_FILE", ClientEnv: true, Source: at("login"),
	}
	if edit != nil {
		edit(&l)
	}
	return l
}

// oauthLogin is the login of oauthKeys, edited.
func oauthLogin(edit func(*annotations.Login)) annotations.Login {
	return vaultLogin(func(l *annotations.Login) {
		l.Method, l.Env = "token-exchange", "ACCESS_TOKEN_FILE"
		l.Options = loginspec.Values{
			"issuer": "https://login.example.com", "client-auth": "none", "subject-token-type": "jwt", "body": "form", "jwt-use": "many",
			"mode": "sidecar", "output-format": "raw",
		}
		l.ClientEnv = false
		if edit != nil {
			edit(l)
		}
	})
}

// asMethod makes a login of OAuth one of another method, with the options that it
// has.
func asMethod(l *annotations.Login, method string) {
	l.Method = method
	maps.DeleteFunc(l.Options, func(n loginspec.Name, _ string) bool { return loginspec.MethodOf(method).Option(n) == nil })
}

func expectLogins(t *testing.T, want, got []annotations.Login) {
	t.Helper()
	for i := range want {
		maps.DeleteFunc(want[i].Options, func(_ loginspec.Name, value string) bool { return value == "" })
	}
	if len(want)+len(got) == 0 {
		return
	}
	if diff := cmp.Diff(want, got, samePaths); diff != "" {
		t.Errorf("logins (-want +got):\n%s", diff)
	}
}

// TestLogins shows what each annotation of a login does.
func TestLogins(t *testing.T) {
	t.Parallel()
	type Login = annotations.Login
	for name, test := range map[string]struct {
		keys   keys
		logins []Login
	}{
		"no login":        {keys{"audience": "vault"}, nil},
		"Vault":           {vaultKeys, []Login{vaultLogin(nil)}},
		"an OAuth issuer": {oauthKeys, []Login{oauthLogin(nil)}},
		"http, which the policy decides on": {
			vaultKeys.and(keys{"login-address": "http://vault"}),
			[]Login{vaultLogin(func(l *Login) { l.Options["address"] = "http://vault" })},
		},
		"an OAuth token endpoint": {
			oauthKeys.without("login-issuer").and(keys{"login-address": "https://login.example.com/token"}),
			[]Login{oauthLogin(func(l *Login) { l.Options["issuer"], l.Options["address"] = "", "https://login.example.com/token" })},
		},
		"another OAuth method": {
			oauthKeys.and(keys{"login": "jwt-bearer"}),
			[]Login{oauthLogin(func(l *Login) { asMethod(l, "jwt-bearer") })},
		},
		"a client": {
			oauthKeys.and(keys{"login": "client-assertion", "login-client-id": "app $1"}),
			[]Login{oauthLogin(func(l *Login) { asMethod(l, "client-assertion"); l.Options["client-id"] = "app $1" })},
		},
		"a role": {
			vaultKeys.and(keys{"login-role": "demo"}),
			[]Login{vaultLogin(func(l *Login) { l.Options["role"] = "demo" })},
		},
		"a mount": {
			vaultKeys.and(keys{"login-mount": "teams/k8s"}),
			[]Login{vaultLogin(func(l *Login) { l.Options["mount"] = "teams/k8s" })},
		},
		"a Vault namespace": {
			vaultKeys.and(keys{"login-namespace": "admin/ü/"}),
			[]Login{vaultLogin(func(l *Login) { l.Options["namespace"] = "admin/ü/" })},
		},
		"a ConfigMap": {vaultKeys.and(keys{"login-ca-configmap": "vault-ca"}), []Login{vaultLogin(func(l *Login) {
			l.CA = &annotations.Object{Kind: annotations.ConfigMap, Name: "vault-ca", Key: "ca.crt"}
		})}},
		"a ConfigMap's key": {vaultKeys.and(keys{"login-ca-configmap": "vault-ca/root.pem"}), []Login{vaultLogin(func(l *Login) {
			l.CA = &annotations.Object{Kind: annotations.ConfigMap, Name: "vault-ca", Key: "root.pem"}
		})}},
		"a Secret": {
			vaultKeys.and(keys{"login-ca-secret": "vault.ca"}),
			[]Login{vaultLogin(func(l *Login) { l.CA = &annotations.Object{Kind: annotations.Secret, Name: "vault.ca", Key: "ca.crt"} })},
		},
		"a Secret's key": {
			vaultKeys.and(keys{"login-ca-secret": "tls/tls.crt"}),
			[]Login{vaultLogin(func(l *Login) { l.CA = &annotations.Object{Kind: annotations.Secret, Name: "tls", Key: "tls.crt"} })},
		},
		"the mode init": {
			vaultKeys.and(keys{"login-mode": "init"}),
			[]Login{vaultLogin(func(l *Login) { l.Options["mode"] = "init" })},
		},
		"the mode sidecar": {vaultKeys.and(keys{"login-mode": "sidecar"}), []Login{vaultLogin(nil)}},
		"a directory and a file": {
			vaultKeys.and(keys{"login-mount-path": "/vault", "login-file": "t.json"}),
			[]Login{vaultLogin(func(l *Login) { l.MountPath, l.File = "/vault", "t.json" })},
		},
		"the longest file name": {
			vaultKeys.and(keys{"login-file": strings.Repeat("f", 200)}),
			[]Login{vaultLogin(func(l *Login) { l.File = strings.Repeat("f", 200) })},
		},
		"the format json": {
			vaultKeys.and(keys{"login-format": "json"}),
			[]Login{vaultLogin(func(l *Login) { l.Options["output-format"] = "json" })},
		},
		"the format env": {
			vaultKeys.and(keys{"login-format": "env"}),
			[]Login{vaultLogin(func(l *Login) { l.Options["output-format"] = "env" })},
		},
		"a variable": {
			vaultKeys.and(keys{"login-env": "MY_TOKEN"}),
			[]Login{vaultLogin(func(l *Login) { l.Env = "MY_TOKEN" })},
		},
		"the scope": {
			oauthKeys.and(keys{"login-scope": "read write"}),
			[]Login{oauthLogin(func(l *Login) { l.Options["scope"] = "read write" })},
		},
		"resources": {
			oauthKeys.and(keys{"login-resource": "https://a.example urn:b"}),
			[]Login{oauthLogin(func(l *Login) { l.Options["resource"] = "https://a.example urn:b" })},
		},
		"an audience at the relying party": {
			oauthKeys.and(keys{"login-target-audience": "api"}),
			[]Login{oauthLogin(func(l *Login) { l.Options["target-audience"] = "api" })},
		},

		"the containers of the token": {
			vaultKeys.and(keys{"containers": "app"}),
			[]Login{vaultLogin(func(l *Login) { l.Containers = annotations.Scope{Only: []string{"app"}, Written: true} })},
		},
		"a name": {
			keys{"audience.x": "vault", "login.x": "vault", "login-address.x": "https://vault.example.com:8200"},
			[]Login{vaultLogin(func(l *Login) {
				l.Name, l.Token, l.MountPath, l.Env, l.Source = "x", "x", "/var/run/secrets/login-x", "VAULT_TOKEN_FILE_X", at("login.x")
			})},
		},
		"a name with a hyphen": {
			keys{"audience.a-b": "sts", "login.a-b": "jwt-bearer", "login-issuer.a-b": "https://login.example.com"},
			[]Login{oauthLogin(func(l *Login) {
				l.Name, l.Token, l.MountPath, l.Env, l.Source = "a-b", "a-b", "/var/run/secrets/login-a-b", "ACCESS_TOKEN_FILE_A_B",
					at("login.a-b")
				asMethod(l, "jwt-bearer")
			})},
		},
		"the default one first, then by name; each has its own containers, and the default token where it has none": {
			vaultKeys.and(keys{
				"containers": "app",
				"login.b":    "token-exchange", "login-issuer.b": "https://login.example.com", "skip-containers.b": "app",
				"login.a": "vault", "login-address.a": "https://vault.example.com:8200", "login-mount-path.a": "/a", "login-env.a": "A",
			}),
			[]Login{
				vaultLogin(func(l *Login) { l.Containers = annotations.Scope{Only: []string{"app"}, Written: true} }),
				vaultLogin(func(l *Login) { l.Name, l.MountPath, l.Env, l.Source = "a", "/a", "A", at("login.a") }),
				oauthLogin(func(l *Login) {
					l.Name, l.MountPath, l.Env, l.Source = "b", "/var/run/secrets/login-b", "ACCESS_TOKEN_FILE_B", at("login.b")
					l.Containers = annotations.Scope{Skip: []string{"app"}, Written: true}
				}),
			},
		},
		"a token by its name": {
			vaultKeys.without("audience").and(keys{"audience.jwt": "vault", "containers.jwt": "oidc-login", "login-token": "jwt"}),
			[]Login{vaultLogin(func(l *Login) { l.Token = "jwt" })},
		},
		"the default token by its name": {
			vaultKeys.and(keys{
				"audience.x": "x", "login.x": "vault", "login-address.x": "https://vault.example.com:8200",
				"login-token.x": "default",
			}),
			[]Login{vaultLogin(nil), vaultLogin(func(l *Login) {
				l.Name, l.MountPath, l.Env, l.Source = "x", "/var/run/secrets/login-x", "VAULT_TOKEN_FILE_X", at("login.x")
			})},
		},
		"logins that no container has both of may share everything": {
			vaultKeys.and(keys{
				"containers": "app",
				"login.b":    "vault", "login-address.b": "https://vault.example.com:8200", "login-mount-path.b": "/var/run/secrets/login",
				"login-env.b": "VAULT_TOKEN_FILE", "containers.b": "worker",
			}),
			[]Login{
				vaultLogin(func(l *Login) { l.Containers = annotations.Scope{Only: []string{"app"}, Written: true} }),
				vaultLogin(func(l *Login) {
					l.Name, l.Source = "b", at("login.b")
					l.Containers = annotations.Scope{Only: []string{"worker"}, Written: true}
				}),
			},
		},
		"one that is opted out of": {
			vaultKeys.and(keys{"login.x": "?", "login-file.x": "/", "inject.x": "false"}),
			[]Login{vaultLogin(nil)},
		},
		"inject says nothing new": {vaultKeys.and(keys{
			"inject": "true", "login.x": "vault",
			"login-address.x": "https://vault.example.com:8200", "inject.x": "true",
		}), []Login{vaultLogin(nil), vaultLogin(func(l *Login) {
			l.Name, l.MountPath, l.Env, l.Source = "x", "/var/run/secrets/login-x", "VAULT_TOKEN_FILE_X", at("login.x")
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec, warnings, errs := newParser().Parse(test.keys.on(""))
			expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
			expectLogins(t, test.logins, spec.Logins)
			expect(t, "warnings", nil, warnings)
			expect(t, "errors", nil, texts(errs))
		})
	}
}

// TestLoginsDenied shows every error of one login as the person at kubectl reads it.
func TestLoginsDenied(t *testing.T) {
	t.Parallel()
	const (
		text = "must be a text of 1 to 1024 bytes, without control characters and without white space at its ends"
		ca   = "must be the name of a ConfigMap of the pod's namespace, and a key of it if that is not ca.crt, " +
			"such as vault or vault/ca.crt"
		mount    = "must be the path at which the auth method is mounted, such as jwt or teams/jwt"
		fileName = `must be a file name of at most 255 bytes, without '/', '\', ':', '$', ".." or control characters`
		keptFile = "must not begin with '.', be ca.crt or be longer than 200 bytes: the login container keeps such files beside the result"
		uris     = "must be absolute URIs without a fragment, separated by spaces (RFC 8707 section 2)"
		env      = "must be the name of an environment variable: letters, digits and '_', not starting with a digit, " +
			"such as VAULT_TOKEN_FILE"
		tokens = "must be the name of a token: the suffix of its annotations, or default for the token without one"
	)
	invalid := func(key, value, allowed string) []string {
		return []string{fmt.Sprintf("metadata.annotations[oidc-injector.io/%s]: Invalid value: %q: %s", key, value, allowed)}
	}
	unsupported := func(key, value, allowed string) []string {
		return []string{fmt.Sprintf("metadata.annotations[oidc-injector.io/%s]: Unsupported value: %q: supported values: %s", key, value,
			allowed)}
	}
	required := func(key, why string) []string {
		return []string{fmt.Sprintf("metadata.annotations[oidc-injector.io/%s]: Required value: %s", key, why)}
	}
	// vault and oauth add a key to a pod that is right otherwise.
	vault := func(key, value string) keys { return vaultKeys.and(keys{key: value}) }
	oauth := func(key, value string) keys { return oauthKeys.and(keys{key: value}) }
	long := strings.Repeat("a", 1025)

	for name, test := range map[string]struct {
		keys keys
		os   annotations.OS
		errs []string
	}{
		"login: empty": {
			keys: vault("login", ""),
			errs: unsupported("login", "", `"vault", "token-exchange", "jwt-bearer", "client-assertion", "http"`),
		},
		"login: true": {
			keys: vault("login", "true"),
			errs: unsupported("login", "true", `"vault", "token-exchange", "jwt-bearer", "client-assertion", "http"`),
		},
		"login: in capitals": {
			keys: vault("login", "Vault"),
			errs: unsupported("login", "Vault", `"vault", "token-exchange", "jwt-bearer", "client-assertion", "http"`),
		},
		"login: mistyped, with keys of some methods": {
			keys: vaultKeys.and(keys{"login": "valt", "login-role": "demo", "login-scope": "a"}),
			errs: unsupported("login", "valt", `"vault", "token-exchange", "jwt-bearer", "client-assertion", "http"`),
		},
		"login-mode: daemon": {keys: vault("login-mode", "daemon"), errs: unsupported("login-mode", "daemon", `"sidecar", "init"`)},
		"login-mode: empty":  {keys: vault("login-mode", ""), errs: unsupported("login-mode", "", `"sidecar", "init"`)},
		"login-format: yaml": {keys: vault("login-format", "yaml"), errs: unsupported("login-format", "yaml", `"raw", "json", "env"`)},
		"login-format: huge": {
			keys: vault("login-format", long),
			errs: unsupported("login-format", long[:128]+"…", `"raw", "json", "env"`),
		},

		"login-address: no URL": {
			keys: vault("login-address", "vault:8200"),
			errs: invalid("login-address", "vault:8200", "must be a URL of at most 1024 bytes, such as https://vault.example.com:8200"),
		},
		"login-issuer: no URL": {
			keys: oauth("login-issuer", ""),
			errs: invalid("login-issuer", "", "must begin with https:// (or with http://, where the injector's policy allows that), such "+
				"as https://vault.example.com:8200"),
		},
		"login-address of OAuth": {
			keys: oauthKeys.without("login-issuer").and(keys{"login-address": "https://a@b"}),
			errs: invalid("login-address", "https://a@b", "must not hold a user or a password"),
		},

		"login-role: empty":            {keys: vault("login-role", ""), errs: invalid("login-role", "", text)},
		"login-role: blank at the end": {keys: vault("login-role", "demo "), errs: invalid("login-role", "demo ", text)},
		"login-role: line feed":        {keys: vault("login-role", "a\nb"), errs: invalid("login-role", "a\nb", text)},
		"login-role: long":             {keys: vault("login-role", long), errs: invalid("login-role", long[:128]+"…", text)},
		"login-namespace: a header more": {
			keys: vault("login-namespace", "a\r\nX-Vault-Token: b"),
			errs: invalid("login-namespace", "a\r\nX-Vault-Token: b", text),
		},
		"login-client-id: empty":       {keys: oauth("login-client-id", ""), errs: invalid("login-client-id", "", text)},
		"login-scope: tab":             {keys: oauth("login-scope", "a\tb"), errs: invalid("login-scope", "a\tb", text)},
		"login-target-audience: blank": {keys: oauth("login-target-audience", " "), errs: invalid("login-target-audience", " ", text)},
		"login-resource: empty":        {keys: oauth("login-resource", ""), errs: invalid("login-resource", "", text)},
		"login-resource: relative": {
			keys: oauth("login-resource", "https://a.example api"),
			errs: invalid("login-resource", "https://a.example api", uris),
		},
		"login-resource: a fragment": {
			keys: oauth("login-resource", "https://a.example#x"),
			errs: invalid("login-resource", "https://a.example#x", uris),
		},
		"login-resource: empty fragment": {
			keys: oauth("login-resource", "https://a.example#"),
			errs: invalid("login-resource", "https://a.example#", uris),
		},
		"login-resource: no URI": {keys: oauth("login-resource", "https://[a"), errs: invalid("login-resource", "https://[a", uris)},

		"login-mount: empty":     {keys: vault("login-mount", ""), errs: invalid("login-mount", "", text)},
		"login-mount: line feed": {keys: vault("login-mount", "a\nb"), errs: invalid("login-mount", "a\nb", text)},
		"login-mount: the API's path": {
			keys: vault("login-mount", "auth/jwt"),
			errs: invalid("login-mount", "auth/jwt", "must be the path at which the auth method is mounted, without auth/ before it"),
		},
		"login-mount: a slash before":  {keys: vault("login-mount", "/jwt"), errs: invalid("login-mount", "/jwt", mount)},
		"login-mount: a slash behind":  {keys: vault("login-mount", "jwt/"), errs: invalid("login-mount", "jwt/", mount)},
		"login-mount: climbs out":      {keys: vault("login-mount", "../sys"), errs: invalid("login-mount", "../sys", mount)},
		"login-mount: climbs out late": {keys: vault("login-mount", "a/../../sys"), errs: invalid("login-mount", "a/../../sys", mount)},
		"login-mount: a dot":           {keys: vault("login-mount", "."), errs: invalid("login-mount", ".", mount)},
		"login-mount: a query":         {keys: vault("login-mount", "jwt?a=b"), errs: invalid("login-mount", "jwt?a=b", mount)},
		"login-mount: a fragment":      {keys: vault("login-mount", "jwt#"), errs: invalid("login-mount", "jwt#", mount)},
		"login-mount: an escape":       {keys: vault("login-mount", "a%2f..%2fsys"), errs: invalid("login-mount", "a%2f..%2fsys", mount)},

		"login-ca-configmap: empty":     {keys: vault("login-ca-configmap", ""), errs: invalid("login-ca-configmap", "", ca)},
		"login-ca-configmap: capitals":  {keys: vault("login-ca-configmap", "CA"), errs: invalid("login-ca-configmap", "CA", ca)},
		"login-ca-configmap: empty key": {keys: vault("login-ca-configmap", "ca/"), errs: invalid("login-ca-configmap", "ca/", ca)},
		"login-ca-configmap: two keys":  {keys: vault("login-ca-configmap", "ca/a/b"), errs: invalid("login-ca-configmap", "ca/a/b", ca)},
		"login-ca-secret: climbs out": {
			keys: vault("login-ca-secret", "ca/.."),
			errs: invalid("login-ca-secret", "ca/..", strings.Replace(ca, "ConfigMap", "Secret", 1)),
		},
		"login-ca-secret: no name": {
			keys: vault("login-ca-secret", "/tls.crt"),
			errs: invalid("login-ca-secret", "/tls.crt", strings.Replace(ca, "ConfigMap", "Secret", 1)),
		},
		"both": {
			keys: vaultKeys.and(keys{"login-ca-configmap": "a", "login-ca-secret": "b"}),
			errs: invalid("login-ca-secret", "b", "say either login-ca-configmap or login-ca-secret, not both"),
		},

		"login-mount-path: relative": {
			keys: vault("login-mount-path", "login"),
			errs: invalid("login-mount-path", "login", "must be an absolute path, such as /var/run/secrets/login"),
		},
		"login-mount-path: Windows": {
			keys: vault("login-mount-path", `C:\login`),
			errs: invalid("login-mount-path", `C:\login`, "must be an absolute path, such as /var/run/secrets/login"),
		},
		"login-mount-path: unclean": {
			keys: vault("login-mount-path", "/a/"),
			errs: invalid("login-mount-path", "/a/", uncleanPath("/a")),
		},
		"login-mount-path: reserved": {
			keys: vault("login-mount-path", "/tmp"),
			errs: invalid("login-mount-path", "/tmp", "is reserved: a volume there would hide the container's own files; choose a "+
				"directory of its own, such as /var/run/secrets/login"),
		},
		"login-mount-path: expandable": {keys: vault("login-mount-path", "/$(A)"), errs: invalid("login-mount-path", "/$(A)", badPath)},
		"login-mount-path: the API's": {
			keys: vault("login-mount-path", "/var/run/secrets/kubernetes.io"),
			errs: invalid("login-mount-path", "/var/run/secrets/kubernetes.io", apiPath),
		},

		"login-file: empty":       {keys: vault("login-file", ""), errs: invalid("login-file", "", fileName)},
		"login-file: a directory": {keys: vault("login-file", "a/b"), errs: invalid("login-file", "a/b", fileName)},
		"login-file: expandable":  {keys: vault("login-file", "$(A)"), errs: invalid("login-file", "$(A)", fileName)},
		"login-file: hidden":      {keys: vault("login-file", ".token"), errs: invalid("login-file", ".token", keptFile)},
		"login-file: that of CAs": {keys: vault("login-file", "ca.crt"), errs: invalid("login-file", "ca.crt", keptFile)},
		"login-file: long":        {keys: vault("login-file", long[:201]), errs: invalid("login-file", long[:128]+"…", keptFile)},
		"login-env: empty":        {keys: vault("login-env", ""), errs: invalid("login-env", "", env)},
		"login-env: empty, twice": {
			keys: vaultKeys.and(keys{"login-env": "", "login.x": "vault", "login-address.x": "https://a", "login-env.x": ""}),
			errs: append(invalid("login-env.x", "", env), invalid("login-env", "", env)...),
		},
		"login-env: a blank":     {keys: vault("login-env", "A B"), errs: invalid("login-env", "A B", env)},
		"login-token: capitals":  {keys: vault("login-token", "JWT"), errs: invalid("login-token", "JWT", tokens)},
		"login-token: line feed": {keys: vault("login-token", "a\nb"), errs: invalid("login-token", "a\nb", tokens)},
		"login-token: empty":     {keys: vault("login-token", ""), errs: invalid("login-token", "", tokens)},
		"login-token: unknown": {
			keys: vault("login-token", "jwt"),
			errs: invalid("login-token", "jwt", "the pod has no such token: it would be asked for by oidc-injector.io/audience.jwt"),
		},
		"login-token: opted out": {
			keys: vaultKeys.and(keys{"login-token": "jwt", "audience.jwt": "x", "inject.jwt": "false"}),
			errs: invalid("login-token", "jwt", "the pod has no such token: it would be asked for by oidc-injector.io/audience.jwt"),
		},
		"login-token: no default": {
			keys: vaultKeys.without("audience").and(keys{"login-token": "default", "audience.jwt": "x"}),
			errs: invalid("login-token", "default", "the pod has no such token: it would be asked for by oidc-injector.io/audience"),
		},
		"the suffix is upper case": {
			keys: vault("login.X", "vault"),
			errs: invalid("login.X", "X", "the suffix names a token: lower-case letters, digits and '-', at most 40 characters"),
		},

		"a key of Vault for OAuth": {
			keys: oauth("login-role", "demo"),
			errs: invalid("login-role", "demo", "this key is for Vault: a login of method token-exchange has no use for it"),
		},
		"a key of OAuth for Vault": {
			keys: vault("login-scope", "a"),
			errs: invalid("login-scope", "a", "this key is for OAuth: a login of method vault has no use for it"),
		},
		"an issuer for Vault": {
			keys: vault("login-issuer", "https://a"),
			errs: invalid("login-issuer", "https://a", "this key is for OAuth: a login of method vault has no use for it"),
		},
		"address and issuer": {
			keys: oauth("login-address", "https://a"),
			errs: invalid("login-issuer", "https://login.example.com", "say either login-issuer or login-address, not both"),
		},
		"no address of Vault": {
			keys: vaultKeys.without("login-address"),
			errs: required("login-address", "the login needs the address of Vault, such as https://vault.example.com:8200"),
		},
		"no address of a named login with Vault": {
			keys: keys{"audience": "vault", "login.x": "vault"},
			errs: required("login-address.x", "the login needs the address of Vault, such as https://vault.example.com:8200"),
		},
		"no issuer": {
			keys: oauthKeys.without("login-issuer"),
			errs: required("login-issuer", "the login needs the issuer, such as https://login.example.com, "+
				"or its token endpoint as login-address"),
		},
		"no audience": {
			keys: vaultKeys.without("audience"),
			errs: required("audience", "the login needs a token, and a token needs an audience"),
		},
		"no audience at all for x": {
			keys: keys{"login.x": "vault", "login-address.x": "https://a"},
			errs: required("audience.x", "the login needs a token, and a token needs an audience"),
		},
		"no audience, said once": {
			keys: vaultKeys.without("audience").and(keys{"expiration": "2h", "containers": "app"}),
			errs: required("audience", "the token is described (expiration) but has no audience"),
		},
		"no login": {
			keys: vaultKeys.without("login").and(keys{"login-role": "demo"}),
			errs: required("login", "the login is described (login-address, login-role) but has no method: vault, token-exchange, "+
				"jwt-bearer, client-assertion, http"),
		},
		"no login of that name": {
			keys: vault("login-env.x", "X"),
			errs: required("login.x", "the login is described (login-env) but has no method: vault, token-exchange, jwt-bearer, "+
				"client-assertion, http"),
		},
		"Windows": {
			keys: vaultKeys, os: annotations.Windows,
			errs: []string{"metadata.annotations[oidc-injector.io/login]: Forbidden: logins are for Linux pods: the login container is a " +
				"Linux program"},
		},
		"the variables of Vault's clients": {
			keys: vault("login-env", "VAULT_NAMESPACE"),
			errs: invalid("login-env", "VAULT_NAMESPACE", `login "default" sets this variable for Vault's clients: choose another`),
		},
		"the directory of the certificate authorities": {
			keys: vaultKeys.and(keys{"login-mount-path": "/run/oidc-login", "login-ca-secret": "ca"}),
			errs: invalid("login-mount-path", "/run/oidc-login",
				"is reserved: the login container has its certificate authorities in /var/run/oidc-login/ca"),
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

func TestLoginErrorsAtOnce(t *testing.T) {
	t.Parallel()
	_, warnings, errs := newParser().Parse(keys{
		"audience": "", "login": "vault", "login-address": "vault", "login-ca-configmap": "A", "login-ca-secret": "B", "login-env": "=",
		"login-file": "/", "login-format": "x", "login-mode": "x", "login-mount": "/", "login-mount-path": "/", "login-namespace": " ",
		"login-role": "\n", "login-scope": "x", "login-token": "?", "login-rolle": "x",
	}.on(""))
	fields := make([]string, 0, len(errs))
	for _, err := range errs {
		fields = append(fields, strings.TrimSuffix(strings.TrimPrefix(err.Field, "metadata.annotations[oidc-injector.io/"), "]"))
	}
	expect(t, "places of the errors", []string{
		"audience", "login-address", "login-ca-configmap", "login-ca-secret", "login-env", "login-file", "login-format", "login-mode",
		"login-mount-path", "login-mount-path", "login-mount-path", "login-mount", "login-namespace", "login-role", "login-scope",
		"login-token",
	}, fields)
	expect(t, "warnings", []string{`unknown annotation "oidc-injector.io/login-rolle": did you mean oidc-injector.io/login-role?`},
		warnings)
}

func TestMistypedLoginKeyListsKeys(t *testing.T) {
	t.Parallel()
	_, warnings, errs := newParser().Parse(vaultKeys.and(keys{"login-vault-skip-verify": "true"}).on(""))
	expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
	expect(t, "errors", nil, texts(errs))
	expect(t, "warnings", []string{`unknown annotation "oidc-injector.io/login-vault-skip-verify": ` +
		`the keys of a login are login and login-… with ` + strings.ReplaceAll(strings.Join(loginspec.Keys()[1:], ", "), "login-", "")},
		warnings)
}

// TestLoginConflicts shows the errors between logins, and between
// them and tokens, that some container may have both of.
func TestLoginConflicts(t *testing.T) {
	t.Parallel()
	const (
		ownDirectory = ": the result of a login lies in a directory of its own, which can neither be that one, nor hold it, nor lie in it"
		sameVariable = " sets the same variable: give one of them another"
		forClients   = `login "default" sets this variable for Vault's clients: choose another`
		caDirectory  = "is reserved: the login container has its certificate authorities in /var/run/oidc-login/ca"
	)
	invalid := func(key, value, why string) string {
		return fmt.Sprintf("metadata.annotations[oidc-injector.io/%s]: Invalid value: %q: %s", key, value, why)
	}
	second := func(others keys) keys {
		return vaultKeys.and(keys{"login.b": "vault", "login-address.b": "https://vault.example.com:8200"}).and(others)
	}
	for name, test := range map[string]struct {
		keys keys
		errs []string
	}{
		"two logins, as they are by default": {keys: second(nil)},
		"the directory of the token": {
			keys: vaultKeys.and(keys{"login-mount-path": "/var/run/secrets/tokens"}),
			errs: []string{invalid("login-mount-path", "/var/run/secrets/tokens",
				`token "default" has mount-path /var/run/secrets/tokens`+ownDirectory)},
		},
		"the directory of the token by its other name": {
			keys: vaultKeys.and(keys{"login-mount-path": "/run/secrets/tokens"}),
			errs: []string{invalid("login-mount-path", "/run/secrets/tokens",
				`token "default" has mount-path /var/run/secrets/tokens`+ownDirectory)},
		},
		"inside the directory of the token": {
			keys: vaultKeys.and(keys{"mount-path": "/var/run/secrets/login"}),
			errs: []string{invalid("login", "/var/run/secrets/login",
				`token "default" has mount-path /var/run/secrets/login`+ownDirectory)},
		},
		"around the directory of the token": {
			keys: vaultKeys.and(keys{"login-mount-path": "/a", "mount-path": "/a/b"}),
			errs: []string{invalid("login-mount-path", "/a", `token "default" has mount-path /a/b`+ownDirectory)},
		},
		"a directory whose name begins alike": {keys: vaultKeys.and(keys{"login-mount-path": "/a", "mount-path": "/ab"})},
		// Both are in the login container.
		"the directory of a token that no reader has": {
			keys: vaultKeys.without("audience").and(keys{
				"audience.jwt": "vault", "containers.jwt": "oidc-login", "login-token": "jwt",
				"containers": "app", "mount-path.jwt": "/a", "login-mount-path": "/a/b",
			}),
			errs: []string{invalid("login-mount-path", "/a/b", `token "jwt" has mount-path /a`+ownDirectory)},
		},
		"the directory of a token that nobody has beside it": {
			keys: vaultKeys.and(keys{
				"containers": "app", "audience.x": "x", "containers.x": "worker", "mount-path.x": "/a",
				"login-mount-path": "/a",
			}),
		},
		"two logins in one directory": {
			keys: second(keys{"login-mount-path.b": "/var/run/secrets/login"}),
			errs: []string{invalid("login-mount-path.b", "/var/run/secrets/login",
				`login "default" has login-mount-path /var/run/secrets/login`+ownDirectory)},
		},
		"a login inside another's directory": {
			keys: second(keys{"login-mount-path": "/a", "login-mount-path.b": "/a/b"}),
			errs: []string{invalid("login-mount-path.b", "/a/b", `login "default" has login-mount-path /a`+ownDirectory)},
		},
		"the variable of a token": {
			keys: vaultKeys.and(keys{"env": "VAULT_TOKEN_FILE"}),
			errs: []string{invalid("login", "VAULT_TOKEN_FILE", `token "default"`+sameVariable)},
		},
		"the variable of a token, by an annotation": {
			keys: vaultKeys.and(keys{"env": "A", "login-env": "A"}),
			errs: []string{invalid("login-env", "A", `token "default"`+sameVariable)},
		},
		"the variable of a token of others": {keys: vaultKeys.and(keys{
			"containers": "app", "audience.x": "x", "containers.x": "worker",
			"env.x": "VAULT_TOKEN_FILE",
		})},
		"the variable of another login": {
			keys: second(keys{"login-env.b": "VAULT_TOKEN_FILE"}),
			errs: []string{invalid("login-env.b", "VAULT_TOKEN_FILE", `login "default"`+sameVariable)},
		},
		"a token in a variable of Vault's clients": {
			keys: vaultKeys.and(keys{"env": "VAULT_ADDR"}),
			errs: []string{invalid("env", "VAULT_ADDR", forClients)},
		},
		"a token of others in a variable of Vault's clients": {
			keys: vaultKeys.and(keys{"containers": "app", "audience.x": "x", "containers.x": "worker", "env.x": "VAULT_ADDR"}),
		},
		"a second login with Vault in a variable of Vault's clients, said once": {
			keys: second(keys{"login-env.b": "VAULT_ADDR"}),
			errs: []string{invalid("login-env.b", "VAULT_ADDR", `login "b" sets this variable for Vault's clients: choose another`)},
		},
		"another login in a variable of Vault's clients": {
			keys: vaultKeys.and(keys{"login.b": "jwt-bearer", "login-issuer.b": "https://a", "login-env.b": "VAULT_CACERT"}),
			errs: []string{invalid("login-env.b", "VAULT_CACERT", forClients)},
		},
		"another login before it in a variable of Vault's clients": {
			keys: oauthKeys.and(keys{"login-env": "VAULT_NAMESPACE", "login.b": "vault", "login-address.b": "https://a"}),
			errs: []string{invalid("login-env", "VAULT_NAMESPACE", `login "b" sets this variable for Vault's clients: choose another`)},
		},
		"a login with Vault in a variable of Vault's clients, said once": {
			keys: second(keys{"login-env": "VAULT_ADDR"}),
			errs: []string{invalid("login-env", "VAULT_ADDR", forClients)},
		},
		"where Vault is not asked, its clients' variables are free": {keys: oauthKeys.and(keys{
			"env":       "VAULT_ADDR",
			"login-env": "VAULT_CACERT",
		})},
		"the token in the directory of the certificate authorities": {
			keys: vaultKeys.and(keys{"mount-path": "/var/run/oidc-login", "login-ca-configmap": "ca"}),
			errs: []string{invalid("mount-path", "/var/run/oidc-login", caDirectory)},
		},
		"the same directory where there are none": {keys: vaultKeys.and(keys{
			"mount-path":       "/var/run/oidc-login",
			"login-mount-path": "/var/run/oidc-login-x",
		})},
		"another token in the directory of the certificate authorities": {
			keys: vaultKeys.and(keys{"audience.x": "x", "mount-path.x": "/var/run/oidc-login/ca", "login-ca-configmap": "ca"}),
		},
		"a volume by the name of another": {
			keys: vaultKeys.and(keys{"login-ca-configmap": "ca", "login.ca": "vault", "login-address.ca": "https://a"}),
			errs: []string{invalid("login.ca", "ca",
				`a volume of this login would have the name of one of login "default", oidc-login-ca: give the login another name`)},
		},
		"a volume by the name of another one's, which comes later": {
			keys: vaultKeys.and(keys{
				"login.ca-x": "vault", "login-address.ca-x": "https://a", "login.x": "vault",
				"login-address.x": "https://a", "login-ca-secret.x": "ca",
			}),
			errs: []string{invalid("login.ca-x", "ca-x",
				`a volume of this login would have the name of one of login "x", oidc-login-ca-x: give the login another name`)},
		},
		"the name where there is no such volume": {keys: vaultKeys.and(keys{
			"login.ca": "vault", "login-address.ca": "https://a",
			"login-ca-secret.ca": "ca",
		})},
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

func TestTooManyLogins(t *testing.T) {
	t.Parallel()
	logins := func(n int, others keys) annotations.Input {
		all := keys{"audience": "vault"}.and(others)
		for i := range n {
			all[fmt.Sprintf("login.l%02d", i)] = "vault"
			all[fmt.Sprintf("login-address.l%02d", i)] = "https://vault.example.com"
		}
		return all.on("")
	}
	for name, test := range map[string]struct {
		in     annotations.Input
		logins int
		errs   []string
	}{
		"as many as allowed": {in: logins(8, nil), logins: 8},
		"one more": {
			in: logins(9, nil), logins: 8,
			errs: []string{"metadata.annotations: Forbidden: asks for 9 logins by oidc-injector.io/login.NAME: a pod may have at most 8"},
		},
		"opted out of one": {in: logins(9, keys{"inject.l00": "false"}), logins: 8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec, _, errs := newParser().Parse(test.in)
			expect(t, "errors", test.errs, texts(errs))
			if len(spec.Logins) != test.logins {
				t.Errorf("got %d logins, want %d", len(spec.Logins), test.logins)
			}
		})
	}
}

func TestLoginAccessors(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.Profiles = map[string]annotations.Preset{"vault": {
		"login": "vault", "login-address": "https://vault.example.com",
		"login-role": "demo",
	}}
	spec, _, errs := p.Parse(keys{
		"profile.x": "vault", "audience.x": "vault", "login-env.x": "X", "login-mount-path.x": "/x",
		"audience": "sts", "login": "jwt-bearer", "login-issuer": "https://i",
	}.on(""))
	expect(t, "errors", nil, texts(errs))
	if len(spec.Logins) != 2 {
		t.Fatalf("got %d logins", len(spec.Logins))
	}
	oauth, vault := &spec.Logins[0], &spec.Logins[1]
	expect(t, "what they know", []string{
		"default", "x", "/var/run/secrets/login/token", "/x/token", "/x/ca.crt", "https://i", "https://vault.example.com",
		at("login-issuer").String(), at("profile.x").String(),
		"annotation oidc-injector.io/login", "annotation oidc-injector.io/profile.x", "annotation oidc-injector.io/login-env.x",
		"annotation oidc-injector.io/profile.x",
	}, []string{
		oauth.DisplayName(), vault.DisplayName(), oauth.Path(), vault.Path(), vault.CAPath(), oauth.URL(), vault.URL(),
		oauth.KeyPath(oauth.Endpoints()[0].Key).String(), vault.KeyPath(vault.Endpoints()[0].Key).String(),
		oauth.Origin("login-file"), vault.Origin("login-role"), vault.Origin("login-env"), vault.Origin("login-file"),
	})
	if oauth.Has("login-env") || !vault.Has("login-env") || !vault.Has("login-role") {
		t.Error("Has is wrong")
	}
}

// TestProfileLogins shows which keys win.
func TestProfileLogins(t *testing.T) {
	t.Parallel()
	type Login = annotations.Login
	presets := map[string]annotations.Preset{
		"vault": {
			"audience": "vault", "login": "vault", "login-address": "https://vault.example.com:8200",
			"login-ca-configmap": "vault-ca", "skip-containers": "proxy",
		},
		"secret":   {"login-ca-secret": "corporate/ca.pem"},
		"issuer":   {"audience": "sts", "login": "token-exchange", "login-issuer": "https://login.example.com"},
		"fragment": {"login-role": "demo"},
		"strict": {
			"audience.jwt": "vault", "containers.jwt": "oidc-login", "login": "vault",
			"login-address": "https://vault.example.com:8200", "login-token": "jwt",
		},
	}
	of := func(edit func(*Login)) []Login {
		return []Login{vaultLogin(func(l *Login) {
			l.CA, l.Source = &annotations.Object{Kind: annotations.ConfigMap, Name: "vault-ca", Key: "ca.crt"}, at("profile")
			l.Containers = annotations.Scope{Skip: []string{"proxy"}}
			edit(l)
		})}
	}
	for name, test := range map[string]struct {
		keys   keys
		logins []Login
		errs   []string
	}{
		"a profile supplies everything": {keys: keys{"profile": "vault"}, logins: of(func(*Login) {})},
		"the pod's own keys win": {
			keys:   keys{"profile": "vault", "login-role": "demo", "login-address": "https://other.example.com"},
			logins: of(func(l *Login) { l.Options["role"], l.Options["address"] = "demo", "https://other.example.com" }),
		},
		"the pod's Secret replaces the profile's ConfigMap": {
			keys:   keys{"profile": "vault", "login-ca-secret": "mine"},
			logins: of(func(l *Login) { l.CA = &annotations.Object{Kind: annotations.Secret, Name: "mine", Key: "ca.crt"} }),
		},
		"the pod's ConfigMap replaces the profile's Secret": {
			keys: vaultKeys.and(keys{"profile": "secret", "login-ca-configmap": "mine"}),
			logins: []Login{vaultLogin(func(l *Login) {
				l.CA = &annotations.Object{Kind: annotations.ConfigMap, Name: "mine", Key: "ca.crt"}
			})},
		},
		"the pod's containers replace the profile's": {
			keys:   keys{"profile": "vault", "containers": "app"},
			logins: of(func(l *Login) { l.Containers = annotations.Scope{Only: []string{"app"}, Written: true} }),
		},
		"the pod's token endpoint replaces the profile's issuer": {
			keys: keys{"profile": "issuer", "login-address": "https://login.example.com/token"},
			logins: []Login{oauthLogin(func(l *Login) {
				l.Options["issuer"], l.Options["address"], l.Source = "", "https://login.example.com/token", at("profile")
			})},
		},
		"the pod's issuer replaces the profile's address": {
			keys: keys{"profile": "vault", "login": "jwt-bearer", "login-issuer": "https://login.example.com"},
			logins: []Login{oauthLogin(func(l *Login) {
				asMethod(l, "jwt-bearer")
				l.CA = &annotations.Object{Kind: annotations.ConfigMap, Name: "vault-ca", Key: "ca.crt"}
				l.Containers = annotations.Scope{Skip: []string{"proxy"}}
			})},
		},
		"a profile for one token wins over the pod's": {
			keys: keys{
				"profile": "strict", "profile.jwt": "secret", "login-ca-configmap.jwt": "x", "login.jwt": "vault",
				"login-address.jwt": "https://a",
			},
			logins: []Login{
				vaultLogin(func(l *Login) { l.Token, l.Source = "jwt", at("profile") }),
				vaultLogin(func(l *Login) {
					l.Name, l.Token, l.MountPath, l.Env, l.Options["address"], l.Source = "jwt", "jwt", "/var/run/secrets/login-jwt",
						"VAULT_TOKEN_FILE_JWT", "https://a", at("login.jwt")
					l.CA = &annotations.Object{Kind: annotations.ConfigMap, Name: "x", Key: "ca.crt"}
					l.Containers = annotations.Scope{Only: []string{"oidc-login"}}
				}),
			},
		},
		"a suffix makes another login of the profile": {
			keys: keys{"profile.b": "vault"},
			logins: of(func(l *Login) {
				l.Name, l.Token, l.MountPath, l.Env, l.Source = "b", "b", "/var/run/secrets/login-b", "VAULT_TOKEN_FILE_B", at("profile.b")
			}),
		},
		"the login of a profile is opted out of": {keys: keys{"profile.b": "vault", "inject.b": "false"}},
		"a token for the login container only": {
			keys: keys{"profile": "strict"}, logins: []Login{vaultLogin(func(l *Login) { l.Token, l.Source = "jwt", at("profile") })},
		},
		"keys without a login": {
			keys: keys{"profile": "fragment", "audience": "vault"},
			errs: []string{"metadata.annotations[oidc-injector.io/login]: Required value: the login is described (login-role) but has no " +
				"method: vault, token-exchange, jwt-bearer, client-assertion, http"},
		},
		"an unknown profile might have had all that is missing": {
			keys: keys{"profile": "valt", "login-role": "demo", "login.x": "vault"},
			errs: []string{`metadata.annotations[oidc-injector.io/profile]: Unsupported value: "valt": supported values: "fragment", ` +
				`"issuer", "secret", "strict", "vault"`},
			logins: []Login{vaultLogin(func(l *Login) {
				l.Name, l.Options["address"], l.MountPath, l.Env, l.Source = "x", "", "/var/run/secrets/login-x", "VAULT_TOKEN_FILE_X",
					at("login.x")
			})},
		},
		"a wrong value points at the profile": {
			keys: keys{"profile": "vault", "login": "jwt-bearer", "login-mount": "x"},
			logins: of(func(l *Login) {
				asMethod(l, "jwt-bearer")
				l.Options["client-auth"], l.Options["body"], l.Options["jwt-use"] = "none", "form", "many"
				l.Env, l.Source, l.ClientEnv = "ACCESS_TOKEN_FILE", at("login"), false
			}),
			errs: []string{
				`metadata.annotations[oidc-injector.io/login-mount]: Invalid value: "x": this key is for Vault: a login of method ` +
					`jwt-bearer has no use for it`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newParser()
			p.Profiles = presets
			for range 20 { // maps have no order, what comes of them must have one
				spec, warnings, errs := p.Parse(test.keys.on(""))
				expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
				expectLogins(t, test.logins, spec.Logins)
				expect(t, "warnings", nil, warnings)
				expect(t, "errors", test.errs, texts(errs))
			}
		})
	}
}

// A profile that contradicts itself cannot be configured. If it could, pods would
// be told of it, each time.
func TestContradictoryProfile(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.Profiles = map[string]annotations.Preset{"both": {"audience": "vault", "containers": "a", "skip-containers": "b"}}
	for range 20 {
		_, _, errs := p.Parse(keys{"profile": "both"}.on(""))
		expect(t, "errors", []string{`metadata.annotations[oidc-injector.io/profile]: Invalid value: "b": say either containers or ` +
			`skip-containers, not both`}, texts(errs))
	}
}

func TestLoginDefaults(t *testing.T) {
	t.Parallel()
	type Login = annotations.Login
	p := newParser()
	p.Defaults = annotations.Preset{
		"login-address": "https://vault.example.com", "login-mount": "k8s", "login-namespace": "admin",
		"login-ca-configmap": "corporate-ca/root.pem",
		"login-mode":         "init", "login-mount-path": "/login", "login-file": "t", "login-format": "json", "skip-containers": "proxy",
	}
	expect(t, "errors of the defaults", nil, texts(annotations.ValidateDefaults(p.Defaults, annotations.DefaultMaxExpiration,
		field.NewPath("defaults"))))
	common := func(l *Login) {
		l.Options["mode"], l.Options["output-format"], l.File, l.MountPath = "init", "json", "t", "/login"
		l.CA, l.Containers = &annotations.Object{Kind: annotations.ConfigMap, Name: "corporate-ca", Key: "root.pem"},
			annotations.Scope{Skip: []string{"proxy"}}
	}
	spec, warnings, errs := p.Parse(keys{
		"audience": "vault", "login": "vault",
		"login.a": "vault", "login-address.a": "https://a", "login-mount.a": "jwt", "login-namespace.a": "x", "login-ca-secret.a": "s",
		"login-mode.a":       "sidecar",
		"login-mount-path.a": "/a", "login-file.a": "token", "login-format.a": "raw", "containers.a": "app",
		// An address for Vault is none for others.
		"login.b": "jwt-bearer", "login-issuer.b": "https://login.example.com",
	}.on(""))
	expectLogins(t, []Login{
		vaultLogin(func(l *Login) {
			common(l)
			l.Options["address"], l.Options["mount"], l.Options["namespace"] = "https://vault.example.com", "k8s", "admin"
		}),
		vaultLogin(func(l *Login) {
			l.Name, l.Options["address"], l.Options["namespace"], l.MountPath, l.Env, l.Source = "a", "https://a", "x", "/a",
				"VAULT_TOKEN_FILE_A", at("login.a")
			l.CA, l.Containers = &annotations.Object{Kind: annotations.Secret, Name: "s", Key: "ca.crt"},
				annotations.Scope{Only: []string{"app"}, Written: true}
		}),
		oauthLogin(func(l *Login) {
			common(l)
			l.Name, l.MountPath, l.Env, l.Source = "b", "/login-b", "ACCESS_TOKEN_FILE_B", at("login.b")
			asMethod(l, "jwt-bearer")
		}),
	}, spec.Logins)
	expect(t, "warnings", nil, warnings)
	expect(t, "errors", nil, texts(errs))

	_, _, errs = p.Parse(keys{"audience": "sts", "login": "jwt-bearer"}.on(""))
	expect(t, "errors of a login without an issuer", []string{
		"metadata.annotations[oidc-injector.io/login-issuer]: Required value: the login needs the issuer, such as " +
			"https://login.example.com, or its token endpoint as login-address",
	}, texts(errs))
	spec, _, errs = p.Parse(keys{"audience": "vault"}.on(""))
	expectLogins(t, nil, spec.Logins)
	expect(t, "errors of a pod without a login", nil, texts(errs))
}

func TestValidatePresetLogins(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		profile annotations.Preset
		errs    []string
	}{
		"complete": {profile: annotations.Preset{
			"audience": "vault", "login": "vault",
			"login-address": "https://vault.example.com", "login-role": "demo",
		}},
		"an audience that pods add": {profile: annotations.Preset{"login": "vault", "login-address": "https://vault.example.com"}},
		"a token that pods add":     {profile: annotations.Preset{"login": "vault", "login-token": "jwt"}},
		"an address that pods add":  {profile: annotations.Preset{"login": "vault"}},
		"an issuer that pods add":   {profile: annotations.Preset{"login.x": "jwt-bearer", "login-client-id.x": "a"}},
		"a method that pods add":    {profile: annotations.Preset{"login-role": "demo", "login-address": "https://vault.example.com"}},
		"an OAuth method, likewise": {profile: annotations.Preset{
			"login-scope":   "a",
			"login-address": "https://login.example.com/token",
		}},
		"containers of a login": {profile: annotations.Preset{"login": "vault", "containers": "app"}},
		"a directory of no Windows": {
			profile: annotations.Preset{"login": "vault", "login-mount-path": `C:\login`},
			errs: []string{`profiles[p][login-mount-path]: Invalid value: "C:\\login": must be an absolute path, such as ` +
				`/var/run/secrets/login`},
		},
		"wrong values": {
			profile: annotations.Preset{"login": "valt", "login-file.x": ""},
			errs: []string{`profiles[p][login]: Unsupported value: "valt": supported values: "vault", "token-exchange", "jwt-bearer", ` +
				`"client-assertion", "http"`, `profiles[p][login-file.x]: Invalid value: "": must be a file name of at most 255 bytes, ` +
				`without '/', '\', ':', '$', ".." or control characters`},
		},
		"a token by an unlikely name": {
			profile: annotations.Preset{"login": "vault", "login-token": "A"},
			errs: []string{`profiles[p][login-token]: Invalid value: "A": must be the name of a token: the suffix of its annotations, or ` +
				`default for the token without one`},
		},
		"keys of two methods": {
			profile: annotations.Preset{"login-role": "a", "login-scope": "b"},
			errs: []string{`profiles[p][login-scope]: Invalid value: "b": this key is for OAuth: a login of method vault has no ` +
				`use for it`},
		},
		"what no container could have both": {
			profile: annotations.Preset{
				"audience": "a", "login": "vault", "login.x": "vault",
				"login-mount-path.x": "/var/run/secrets/login", "login-token.x": "default",
			},
			errs: []string{
				`profiles[p][login-mount-path.x]: Invalid value: "/var/run/secrets/login": login "default" has login-mount-path ` +
					`/var/run/secrets/login: ` +
					`the result of a login lies in a directory of its own, which can neither be that one, nor hold it, nor lie in it`,
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
	bad := annotations.Preset{
		"login": "vault", "login-address": "vault", "login-ca-configmap": "?", "login-ca-secret": "a",
		"login-mode": "x", "login-role": "a", "login-mount-path": "/",
	}
	expect(t, "errors of defaults", []string{
		`defaults[login]: Unsupported value: "login": supported values: ` + defaultKeys,
		`defaults[login-role]: Unsupported value: "login-role": supported values: ` + defaultKeys,
		`defaults[login-mount-path]: Invalid value: "/": is reserved: a volume there would hide the container's own files; choose a ` +
			`directory of its own, such as /var/run/secrets/login`,
		`defaults[login-ca-secret]: Invalid value: "a": say either login-ca-configmap or login-ca-secret, not both`,
		`defaults[login-ca-configmap]: Invalid value: "?": must be the name of a ConfigMap of the pod's namespace, and a key of it if ` +
			`that is not ca.crt, such as vault or vault/ca.crt`,
		`defaults[login-mode]: Unsupported value: "x": supported values: "sidecar", "init"`,
		`defaults[login-address]: Invalid value: "vault": must begin with https:// (or with http://, where the injector's policy allows ` +
			`that), such as https://vault.example.com:8200`,
	}, texts(annotations.ValidateDefaults(bad, annotations.DefaultMaxExpiration, field.NewPath("defaults"))))
}
