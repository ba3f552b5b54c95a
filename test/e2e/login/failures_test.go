package login

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/pki"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/vault"
	"github.com/oidc-injector/oidc-injector/test/vault/faults"
)

// TestRefusals shows what Vault says of logins that it does not allow. Its text
// is in the log and in what the startup probe says, so that the pod's owner and
// Vault's operator can talk about the same thing. Nothing is written meanwhile,
// and the login succeeds once the reason is gone.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		role map[string]any
		keys []string
		text string
	}{
		"audience": {
			role: map[string]any{"bound_audiences": "another"},
			text: "error validating token: invalid audience (aud) claim: audience claim does not match any expected audience",
		},
		"no bound audience": {
			role: map[string]any{"bound_audiences": nil},
			text: "audience claim found in JWT but no audiences bound to the role",
		},
		"subject": {
			role: map[string]any{"bound_subject": "system:serviceaccount:other:default"},
			text: "error validating token: invalid subject (sub) claim",
		},
		"namespace": {
			role: map[string]any{"bound_claims": map[string]any{"/kubernetes.io/namespace": "other"}},
			text: `error validating claims: claim "/kubernetes.io/namespace" does not match any associated bound claim values`,
		},
		"missing claim": {
			role: map[string]any{"bound_claims": map[string]any{"/kubernetes.io/node/name": "node-1"}},
			text: `error validating claims: claim "/kubernetes.io/node/name" is missing`,
		},
		"user claim": {
			role: map[string]any{"user_claim": "email"},
			text: `claim "email" not found in token`,
		},
		"address": {
			role: map[string]any{"token_bound_cidrs": "192.0.2.0/24"},
			text: "permission denied",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, "refused-"+strings.ReplaceAll(name, " ", "-"), setup{role: test.role, keys: test.keys})
			line := c.failing(false, test.text)
			if !strings.HasPrefix(line, "not logged in yet: could not log in to Vault at "+c.proxy.Address()) {
				t.Errorf("ready says %q", line)
			}
			noResult(t, c.Login)
			// Whoever gets it right does not have to start the pod anew.
			role := map[string]any{}
			for key := range test.role {
				role[key] = map[string]any{"bound_claims": map[string]any{}, "token_bound_cidrs": ""}[key]
			}
			for key, value := range usualRole(c.ns) {
				if _, changed := role[key]; changed {
					role[key] = value
				}
			}
			c.writeRole(role)
			c.well()
			c.lookup(c.token())
		})
	}
}

func TestRoleNotFound(t *testing.T) {
	t.Parallel()
	c := newClient(t, "no-role", setup{noRole: true})
	c.failing(false, `role "no-role" could not be found`)
	noResult(t, c.Login)
	c.writeRole(nil)
	c.well()
}

// TestMountMissing has an auth method that is not there, of which Vault tells
// strangers nothing.
func TestMountMissing(t *testing.T) {
	t.Parallel()
	c := newClient(t, "no-mount", setup{keys: []string{"login-mount=teams/payments"}})
	c.failing(false, "permission denied")
	if n := c.proxy.Requests("/v1/auth/teams/payments/login"); n == 0 {
		t.Errorf("the login went elsewhere: %v", c.proxy.AllRequests())
	}
	noResult(t, c.Login)
}

// TestWrongIssuer has an auth method that expects the tokens of another cluster.
func TestWrongIssuer(t *testing.T) {
	t.Parallel()
	_, public := newKey(t)
	for path, configuration := range map[string]vault.JWTConfig{
		"other-issuer": {Issuer: "https://issuer.example.com", PublicKeys: []string{public}},
		"other-key":    {Issuer: kube.Issuer(), PublicKeys: []string{public}},
	} {
		if err := server.EnableJWT(t.Context(), path, configuration); err != nil {
			t.Fatal(err)
		}
	}
	// The keys are those of the cluster, but the issuer is said to be another.
	if err := server.EnableJWT(t.Context(), "bound-issuer", vault.JWTConfig{Issuer: kube.Issuer(), DiscoveryCA: kube.CA()}); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Client().Logical().WriteWithContext(t.Context(), "auth/bound-issuer/config", map[string]any{
		"oidc_discovery_url": kube.Issuer(), "oidc_discovery_ca_pem": string(kube.CA()), "bound_issuer": "https://kubernetes",
	}); err != nil {
		t.Fatal(err)
	}
	for mount, text := range map[string]string{
		"other-issuer": "error verifying token signature: no known key successfully validated the token signature",
		"other-key":    "error verifying token signature: no known key successfully validated the token signature",
		"bound-issuer": "error validating token: invalid issuer (iss) claim",
	} {
		t.Run(mount, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, mount, setup{noRole: true, keys: []string{"login-mount=" + mount}, idle: true})
			if err := server.WriteRole(t.Context(), mount, mount, usualRole(c.ns)); err != nil {
				t.Fatal(err)
			}
			c.start()
			c.failing(false, text)
			noResult(t, c.Login)
		})
	}
}

// TestUnusableJWT has files that are no JWT, or none any more. What has ended
// long ago is not even sent.
func TestUnusableJWT(t *testing.T) {
	t.Parallel()
	key, public := newKey(t)
	if err := server.EnableJWT(t.Context(), "expiry", vault.JWTConfig{Issuer: kube.Issuer(), PublicKeys: []string{public}}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		jwt  func(good string) string
		text string
		sent bool
	}{
		"expired": {func(good string) string { return sign(t, key, good, -20*time.Second) }, "token is expired", true},
		"expired long ago": {
			func(good string) string { return sign(t, key, good, -time.Hour) }, "and the kubelet has not replaced it",
			true,
		},
		"empty":         {func(string) string { return "" }, "the file is empty", false},
		"half":          {func(good string) string { return good[:len(good)/2] }, "it is not a JWT", false},
		"another thing": {func(string) string { return "s.123456789012345678901234" }, "it is not a JWT", false},
		"forged":        {func(good string) string { return sign(t, key, good, time.Hour) + "AAAA" }, "error verifying token", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := "jwt-" + strings.ReplaceAll(name, " ", "-")
			c := newClient(t, ns, setup{noRole: true, keys: []string{"login-mount=expiry"}, idle: true})
			role := usualRole(ns)
			// Vault adds two minutes to the life of a JWT where it is not told otherwise.
			role["expiration_leeway"], role["clock_skew_leeway"] = -1, -1
			if err := server.WriteRole(t.Context(), "expiry", ns, role); err != nil {
				t.Fatal(err)
			}
			good := c.Tokens()[0]
			if err := c.WriteToken(test.jwt(good)); err != nil {
				t.Fatal(err)
			}
			c.start()
			c.failing(false, test.text)
			if sent := c.requests() > 0; sent != test.sent {
				t.Errorf("there were requests: %t, want %t", sent, test.sent)
			}
			// A good one is found at once, whatever the pause after the failure is.
			if err := c.WriteToken(sign(t, key, good, time.Hour)); err != nil {
				t.Fatal(err)
			}
			c.well()
		})
	}
}

// TestUselessAnswers shows answers with which a login would go wrong silently.
func TestUselessAnswers(t *testing.T) {
	t.Parallel()
	json := http.Header{"Content-Type": {"application/json"}}
	for name, test := range map[string]struct {
		answer faults.Fault
		text   string
	}{
		"wrapped": {
			faults.Answer(http.StatusOK, json, `{"auth":null,"wrap_info":{"token":"hvs.wrapping-token-of-some-length","ttl":300}}`),
			"the answer is a wrapped token",
		},
		"no token": {faults.Answer(http.StatusOK, json, `{"auth":{"client_token":""}}`), "the answer has no auth.client_token"},
		"no auth":  {faults.Answer(http.StatusOK, json, `{"data":{"keys":[]}}`), "the answer has no auth"},
		"injection": {
			faults.Answer(http.StatusOK, json, `{"auth":{"client_token":"a\nVAULT_ADDR=https://evil.example.com"}}`),
			"is not a token",
		},
		"redirect": {
			faults.Answer(http.StatusFound, http.Header{"Location": {"https://127.0.0.1/sign-in"}}, ""),
			`a redirect to "https://127.0.0.1/sign-in"`,
		},
		"huge page": {faults.Answer(http.StatusOK, nil, strings.Repeat("x", 2<<20)), "larger than 1 MiB"},
		"404": {faults.Answer(http.StatusNotFound, json,
			`{"errors":["no handler for route \"auth/jwt/login\". route entry not found."]}`), "no handler for route"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, "answer-"+strings.ReplaceAll(name, " ", "-"), setup{idle: true})
			c.proxy.SetPath(loginPath, test.answer)
			c.start()
			c.failing(false, test.text)
			noResult(t, c.Login)
			c.proxy.SetPath(loginPath, faults.Pass())
			c.well()
		})
	}
}

// TestEchoedToken has a relying party, or something in front of it, that repeats
// what it was sent.
func TestEchoedToken(t *testing.T) {
	t.Parallel()
	c := newClient(t, "echo", setup{idle: true})
	sent := c.Tokens()[0]
	c.proxy.SetPath(loginPath, faults.Error(http.StatusBadRequest, "cannot parse "+sent))
	c.start()
	line := c.failing(false, "cannot parse [redacted]")
	for part := range strings.SplitSeq(sent, ".") {
		if strings.Contains(line, part) || strings.Contains(c.Log(), part) {
			t.Error("a part of the JWT is in the log or in what ready says")
		}
	}
}

// TestTLS connects to what is not the Vault that it claims to be.
func TestTLS(t *testing.T) {
	t.Parallel()
	t.Run("wrong CA", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, "wrong-ca", kube.CA())
		if err := server.WriteRole(t.Context(), jwtMount, ns, usualRole(ns)); err != nil {
			t.Fatal(err)
		}
		c := newClient(t, ns, setup{})
		line := c.failing(false, "certificate signed by unknown authority")
		if !strings.Contains(line, "ca-file or ca-bundle") {
			t.Errorf("ready does not say what to look at: %q", line)
		}
		if n := c.requests(); n > 0 {
			t.Errorf("there were %d requests all the same", n)
		}
	})
	t.Run("wrong name", func(t *testing.T) {
		t.Parallel()
		ca, proxy := proxyNamed(t, "vault.example.com")
		ns := namespace(t, "wrong-name", ca)
		if err := server.WriteRole(t.Context(), jwtMount, ns, usualRole(ns)); err != nil {
			t.Fatal(err)
		}
		pod := podtest.Create(t, kube, ns, podtest.New("app", "audience=vault",
			"login=vault", "login-address="+proxy.Address(), "login-role="+ns, "login-ca-configmap=vault-ca"))
		l := newLogin(t, pod, "")
		startLogin(t, l)
		failing(t, l, false, "cannot validate certificate for 127.0.0.1")
		if n := len(proxy.AllRequests()); n > 0 {
			t.Errorf("there were requests for %d paths all the same", n)
		}
		// By hand, the name can be given.
		named := newLogin(t, pod, "", "--tls-server-name=vault.example.com")
		startLogin(t, named)
		loggedIn(t, named)
	})
	t.Run("no CA", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, "no-ca", server.CA())
		pod := podtest.Create(t, kube, ns, podtest.New("app", "audience=vault", "login=vault", "login-address="+server.Address()))
		l := newLogin(t, pod, "")
		startLogin(t, l)
		failing(t, l, false, "certificate signed by unknown authority")
		if got := podtest.Env(pod, "app", "VAULT_CACERT"); got != "" {
			t.Errorf("the app has VAULT_CACERT=%s", got)
		}
	})
	t.Run("CA from a Secret", func(t *testing.T) {
		t.Parallel()
		const ns = "ca-secret"
		c := newClient(t, ns, setup{
			keys: []string{"login-ca-secret=vault-tls/ca.pem"},
			pod: func(pod *corev1.Pod) {
				delete(pod.Annotations, podtest.Prefix+"login-ca-configmap")
				createSecret(t, ns, "vault-tls", "ca.pem", server.CA())
			},
		})
		c.token()
		if podtest.Env(c.pod, "app", "VAULT_CACERT") == "" {
			t.Error("the app has no VAULT_CACERT")
		}
	})
	t.Run("not TLS at all", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, "plain", server.CA())
		plain, address := plainServer(t)
		pod := podtest.Create(t, kube, ns, podtest.New("app", "audience=vault",
			"login=vault", "login-address=https://"+address, "login-ca-configmap=vault-ca"))
		l := newLogin(t, pod, "")
		startLogin(t, l)
		failing(t, l, false, "is it https at this port?")
		// Where the policy lists it, plain HTTP is used, and complained about.
		pod = podtest.Create(t, kube, ns, podtest.New("plain", "audience=vault", "login=vault", "login-address=http://"+address))
		l = newLogin(t, pod, "")
		startLogin(t, l)
		failing(t, l, false, "hello from a server without TLS")
		if all := strings.Join(complaints(l), "\n"); !strings.Contains(all, "not encrypted") {
			t.Errorf("the log does not complain: %s", all)
		}
		if plain.requests() == 0 {
			t.Error("there was no request")
		}
	})
}

// proxyNamed is a proxy in front of Vault with a certificate of another name.
func proxyNamed(t *testing.T, name string) (ca []byte, proxy *faults.Proxy) {
	t.Helper()
	authority, err := pki.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(pki.Identity{User: name, Names: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err = faults.Start(faults.Upstream{URL: server.Address(), CA: server.CA(), Certificate: certificate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return authority.PEM, proxy
}

// TestUsage starts the program with options that are wrong, as in a container
// written by hand: it says all of them and ends with a code of its own.
func TestUsage(t *testing.T) {
	t.Parallel()
	c := newClient(t, "usage", setup{idle: true, args: []string{"--output-mode=0777", "--timeout=soon", "--scope=all"}})
	c.start()
	code, err := c.Wait(t.Context())
	if err != nil || code != 2 {
		t.Errorf("the program ended with code %d, error %v, want 2", code, err)
	}
	for _, want := range []string{"--output-mode", "--timeout", "--scope"} {
		if !strings.Contains(c.TerminationMessage(), want) || !strings.Contains(c.Log(), want) {
			t.Errorf("%s is missing in the log or in the termination message %q", want, c.TerminationMessage())
		}
	}
}

// TestUnwritable keeps the result from being written, as a full volume does. The
// login is not repeated for that, and all is well once there is room.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	c := newClient(t, "unwritable", setup{idle: true})
	blockOutput(t, c.OutputFile())
	c.start()
	c.failing(false, "could not write the token")
	unblockOutput(t, c.OutputFile())
	c.well()
	c.lookup(c.token())
	if n := c.proxy.Requests(loginPath); n != 1 {
		t.Errorf("%d logins, want one", n)
	}
	podtest.Eventually(t, "the write", func(context.Context) error {
		if n := logged(c.Login, "logged in"); n != 1 {
			return errors.New("the log does not say it")
		}
		return nil
	})
}
