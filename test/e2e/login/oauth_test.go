package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/authserver"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/loginrun"
)

// oauthClientID is the client for which the ServiceAccounts of these tests act.
const oauthClientID = "billing"

// oauth is an authorization server that trusts the API server, and a pod that
// logs in there.
type oauth struct {
	*loginrun.Login

	server *authserver.Server
	pod    *corev1.Pod
	ns     string
}

// oauthAudience is what the ServiceAccount tokens are for.
const oauthAudience = "https://login.example.com"

// newOAuth starts a server and creates a pod. Among its keys, ISSUER and ENDPOINT
// stand for those of the server.
func newOAuth(t *testing.T, ns string, o authserver.Options, keys ...string) *oauth {
	t.Helper()
	o.IssuerURL, o.IssuerCA, o.Audience = kube.Issuer(), kube.CA(), oauthAudience
	o.Clients = map[string][]string{oauthClientID: {subject(ns)}}
	s := &oauth{server: authserver.StartForTest(t, o), ns: ns}
	namespace(t, ns, s.server.CA())
	pod := podtest.New("app", append([]string{"audience=" + oauthAudience, "login-ca-configmap=vault-ca"}, keys...)...)
	replace := strings.NewReplacer("ISSUER", s.server.Issuer(), "ENDPOINT", s.server.TokenEndpoint())
	for key, value := range pod.Annotations {
		pod.Annotations[key] = replace.Replace(value)
	}
	s.pod = podtest.Create(t, kube, ns, pod)
	s.Login = newLogin(t, s.pod, "")
	return s
}

// TestOAuth exchanges the API server's tokens in all three ways, found by the
// issuer and at a given endpoint, and compares the requests with what the
// standards say, field by field.
func TestOAuth(t *testing.T) {
	t.Parallel()
	const audience = "https://payments.example.com"
	for method, test := range map[string]struct {
		keys []string
		// form is what the request has beside the JWT, which is in the field jwt.
		form url.Values
		jwt  string
		want authserver.AccessToken
	}{
		loginspec.MethodTokenExchange: {
			keys: []string{
				"login-client-id=billing", "login-target-audience=" + audience, "login-scope=pay refund",
				"login-resource=https://a.example.com/x https://b.example.com",
			},
			form: url.Values{
				"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
				"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
				"client_id":          {oauthClientID},
				"audience":           {audience},
				"resource":           {"https://a.example.com/x", "https://b.example.com"},
				"scope":              {"pay refund"},
			},
			jwt: "subject_token",
			want: authserver.AccessToken{
				ClientID: oauthClientID, Scopes: []string{"pay", "refund"}, Audience: []string{audience},
				Resources: []string{"https://a.example.com/x", "https://b.example.com"},
			},
		},
		loginspec.MethodJWTBearer: {
			keys: []string{"login-scope=pay"},
			form: url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "scope": {"pay"}},
			jwt:  "assertion",
			want: authserver.AccessToken{Scopes: []string{"pay"}, Audience: []string{oauthAudience}},
		},
		loginspec.MethodClientAssertion: {
			keys: []string{"login-client-id=billing", "login-scope=pay"},
			form: url.Values{
				"grant_type":            {"client_credentials"},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				"client_id":             {oauthClientID},
				"scope":                 {"pay"},
			},
			jwt: "client_assertion",
			want: authserver.AccessToken{
				Subject: oauthClientID, ClientID: oauthClientID, Scopes: []string{"pay"},
				Audience: []string{oauthClientID},
			},
		},
	} {
		for by, where := range map[string]string{"issuer": "login-issuer=ISSUER", "endpoint": "login-address=ENDPOINT"} {
			t.Run(method+" by "+by, func(t *testing.T) {
				t.Parallel()
				s := newOAuth(t, method+"-"+by, authserver.Options{}, append([]string{"login=" + method, where}, test.keys...)...)
				startLogin(t, s.Login)
				token := loggedIn(t, s.Login)
				form := maps.Clone(test.form)
				form[test.jwt] = s.Tokens()
				s.checkRequest(t, form)
				if n := len(s.server.RequestsTo(authserver.OpenIDMetadataPath)); n != map[string]int{"issuer": 1}[by] {
					t.Errorf("the metadata were asked for %d times", n)
				}
				want := test.want
				s.checkToken(t, token, want)
				if got := podtest.Env(s.pod, "app", "ACCESS_TOKEN_FILE"); got != "/var/run/secrets/login/token" {
					t.Errorf("ACCESS_TOKEN_FILE is %q", got)
				}
				if got := podtest.Env(s.pod, "app", "VAULT_ADDR"); got != "" {
					t.Errorf("VAULT_ADDR is %q", got)
				}
				terminate(t, s.Login)
				if got := complaints(s.Login); len(got) > 0 {
					t.Errorf("the log complains: %s", got)
				}
			})
		}
	}
}

// checkRequest compares the only token request with what it is to be.
func (s *oauth) checkRequest(t *testing.T, form url.Values) {
	t.Helper()
	requests := s.server.Requests()
	if len(requests) != 1 {
		t.Fatalf("%d token requests, want one", len(requests))
	}
	got := requests[0]
	if got.Method != http.MethodPost || len(got.Query) > 0 || got.Status != http.StatusOK {
		t.Errorf("the request is a %s with the query %q, status %d", got.Method, got.Query.Encode(), got.Status)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json",
		"Authorization": "",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
	if diff := cmp.Diff(form, got.Form); diff != "" {
		t.Error("the form differs: fields " + strings.Join(differing(form, got.Form), ", ")) // the form has the JWT
	}
}

// differing are the names of what two forms do not have in common.
func differing(a, b url.Values) []string {
	var names []string
	for name := range a {
		if !cmp.Equal(a[name], b[name]) {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

// checkToken asks the server about an access token, as a resource server does.
func (s *oauth) checkToken(t *testing.T, token string, want authserver.AccessToken) {
	t.Helper()
	got, err := s.server.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if want.Subject == "" {
		want.Subject = subject(s.ns)
	}
	if want.ClientID == "" {
		want.ClientID = want.Subject
	}
	want.IssuedAt, want.ExpiresAt = got.IssuedAt, got.ExpiresAt
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("the access token (-want +got):\n%s", diff)
	}
}

// TestOAuthMetadata finds the token endpoint of a server that has the metadata of
// RFC 8414 alone.
func TestOAuthMetadata(t *testing.T) {
	t.Parallel()
	s := newOAuth(t, "rfc8414", authserver.Options{MetadataPaths: []string{authserver.OAuthMetadataPath}}, "login=jwt-bearer",
		"login-issuer=ISSUER")
	startLogin(t, s.Login)
	s.checkToken(t, loggedIn(t, s.Login), authserver.AccessToken{Audience: []string{oauthAudience}})
}

// TestOAuthFormats reads what there is to know of an access token.
func TestOAuthFormats(t *testing.T) {
	t.Parallel()
	s := newOAuth(t, "oauth-json", authserver.Options{}, "login=token-exchange", "login-issuer=ISSUER", "login-client-id=billing",
		"login-scope=pay", "login-format=json")
	startLogin(t, s.Login)
	var got map[string]any
	if err := json.Unmarshal([]byte(loggedIn(t, s.Login)), &got); err != nil {
		t.Fatal(err)
	}
	token, _ := got["token"].(string)
	issued, err := s.server.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	expiry, err := time.Parse(time.RFC3339, fmt.Sprint(got["expiry"]))
	if early := issued.ExpiresAt.Sub(expiry); err != nil || early < 0 || early > time.Minute {
		t.Errorf("the file says that the token ends at %s, which is %s too early, error %v", expiry, early, err)
	}
	delete(got, "token")
	delete(got, "expiry")
	want := map[string]any{"token_type": "Bearer", "scope": "pay", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
}

// TestOAuthLifetime logs in again before the access token ends, and follows a
// lifetime that changes.
func TestOAuthLifetime(t *testing.T) {
	t.Parallel()
	s := newOAuth(t, "oauth-lifetime", authserver.Options{AccessTokenLifetime: 6 * time.Second}, "login=jwt-bearer", "login-issuer=ISSUER")
	startLogin(t, s.Login)
	first := loggedIn(t, s.Login)
	stop := neverUnready(t, s.Login)
	second := otherResult(t, s.Login, first)
	if _, err := s.server.Verify(t.Context(), second); err != nil {
		t.Error(err)
	}
	s.server.SetLifetime(time.Hour)
	third := otherResult(t, s.Login, second)
	stop()
	requests := len(s.server.Requests())
	time.Sleep(5 * time.Second)
	if n := len(s.server.Requests()); n != requests || result(t, s.Login) != third {
		t.Errorf("a token for an hour was replaced after seconds, by %d requests", n-requests)
	}
	terminate(t, s.Login)
	if n := len(s.server.RequestsTo(authserver.RevocationPath)); n > 0 {
		t.Errorf("%d revocations, of what may be shared", n)
	}
}

// TestOAuthRotation uses each JWT once, as servers may demand, and logs in again
// when there is a new one.
func TestOAuthRotation(t *testing.T) {
	t.Parallel()
	s := newOAuth(t, "oauth-rotation", authserver.Options{SingleUse: true}, "login=jwt-bearer", "login-issuer=ISSUER")
	startLogin(t, s.Login)
	first := loggedIn(t, s.Login)
	rotate(t, s.Login)
	second := otherResult(t, s.Login, first)
	if _, err := s.server.Verify(t.Context(), second); err != nil {
		t.Error(err)
	}
}

// TestOAuthRefusals shows the errors of RFC 6749 section 5.2 as the server says
// them, in the log and to the startup probe.
func TestOAuthRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options authserver.Options
		keys    []string
		spoil   func(*oauth)
		text    string
	}{
		"scope": {
			options: authserver.Options{Scopes: []string{"read"}},
			keys:    []string{"login=client-assertion", "login-address=ENDPOINT", "login-scope=write"},
			text:    "invalid_scope",
		},
		"target": {
			options: authserver.Options{Targets: []string{"https://a.example.com"}},
			keys: []string{
				"login=token-exchange", "login-address=ENDPOINT", "login-client-id=billing",
				"login-target-audience=https://b.example.com",
			},
			text: "invalid_target",
		},
		"client": {
			keys:  []string{"login=client-assertion", "login-address=ENDPOINT"},
			spoil: func(s *oauth) { s.server.RemoveClient(oauthClientID) },
			text:  "invalid_client",
		},
		"grant": {
			keys:  []string{"login=jwt-bearer", "login-address=ENDPOINT"},
			spoil: func(s *oauth) { s.server.RemoveClient(oauthClientID) },
			text:  "invalid_grant",
		},
		"audience": {
			keys: []string{"login=jwt-bearer", "login-address=ENDPOINT", "audience=https://other.example.com"},
			text: "invalid_grant",
		},
		"server error": {
			keys:  []string{"login=jwt-bearer", "login-issuer=ISSUER"},
			spoil: func(s *oauth) { s.server.Fail(http.StatusServiceUnavailable) },
			text:  "the test wants this failure",
		},
		"no issuer": {
			options: authserver.Options{MetadataPaths: []string{"/elsewhere"}},
			keys:    []string{"login=jwt-bearer", "login-issuer=ISSUER"},
			text:    "could not find the token endpoint of the issuer",
		},
		"another issuer": {
			keys: []string{"login=jwt-bearer", "login-issuer=ISSUER/"},
			text: "it names the issuer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newOAuth(t, "oauth-"+strings.ReplaceAll(name, " ", "-"), test.options, test.keys...)
			if test.spoil != nil {
				test.spoil(s)
			}
			startLogin(t, s.Login)
			failing(t, s.Login, false, test.text)
			noResult(t, s.Login)
		})
	}
}

// TestOAuthServerAway keeps the access token as long as it is good, and comes
// back by itself.
func TestOAuthServerAway(t *testing.T) {
	t.Parallel()
	s := newOAuth(t, "oauth-away", authserver.Options{AccessTokenLifetime: 10 * time.Second}, "login=jwt-bearer", "login-issuer=ISSUER")
	startLogin(t, s.Login)
	token := loggedIn(t, s.Login)
	s.server.Fail(http.StatusServiceUnavailable)
	failing(t, s.Login, true, "the test wants this failure")
	if result(t, s.Login) != token {
		t.Error("the token was replaced while it was good")
	}
	failing(t, s.Login, false, "the test wants this failure")
	noResult(t, s.Login)
	s.server.Fail(0)
	podtest.Eventually(t, "the login", func(context.Context) error {
		if ok, line := ready(t, s.Login); !ok {
			return errors.New(line)
		}
		return nil
	})
	if _, err := s.server.Verify(t.Context(), result(t, s.Login)); err != nil {
		t.Error(err)
	}
}
