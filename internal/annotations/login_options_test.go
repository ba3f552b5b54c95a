package annotations_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var httpKeys = keys{"audience": "consul", "login": "http", "login-address": "https://consul.example.com/v1/acl/login"}

// TestLoginOptions shows what becomes of the annotations that are passed on.
func TestLoginOptions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys keys
		want loginspec.Values
	}{
		"http": {
			httpKeys.and(keys{
				"login-jwt-field": "BearerToken", "login-parameters": "AuthMethod=k8s\n/Meta/pod=a b\n",
				"login-token-pointer": "/SecretID",
			}),
			loginspec.Values{
				"address": "https://consul.example.com/v1/acl/login", "http-method": "POST", "jwt-field": "BearerToken",
				"parameters": "AuthMethod=k8s\n/Meta/pod=a b\n", "body": "json", "token-pointer": "/SecretID",
			},
		},
		"token types": {
			oauthKeys.and(keys{"login-subject-token-type": "id_token", "login-requested-token-type": "urn:x"}),
			loginspec.Values{"subject-token-type": "id_token", "requested-token-type": "urn:x"},
		},
		"JSON":         {oauthKeys.and(keys{"login-body": "json"}), loginspec.Values{"body": "json"}},
		"a lifetime":   {oauthKeys.and(keys{"login-lifetime": "15m"}), loginspec.Values{"lifetime": "15m"}},
		"an assertion": {oauthKeys.and(keys{"login-client-auth": "assertion"}), loginspec.Values{"client-auth": "assertion"}},
		"how often":    {vaultKeys.and(keys{"login-check-interval": "0"}), loginspec.Values{"check-interval": "0"}},
		"redirects": {
			vaultKeys.and(keys{"login-redirect-hosts": "vault-0:8200 vault-1:8200"}),
			loginspec.Values{"redirect-hosts": "vault-0:8200 vault-1:8200"},
		},
		"a server's name": {vaultKeys.and(keys{"login-tls-server-name": "vault"}), loginspec.Values{"tls-server-name": "vault"}},
	} {
		spec, warnings, errs := newParser().Parse(test.keys.on(""))
		expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
		expect(t, "errors", nil, texts(errs))
		expect(t, "warnings", nil, warnings)
		for option, value := range test.want {
			if got := spec.Logins[0].Options[option]; got != value {
				t.Errorf("%s: %s is %q instead of %q", name, option, got, value)
			}
		}
	}
}

func TestLoginObjects(t *testing.T) {
	t.Parallel()
	const kind = annotations.ClusterTrustBundle
	secret := func(name, key, path string) annotations.File {
		return annotations.File{Object: annotations.Object{Kind: annotations.Secret, Name: name, Key: key}, Path: path}
	}
	client := oauthKeys.and(keys{"login-client-id": "app"})
	for name, test := range map[string]struct {
		keys   keys
		ca     *annotations.Object
		client []annotations.File
	}{
		"a bundle": {
			keys: vaultKeys.and(keys{"login-ca-bundle": "corporate-ca"}),
			ca:   &annotations.Object{Kind: kind, Name: "corporate-ca"},
		},
		"a bundle of a signer": {
			keys: vaultKeys.and(keys{"login-ca-bundle": "example.com/issuer/root"}),
			ca:   &annotations.Object{Kind: kind, Name: "example.com:issuer:root"},
		},
		"the same by its name": {
			keys: vaultKeys.and(keys{"login-ca-bundle": "example.com:issuer:root"}),
			ca:   &annotations.Object{Kind: kind, Name: "example.com:issuer:root"},
		},
		"all bundles of a signer": {
			keys: vaultKeys.and(keys{"login-ca-bundle": "example.com/issuer"}),
			ca:   &annotations.Object{Kind: kind, Signer: "example.com/issuer"},
		},
		"a secret": {
			keys:   client.and(keys{"login-client-auth": "basic", "login-client-secret": "app"}),
			client: []annotations.File{secret("app", "client-secret", "client-secret")},
		},
		"a secret's key": {
			keys:   client.and(keys{"login-client-auth": "post", "login-client-secret": "app/password"}),
			client: []annotations.File{secret("app", "password", "client-secret")},
		},
		"a certificate": {
			keys:   client.and(keys{"login-client-auth": "tls", "login-client-certificate": "tls"}),
			client: []annotations.File{secret("tls", "tls.crt", "tls.crt"), secret("tls", "tls.key", "tls.key")},
		},
		"a certificate without OAuth": {
			keys:   vaultKeys.and(keys{"login-client-certificate": "tls"}),
			client: []annotations.File{secret("tls", "tls.crt", "tls.crt"), secret("tls", "tls.key", "tls.key")},
		},
	} {
		spec, warnings, errs := newParser().Parse(test.keys.on(""))
		expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
		expect(t, name+": errors", nil, texts(errs))
		expect(t, name+": warnings", nil, warnings)
		if diff := cmp.Diff(test.ca, spec.Logins[0].CA); diff != "" {
			t.Errorf("%s: authorities (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(test.client, spec.Logins[0].Client); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", name, diff)
		}
	}
}

func TestLoginOptionsDenied(t *testing.T) {
	t.Parallel()
	const bundle = "must be the name of a ClusterTrustBundle, signer/name or signer, such as corporate-ca, " +
		"example.com/issuer/root or example.com/issuer"
	client := oauthKeys.and(keys{"login-client-id": "app"})
	for name, test := range map[string]struct {
		keys keys
		want string
	}{
		"a bundle without a name": {vaultKeys.and(keys{"login-ca-bundle": ""}), `login-ca-bundle]: Invalid value: "": ` + bundle},
		"a bundle of capitals":    {vaultKeys.and(keys{"login-ca-bundle": "CA"}), `login-ca-bundle]: Invalid value: "CA": ` + bundle},
		"a bundle too deep": {
			vaultKeys.and(keys{"login-ca-bundle": "a/b/c/d"}),
			`login-ca-bundle]: Invalid value: "a/b/c/d": ` + bundle,
		},
		"two authorities": {
			vaultKeys.and(keys{"login-ca-bundle": "a", "login-ca-secret": "b"}),
			`login-ca-bundle]: Invalid value: "a": say either login-ca-secret or login-ca-bundle, not both`,
		},
		"a client without a secret": {
			client.and(keys{"login-client-auth": "basic"}),
			`login-client-secret]: Required value: login-client-auth is basic`,
		},
		"a client without a name": {
			oauthKeys.and(keys{"login-client-auth": "post", "login-client-secret": "s"}),
			`login-client-id]: Required value: login-client-auth is post`,
		},
		"a secret without a use": {
			client.and(keys{"login-client-secret": "s"}),
			`login-client-auth]: Required value: with login-client-secret it has to be basic or post`,
		},
		"a certificate's other entry": {
			client.and(keys{"login-client-auth": "tls", "login-client-certificate": "a/b"}),
			`login-client-certificate]: Invalid value: "a/b": must be the name of a Secret with the entries tls.crt and tls.key`,
		},
		"a secret of no name": {
			client.and(keys{"login-client-auth": "post", "login-client-secret": "A"}),
			`login-client-secret]: Invalid value: "A": must be the name of a Secret of the pod's namespace, and a key of it if that is ` +
				`not client-secret, such as vault or vault/client-secret`,
		},
		"a way that is none": {
			client.and(keys{"login-client-auth": "kerberos"}),
			`login-client-auth]: Unsupported value: "kerberos": supported values: "none", "assertion", "basic", "post", "tls"`,
		},
		"a parameter of our own": {
			oauthKeys.and(keys{"login-parameters": "scope=x"}),
			`login-parameters]: Invalid value: "scope=x": must not have scope, which has an annotation of its own or is set by the ` +
				`login itself`,
		},
		"a body that GET has not": {
			httpKeys.and(keys{"login-http-method": "GET", "login-jwt-field": "jwt"}),
			`login-jwt-field]: Invalid value: "jwt": GET has no body: leave the field of the JWT out, so that it is sent as a ` +
				`bearer token`,
		},
		"a field twice": {
			httpKeys.and(keys{"login-jwt-field": "jwt", "login-parameters": "jwt=x"}),
			`login-parameters]: Invalid value: "jwt=x": a field is there twice, or is a value and has fields of its own: jwt`,
		},
		"the directory of the client": {
			vaultKeys.and(keys{"login-client-certificate": "c", "login-mount-path": "/run/oidc-login/client"}),
			`login-mount-path]: Invalid value: "/run/oidc-login/client": is reserved: the login container has what it proves with who it ` +
				`is in /var/run/oidc-login/client`,
		},
		"a key of another method": {
			vaultKeys.and(keys{"login-body": "json"}),
			`login-body]: Invalid value: "json": this key is for OAuth and HTTP: a login of method vault has no use for it`,
		},
		"a token used up by another": {
			oauthKeys.and(keys{"login-jwt-use": "once", "login.b": "vault", "login-address.b": "https://v", "login-mount-path.b": "/b"}),
			`login.b]: Invalid value: "default": login "default" exchanges the same token, which is accepted once: give each login a ` +
				`token of its own`,
		},
		"a token used up by both": {
			oauthKeys.and(keys{
				"login.b": "jwt-bearer", "login-issuer.b": "https://i", "login-jwt-use.b": "once",
				"login-token.b": "default",
			}),
			`login-token.b]: Invalid value: "default": login "default" exchanges the same token, which is accepted once: give each login ` +
				`a token of its own`,
		},
		"the name of a volume": {
			vaultKeys.and(keys{
				"login-client-certificate": "c", "login.client": "vault", "login-address.client": "https://v",
				"login-env.client": "X",
			}),
			`login.client]: Invalid value: "client": a volume of this login would have the name of one of login "default", ` +
				`oidc-login-client: give the login another name`,
		},
	} {
		_, _, errs := newParser().Parse(test.keys.on(""))
		if got := texts(errs); len(got) != 1 || !strings.HasSuffix(got[0], test.want) {
			t.Errorf("%s: %q instead of %q", name, got, test.want)
		}
	}
}

// A JWT that is accepted once has to be replaced before what it gave ends.
func TestTokenOfSingleUseLoginIsShort(t *testing.T) {
	t.Parallel()
	once := oauthKeys.and(keys{"login-jwt-use": "once"})
	for name, test := range map[string]struct {
		keys     keys
		defaults annotations.Preset
		want     int64
	}{
		"the shortest there is":        {once, nil, 600},
		"as long as what it gives":     {once.and(keys{"login-lifetime": "20m"}), nil, 1200},
		"what it gives is shorter":     {once.and(keys{"login-lifetime": "1m"}), nil, 600},
		"what it gives is longer":      {once.and(keys{"login-lifetime": "9h"}), nil, 3600},
		"the pod knows better":         {once.and(keys{"expiration": "2h"}), nil, 7200},
		"the configuration knows less": {once, annotations.Preset{"expiration": "2h"}, 600},
		"it is accepted many times":    {oauthKeys, nil, 3600},
	} {
		p := newParser()
		p.Defaults = test.defaults
		spec, _, errs := p.Parse(test.keys.on(""))
		expect(t, name+": errors", nil, texts(errs))
		if got := spec.Tokens[0].ExpirationSeconds; got != test.want {
			t.Errorf("%s: %d s instead of %d", name, got, test.want)
		}
	}
}
