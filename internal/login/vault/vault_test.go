package vault

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

const (
	jwt   = secret.Text("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ")
	token = secret.Text("hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY")
)

// request is what a Vault sees of one.
type request struct {
	Line   string
	Header map[string]string
	Body   string
}

// serve runs a Vault that keeps what it sees and gives one answer.
func serve(tb testing.TB, status int, answer string) (*Vault, *[]request) {
	tb.Helper()
	var seen []request
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := request{Line: r.Method + " " + r.RequestURI, Header: map[string]string{}, Body: string(body)}
		for name := range r.Header {
			got.Header[name] = strings.Join(r.Header[name], "|")
		}
		delete(got.Header, "Content-Length")
		seen = append(seen, got)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	tb.Cleanup(server.Close)
	return &Vault{client: clientOf(server), address: parse(tb, server.URL), mount: "jwt", role: "demo"}, &seen
}

func clientOf(server *httptest.Server) *exchange.Client {
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &exchange.Client{
		TLS: exchange.TLS{CA: exchange.NewCA("", string(bundle))}, Timeout: 10 * time.Second,
		UserAgent: "oidc-login/test",
	}
}

func parse(tb testing.TB, address string) *url.URL {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// good is an answer as Vault 1.21 gives it.
const good = `{"request_id":"6b3c","lease_id":"","renewable":false,"lease_duration":0,"data":null,"wrap_info":null,
"warnings":null,"auth":{"client_token":"` + string(token) + `","accessor":"AbC","policies":["default","extra"],
"token_policies":["default"],"identity_policies":["extra"],"metadata":{"role":"demo"},"lease_duration":2764800,
"renewable":true,"entity_id":"e","token_type":"service","orphan":true,"mfa_requirement":null,"num_uses":0},"mount_type":""}`

func TestRequest(t *testing.T) {
	headers := map[string]string{
		"User-Agent": "oidc-login/test", "Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json",
		"X-Vault-Request": "true",
		"Connection":      "close",
	}
	with := func(more ...string) map[string]string {
		all := map[string]string{}
		maps.Copy(all, headers)
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	body := `{"jwt":"` + jwt.Reveal() + `","role":"demo"}`
	for _, tt := range []struct {
		name   string
		change func(*Vault)
		do     func(context.Context, *Vault) error
		want   request
	}{
		{"login", func(*Vault) {}, login, request{"POST /v1/auth/jwt/login", headers, body}},
		{"no role", func(v *Vault) { v.role = "" }, login, request{"POST /v1/auth/jwt/login", headers, `{"jwt":"` + jwt.Reveal() + `"}`}},
		{
			"another mount and a namespace", func(v *Vault) { v.mount, v.namespace = "k8s/my cluster", "team/a" }, login,
			request{"POST /v1/auth/k8s/my%20cluster/login", with("X-Vault-Namespace", "team/a"), body},
		},
		{
			"behind a path", func(v *Vault) { v.address = v.address.JoinPath("/vault/") }, login,
			request{"POST /vault/v1/auth/jwt/login", headers, body},
		},
		{"renewal", func(*Vault) {}, renew, request{"POST /v1/auth/token/renew-self", with("X-Vault-Token", token.Reveal()), "{}"}},
		{
			"revocation", func(v *Vault) { v.namespace = "ns" }, revoke,
			request{"POST /v1/auth/token/revoke-self", with("X-Vault-Token", token.Reveal(), "X-Vault-Namespace", "ns"), "{}"},
		},
	} {
		vault, seen := serve(t, http.StatusOK, good)
		tt.change(vault)
		if err := tt.do(t.Context(), vault); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff([]request{tt.want}, *seen); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func login(ctx context.Context, v *Vault) error {
	_, err := v.Login(ctx, jwt)
	return err
}

func renew(ctx context.Context, v *Vault) error {
	_, err := v.Renew(ctx, token)
	return err
}

func revoke(ctx context.Context, v *Vault) error { return v.Revoke(ctx, token) }

func TestAnswer(t *testing.T) {
	full := exchange.Credential{
		Token: token, Lease: 32 * 24 * time.Hour, Renewable: true, Revocable: true, Checkable: true, TokenType: "service", Accessor: "AbC",
		Policies: []string{"default"}, Metadata: map[string]string{"role": "demo"},
	}
	with := func(change func(*exchange.Credential)) exchange.Credential {
		c := full
		change(&c)
		return c
	}
	const (
		ignored = " is ignored, as it is not of the expected type"
		untold  = "auth.lease_duration does not say how long the token lasts"
	)
	unknown := with(func(c *exchange.Credential) { c.Lease, c.Assumed = 5*time.Minute, true })
	unusual := func(c exchange.Credential, text string) exchange.Credential {
		c.Warnings = []string{"the answer is unusual: " + text}
		return c
	}
	for _, tt := range []struct {
		name, from, to string
		want           exchange.Credential
	}{
		{"a service token", "", "", full},
		{"a batch token", `"token_type":"service"`, `"token_type":"batch"`, with(func(c *exchange.Credential) {
			c.TokenType, c.Renewable, c.Revocable = "batch", false, false
		})},
		{"a batch token of an old server", `hvs.CAES`, `b.AAAA`, with(func(c *exchange.Credential) {
			c.Token = "b.AAAA" + token[len("hvs.CAES"):]
		})},
		{"a token that does not say what it is", `"token_type":"service",`, ``, full},
		{"a batch token that does not say so", `hvs.CAESIJ`, `hvb.CAESIJ","token_type":"","x":"`, with(func(c *exchange.Credential) {
			c.Token = "hvb.CAESIJ"
		})},
		{
			"a token with counted uses", `"num_uses":0`, `"num_uses":3`,
			with(func(c *exchange.Credential) { c.Renewable, c.Checkable = false, false }),
		},
		{"one that is not renewable", `"renewable":true`, `"renewable":false`, with(func(c *exchange.Credential) { c.Renewable = false })},
		{"one for ever", `"lease_duration":2764800`, `"lease_duration":0`, with(func(c *exchange.Credential) { c.Lease = 0 })},
		{"no policies of its own", `"token_policies":["default"],`, ``, with(func(c *exchange.Credential) {
			c.Policies = []string{"default", "extra"}
		})},
		{"warnings", `"warnings":null`, `"warnings":["TTL is capped"]`, with(func(c *exchange.Credential) {
			c.Warnings = []string{"TTL is capped"}
		})},
		{"a factor that is not enforced", `"mfa_requirement":null`, `"mfa_requirement":{}`, full},
		{"more around the token", `"wrap_info":null`, `"wrap_info":{}`, full},
		{"a lease in quotes", `2764800`, `"2764800"`, full},
		{"a truth in quotes", `"renewable":true`, `"renewable":"true"`, full},
		{
			"uses in quotes", `"num_uses":0`, `"num_uses":"3"`,
			with(func(c *exchange.Credential) { c.Renewable, c.Checkable = false, false }),
		},
		{"a policy", `["default"]`, `"default"`, full},
		{"policies of null", `["default"]`, `null`, with(func(c *exchange.Credential) { c.Policies = []string{"default", "extra"} })},
		{
			"a number among the metadata", `{"role":"demo"}`, `{"Role":7}`,
			with(func(c *exchange.Credential) { c.Metadata = map[string]string{"Role": "7"} }),
		},
		{"an object among the metadata", `"metadata":{`, `"metadata":{"a":{},`, unusual(full, "auth.metadata"+ignored)},
		{
			"a warning that is no list", `"warnings":null`, `"warnings":"w"`,
			with(func(c *exchange.Credential) { c.Warnings = []string{"w"} }),
		},
		{"no lease", `"lease_duration":2764800,`, ``, unusual(unknown, untold)},
		{"a negative lease", `2764800`, `-1`, unusual(unknown, "auth.lease_duration is ignored, as it is not a number from 0 on; "+untold)},
		{
			"another type of everything", `"accessor":"AbC"`, `"accessor":{},"num_uses":[],"renewable":{}`,
			unusual(with(func(c *exchange.Credential) {
				c.Accessor = ""
			}), "auth.accessor"+ignored),
		},
	} {
		vault, _ := serve(t, http.StatusOK, strings.Replace(good, tt.from, tt.to, 1))
		got, err := vault.Login(t.Context(), jwt)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		renewed, err := vault.Renew(t.Context(), token)
		if diff := cmp.Diff(tt.want, renewed); diff != "" || err != nil {
			t.Errorf("%s, renewed: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

func TestRefusal(t *testing.T) {
	errs := func(texts ...string) string {
		data, _ := json.Marshal(map[string]any{"errors": texts})
		return string(data)
	}
	for _, tt := range []struct {
		name   string
		status int
		answer string
		class  failure.Class
		want   string
	}{
		{"no such role", 400, errs(`role "x" could not be found`), failure.Denied, `400: "role \"x\" could not be found"`},
		{
			"wrong audience", 400, errs("error validating token: invalid audience (aud) claim: audience claim does not match any bound " +
				"audience"), failure.Denied,
			`400: "error validating token: invalid audience (aud) claim: audience claim does not match any bound audience"`,
		},
		{"denied", 403, errs("permission denied"), failure.Denied, `403: "permission denied"`},
		{"several", 400, errs("a", "b"), failure.Denied, `400: "a"; "b"`},
		{"a warning", 404, `{"errors":[],"warnings":["Invalid path"]}`, failure.Denied, `404: "Invalid path"`},
		{"no reason", 404, `{"errors":[]}`, failure.Denied, `404: "{\"errors\":[]}"`},
		{"sealed", 503, errs("Vault is sealed"), failure.Sealed, `503: "Vault is sealed"`},
		{
			"standby", 500, errs("local node not active but active cluster node not found"), failure.Sealed,
			`500: "local node not active but active cluster node not found"`,
		},
		{
			"rate limited", 429, errs("request path \"auth/jwt/login\": rate limit quota exceeded"), failure.RateLimited,
			`429: "request path \"auth/jwt/login\": rate limit`,
		},
		{
			"past the max TTL", 500, errs("1 error occurred:\n\t* past the max TTL, cannot renew\n\n"), failure.Denied,
			"past the max TTL, cannot renew",
		},
		{"internal error", 500, errs("internal error"), failure.Server, `500: "internal error"`},
		{"not by Vault", 503, "<html><title>503 Service Unavailable</title>", failure.Server, `503: "HTML page: 503 Service Unavailable"`},
		{
			"an echo", 400, errs("bad jwt " + jwt.Reveal() + " for " + token.Reveal()), failure.Denied,
			`400: "bad jwt [redacted] for [redacted]"`,
		},
		{"no content", 204, "", failure.Protocol, `204: "No Content"`},

		{
			"wrapped", 200, `{"auth":null,"wrap_info":{"token":"hvs.wrappingtoken","ttl":300}}`, failure.Protocol,
			"the answer is a wrapped token",
		},
		{
			"second factor", 200, `{"auth":{"client_token":"","mfa_requirement":{"mfa_request_id":"d0c9","mfa_constraints":{}}}}`,
			failure.Protocol,
			"a second factor (MFA) is required, which a workload does not have",
		},
		{"no auth", 200, `{"data":{}}`, failure.Protocol, "the answer has no auth: is this the address of Vault?"},
		{"no token", 200, `{"auth":{}}`, failure.Protocol, "the answer has no auth.client_token"},
		{"a broken token", 200, `{"auth":{"client_token":"a b"}}`, failure.Protocol, "auth.client_token is not a token"},
		{
			"a page", 200, "<html><title>Welcome</title>", failure.Protocol,
			`200: the answer is not the expected JSON: invalid character '<' looking for beginning of value: "HTML page: Welcome"`,
		},
		{"other types", 200, `{"auth":{"client_token":7}}`, failure.Protocol, "the answer has no auth.client_token"},
		{"a list", 200, `[]`, failure.Protocol, "the answer is not the expected JSON"},
		{"a text for an object", 200, `{"auth":"x"}`, failure.Protocol, "the answer has no auth"},
		{"an error that is no list", 400, `{"errors":"no"}`, failure.Denied, `400: "no"`},
		{"errors of objects", 400, `{"errors":[{"message":"no"}]}`, failure.Denied, `400: "no"`},
		{"a gateway", 401, `{"message":"Unauthorized"}`, failure.Denied, `401: "Unauthorized"`},
		{"cut", 200, good[:200], failure.Protocol, "unexpected end of JSON input"},
		{"nothing", 200, "", failure.Protocol, "the answer is not the expected JSON"},
		{"null", 200, "null", failure.Protocol, "the answer has no auth"},
	} {
		vault, _ := serve(t, tt.status, tt.answer)
		vault.address.Path = "/prefix"
		check(t, tt.name, login(t.Context(), vault), tt.class, "could not log in to Vault at "+vault.address.String()+": ", tt.want)
		check(t, tt.name, renew(t.Context(), vault), tt.class, "could not renew the token of Vault at ", tt.want)
		if tt.status >= 300 {
			check(t, tt.name, revoke(t.Context(), vault), tt.class, "could not revoke the token of Vault at ", tt.want)
		}
	}
}

func TestCheckRequest(t *testing.T) {
	vault, seen := serve(t, http.StatusOK, `{"data":{"ttl":3600}}`)
	if err := vault.Check(t.Context(), token); err != nil {
		t.Error(err)
	}
	want := []request{{
		Line: "GET /v1/auth/token/lookup-self",
		Header: map[string]string{
			"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json",
			"User-Agent": "oidc-login/test", "X-Vault-Request": "true",
			"X-Vault-Token": token.Reveal(), "Connection": "close",
		},
	}}
	if diff := cmp.Diff(want, *seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What Vault 1.21 says to a token about itself. Older ones do not say which of
// the two it is.
func TestMissingRights(t *testing.T) {
	const noRight = `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`
	for _, tt := range []struct {
		name, answer string
		status       int
		verdict      failure.Verdict
		words        string
	}{
		{"no right", noRight, 403, failure.NoRight, "the token's policies do not allow "},
		{"an older server", `{"errors":["permission denied"]}`, 403, failure.NoRight, "the token's policies do not allow "},
		{
			"a dead token", `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`, 403, failure.DeadToken,
			"invalid token",
		},
		{"a proxy", `<html><title>Forbidden</title>`, 403, failure.NoRight, "HTML page: Forbidden"},
		{"another refusal", `{"errors":["lease is not renewable"]}`, 400, failure.NoVerdict, "lease is not renewable"},
	} {
		vault, _ := serve(t, tt.status, tt.answer)
		lookUp := func(ctx context.Context, v *Vault) error { return v.Check(ctx, token) }
		for verb, do := range map[string]func(context.Context, *Vault) error{"renew": renew, "revoke": revoke, "look up": lookUp} {
			err := do(t.Context(), vault)
			if got := failure.Of(err); got.Verdict != tt.verdict || got.Class != failure.Denied {
				t.Errorf("%s, %s: %+v", tt.name, verb, got)
			}
			check(t, tt.name, err, failure.Denied, "could not "+verb+" the token of Vault at ", tt.words)
			if tt.verdict == failure.NoRight {
				want := map[string]string{
					"renew": "update on auth/token/renew-self", "revoke": "update on auth/token/revoke-self",
					"look up": "read on auth/token/lookup-self",
				}
				check(t, tt.name, err, failure.Denied, want[verb])
			}
		}
	}
}

func check(t *testing.T, name string, err error, class failure.Class, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*failure.Error](err)
	if !ok {
		t.Errorf("%s: %v", name, err)
		return
	}
	if e.Class != class {
		t.Errorf("%s: class %s instead of %s", name, e.Class, class)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: no %q in %q", name, part, err)
		}
	}
	if strings.Contains(err.Error(), "eyJ") || strings.Contains(err.Error(), "hvs.") {
		t.Errorf("%s: a token is shown: %v", name, err)
	}
}

func TestStandby(t *testing.T) {
	active, seen := serve(t, http.StatusOK, good)
	standby := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", active.address.String()+r.URL.Path)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	t.Cleanup(standby.Close)
	vault := &Vault{client: clientOf(standby), address: parse(t, standby.URL), mount: "jwt", role: "demo", namespace: "ns"}
	if err := renew(t.Context(), vault); err != nil {
		t.Fatal(err)
	}
	got := (*seen)[0]
	if got.Line != "POST /v1/auth/token/renew-self" || got.Header["X-Vault-Token"] != token.Reveal() ||
		got.Header["X-Vault-Namespace"] != "ns" || got.Body != "{}" {
		t.Errorf("the active node sees %+v", got)
	}
}

func TestRevoke(t *testing.T) {
	vault, _ := serve(t, http.StatusNoContent, "")
	if err := revoke(t.Context(), vault); err != nil {
		t.Error(err)
	}
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	server.Close()
	vault := &Vault{client: clientOf(server), address: parse(t, server.URL), mount: "jwt"}
	for _, do := range []func(context.Context, *Vault) error{login, renew, revoke} {
		check(t, "away", do(t.Context(), vault), failure.Network, " Vault at "+server.URL+": dial tcp ", "connection refused")
	}
}

// Whatever a server answers is either a token that can be used, or an error of
// bounded size without a token.
func FuzzAnswer(f *testing.F) {
	f.Add(200, good)
	f.Add(400, `{"errors":["role \"x\" could not be found `+jwt.Reveal()+`"]}`)
	f.Add(503, `{"errors":["Vault is sealed"],"warnings":["`+token.Reveal()+`"]}`)
	f.Add(200, `{"auth":{"client_token":"","mfa_requirement":{}},"wrap_info":{}}`)
	f.Add(200, `{"auth":{"client_token":"x","lease_duration":1e400}}`)
	f.Add(502, "<title>x</title>")
	f.Fuzz(func(t *testing.T, status int, text string) {
		r := exchange.Request{Doing: "test", Secrets: []secret.Text{jwt, token}}
		response := exchange.Response{Status: status, Body: []byte(text)}
		err := refused(r, response)
		if status == http.StatusOK {
			var credential exchange.Credential
			credential, err = read(r, response)
			if err == nil && (!credential.Token.Usable() || credential.Lease < 0 || credential.Lease > 11*365*24*time.Hour) {
				t.Errorf("credential %+v", credential)
			}
		}
		if err == nil {
			return
		}
		if text := err.Error(); len(text) > 13000 || strings.Contains(text, jwt.Reveal()) || strings.Contains(text, token.Reveal()) ||
			strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%q", text)
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	vault, seen := serve(b, http.StatusOK, good)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := vault.Login(b.Context(), jwt); err != nil {
			b.Fatal(err)
		}
		*seen = (*seen)[:0]
	}
}

func BenchmarkRenew(b *testing.B) {
	vault, seen := serve(b, http.StatusOK, good)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := vault.Renew(b.Context(), token); err != nil {
			b.Fatal(err)
		}
		*seen = (*seen)[:0]
	}
}
