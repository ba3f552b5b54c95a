package login

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/loginrun"
	"github.com/oidc-injector/oidc-injector/test/ory"
)

// oryClients are those of the server, each with a way of its own to say who it is.
var oryClients = []ory.Client{
	{ID: "by-basic", Secret: "s3cret: with % and & ü", Method: "client_secret_basic"},
	{ID: "by-post", Secret: "another+s3cret=", Method: "client_secret_post"},
	{ID: "by-assertion", Secret: "not used by it", Method: "private_key_jwt"},
}

const wrongSecret = "the-secret-of-somebody-else"

// newOry starts a server that trusts the API server, in a namespace with the clients'
// secrets.
func newOry(t *testing.T, ns string) *ory.Server {
	t.Helper()
	keys, err := kube.Client().Discovery().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := ory.StartForTest(t, ory.Options{Issuer: kube.Issuer(), Keys: keys, Scopes: []string{"read"}, Clients: oryClients})
	namespace(t, ns, s.CA)
	for _, c := range oryClients {
		createSecret(t, ns, c.ID, "password", []byte(c.Secret))
	}
	createSecret(t, ns, "wrong", "password", []byte(wrongSecret))
	return s
}

// oryLogin creates a pod that logs in at the server by a client, and runs its login.
func oryLogin(t *testing.T, s *ory.Server, ns string, keys ...string) (*loginrun.Login, *corev1.Pod) {
	t.Helper()
	pod := podtest.New("", append([]string{
		"audience=" + s.TokenURL, "login=jwt-bearer", "login-address=" + s.TokenURL, "login-scope=read", "login-ca-configmap=vault-ca",
	}, keys...)...)
	pod.GenerateName = "ory-"
	pod = podtest.Create(t, kube, ns, pod)
	l := newLogin(t, pod, "")
	startLogin(t, l)
	return l, pod
}

// by are the keys of a client with a secret.
func by(client, how string) []string {
	return []string{"login-client-id=" + client, "login-client-auth=" + how, "login-client-secret=" + client + "/password"}
}

// TestOry logs in at the engine of Ory Hydra, which takes each JWT once.
func TestOry(t *testing.T) {
	t.Parallel()
	const ns = "ory"
	s := newOry(t, ns)
	for _, method := range []string{"basic", "post"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			l, pod := oryLogin(t, s, ns, append(by("by-"+method, method), "login-jwt-use=once")...)
			first := loggedIn(t, l)
			if got := tokenSource(t, pod, "oidc-token").ExpirationSeconds; *got != 600 {
				t.Errorf("the JWT lasts for %d seconds, so that the next one is late", *got)
			}
			rotate(t, l)
			otherResult(t, l, first)
			terminate(t, l)
			if got := complaints(l); len(got) > 0 {
				t.Errorf("the log complains: %s", got)
			}
		})
	}
	t.Run("a JWT that was used", func(t *testing.T) {
		t.Parallel()
		l, _ := oryLogin(t, s, ns, by("by-basic", "basic")...)
		loggedIn(t, l)
		terminate(t, l)
		startLogin(t, l)
		// The token that it left is good, and stays.
		failing(t, l, true, "the JWT has given a token before and is accepted once; the next JWT is expected at ")
		first := result(t, l)
		rotate(t, l)
		otherResult(t, l, first)
	})
	for name, test := range map[string]struct {
		keys []string
		want string
	}{
		"a wrong secret":   {append(by("by-basic", "basic"), "login-client-secret=wrong/password"), "invalid_client"},
		"another way":      {by("by-post", "basic"), "but method 'client_secret_basic' was requested"},
		"a scope":          {append(by("by-post", "post"), "login-scope=write"), "invalid_scope"},
		"another audience": {append(by("by-post", "post"), "audience=https://other.example.com"), "MUST contain an 'aud' (audience) claim"},
		// A ServiceAccount is its JWT's subject and not its issuer, and the client has to
		// be both.
		"an assertion": {
			[]string{"login-client-id=by-assertion", "login-client-auth=assertion"},
			"Claim 'iss' from 'client_assertion' must match the 'client_id'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := oryLogin(t, s, ns, test.keys...)
			failing(t, l, false, test.want)
			for _, secret := range []string{oryClients[0].Secret, oryClients[1].Secret, wrongSecret} {
				if strings.Contains(l.Log(), secret) {
					t.Errorf("the log has a secret:\n%s", l.Log())
				}
			}
		})
	}
}
