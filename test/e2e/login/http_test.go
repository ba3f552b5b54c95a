package login

import (
	"testing"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestHTTP logs in at a real server whose protocol is put together from annotations:
// Vault's own, as if the method vault did not exist. Its answer has the token and the
// lease deep inside, and its refusals are shown in its words.
func TestHTTP(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "http", server.CA())
	if err := server.WriteRole(t.Context(), jwtMount, "http", map[string]any{
		"role_type": "jwt", "bound_audiences": "vault", "bound_subject": subject(ns), "user_claim": "sub", "policies": "default",
		"token_ttl": "6s",
	}); err != nil {
		t.Fatal(err)
	}
	keys := []string{
		"audience=vault", "login=http", "login-address=" + server.Address() + "/v1/auth/" + jwtMount + "/login", "login-jwt-field=jwt",
		"login-token-pointer=/auth/client_token", "login-lifetime-pointer=/auth/lease_duration", "login-ca-configmap=vault-ca",
	}
	pod := podtest.Create(t, kube, ns, podtest.New("app", append(keys, "login-parameters=role=http")...))
	l := newLogin(t, pod, "")
	startLogin(t, l)
	first := loggedIn(t, l)
	if data, err := server.LookupSelf(t.Context(), first); err != nil || data["display_name"] != jwtMount+
		"-system:serviceaccount:http:default" {
		t.Errorf("%v: %v", err, data)
	}
	if got := podtest.Env(pod, "app", "ACCESS_TOKEN_FILE"); got != "/var/run/secrets/login/token" {
		t.Errorf("ACCESS_TOKEN_FILE is %q", got)
	}
	otherResult(t, l, first)
	terminate(t, l)
	if got := complaints(l); len(got) > 0 {
		t.Errorf("the log complains: %s", got)
	}

	wrong := newLogin(t, podtest.Create(t, kube, ns, podtest.New("wrong", append(keys, "login-parameters=role=nobody")...)), "")
	startLogin(t, wrong)
	failing(t, wrong, false, `role "nobody" could not be found`)
}
