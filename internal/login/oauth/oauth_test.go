package oauth

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

const jwt = secret.Text("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ")

// party is an authorization server that keeps what it sees and answers by path.
type party struct {
	*httptest.Server
	seen    []string
	forms   []url.Values
	answers map[string]string // "STATUS BODY" by path

	authorizations []string
	location       string // of redirects
}

func serve(tb testing.TB, answers map[string]string) *party {
	tb.Helper()
	p := &party{answers: answers, location: "https://elsewhere.example/"}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(body))
		if err != nil {
			tb.Errorf("body %q: %v", body, err)
		}
		p.seen = append(p.seen, r.Method+" "+r.RequestURI+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("Accept"))
		p.forms = append(p.forms, form)
		p.authorizations = append(p.authorizations, r.Header.Get("Authorization"))
		answer, ok := p.answers[r.URL.Path]
		if !ok {
			answer = "404 "
		}
		status, body2, _ := strings.Cut(answer, " ")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", p.location)
		var code int
		_ = json.Unmarshal([]byte(status), &code)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, strings.ReplaceAll(body2, "ISSUER", p.URL))
	}))
	tb.Cleanup(p.Close)
	return p
}

// client is a client of the server with a token endpoint of the given path.
func (p *party) client(tb testing.TB, method, path string) *Server {
	tb.Helper()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
	client := &exchange.Client{TLS: exchange.TLS{CA: exchange.NewCA("", string(bundle))}, Timeout: 10 * time.Second, UserAgent: "test"}
	return methods[method](client, loginspec.Values{
		loginspec.MethodName: method, loginspec.Address: p.URL + path, loginspec.SubjectTokenType: "jwt",
	})
}

var methods = map[string]func(*exchange.Client, loginspec.Values) *Server{
	loginspec.MethodTokenExchange: NewTokenExchange, loginspec.MethodJWTBearer: NewJWTBearer,
	loginspec.MethodClientAssertion: NewClientAssertion,
}

// discovering makes a server be found by its issuer.
func (s *Server) discovering(issuer string) {
	s.options[loginspec.Address], s.options[loginspec.Issuer] = "", issuer
}

const good = `{"access_token":"at","token_type":"Bearer","expires_in":3600,"refresh_token":"rt","scope":"a b",` +
	`"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`

func TestRequest(t *testing.T) {
	all := func(s *Server) {
		s.options[loginspec.ClientID], s.options[loginspec.Scope] = "app", "a b"
		s.options[loginspec.Resource], s.options[loginspec.TargetAudience] = "https://r/1 https://r/2", " x  y "
	}
	none := func(*Server) {}
	for _, tt := range []struct {
		method string
		change func(*Server)
		want   url.Values
	}{
		{loginspec.MethodTokenExchange, none, url.Values{
			"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token":      {jwt.Reveal()},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		}},
		{loginspec.MethodTokenExchange, all, url.Values{
			"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token":      {jwt.Reveal()},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
			"client_id":          {"app"}, "scope": {"a b"}, "resource": {"https://r/1", "https://r/2"}, "audience": {"x", "y"},
		}},
		{loginspec.MethodJWTBearer, none, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {jwt.Reveal()},
		}},
		{loginspec.MethodJWTBearer, all, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {jwt.Reveal()},
			"client_id": {"app"}, "scope": {"a b"}, "resource": {"https://r/1", "https://r/2"}, "audience": {"x", "y"},
		}},
		{loginspec.MethodClientAssertion, none, url.Values{
			"grant_type":            {"client_credentials"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {jwt.Reveal()},
		}},
		{loginspec.MethodClientAssertion, all, url.Values{
			"grant_type":            {"client_credentials"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {jwt.Reveal()},
			"client_id":             {"app"}, "scope": {"a b"}, "resource": {"https://r/1", "https://r/2"}, "audience": {"x", "y"},
		}},
	} {
		p := serve(t, map[string]string{"/token": "200 " + good})
		server := p.client(t, tt.method, "/token?tenant=1")
		tt.change(server)
		if _, err := server.Login(t.Context(), jwt); err != nil {
			t.Errorf("%s: %v", tt.method, err)
		}
		if diff := cmp.Diff([]string{"POST /token?tenant=1 application/x-www-form-urlencoded application/json"}, p.seen); diff != "" {
			t.Errorf("%s: request (-want +got):\n%s", tt.method, diff)
		}
		if diff := cmp.Diff([]url.Values{tt.want}, p.forms); diff != "" {
			t.Errorf("%s: form (-want +got):\n%s", tt.method, diff)
		}
	}
}

// What the options add to a request, and how a client proves who it is.
func TestRequestOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client-secret")
	if err := os.WriteFile(file, []byte("s e:c/ret+ü\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		typed    = "urn:ietf:params:oauth:token-type:"
		asserted = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	)
	with := func(auth string) loginspec.Values {
		return loginspec.Values{"client-id": "my app", "client-auth": auth, "client-secret-file": file}
	}
	bearer := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {"JWT"}}
	for name, tt := range map[string]struct {
		method  string
		options loginspec.Values
		want    url.Values
		header  string
	}{
		"token types": {
			loginspec.MethodTokenExchange,
			loginspec.Values{"subject-token-type": "id_token", "requested-token-type": "https://a/b"},
			url.Values{
				"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"JWT"},
				"subject_token_type":   {typed + "id_token"},
				"requested_token_type": {"https://a/b"},
			},
			"",
		},
		"parameters": {
			loginspec.MethodJWTBearer,
			loginspec.Values{"parameters": "connector_id=k8s\nx=a=b c&d\n"},
			url.Values{"connector_id": {"k8s"}, "x": {"a=b c&d"}},
			"",
		},
		"none": {loginspec.MethodJWTBearer, with("none"), url.Values{"client_id": {"my app"}}, ""},
		"assertion": {
			loginspec.MethodJWTBearer, with("assertion"),
			url.Values{"client_id": {"my app"}, "client_assertion_type": {asserted}, "client_assertion": {"JWT"}},
			"",
		},
		"post": {loginspec.MethodJWTBearer, with("post"), url.Values{"client_id": {"my app"}, "client_secret": {"s e:c/ret+ü"}}, ""},
		"basic": {
			loginspec.MethodJWTBearer, with("basic"),
			url.Values{},
			"Basic " + base64.StdEncoding.EncodeToString([]byte("my+app:s+e%3Ac%2Fret%2B%C3%BC")),
		},
		"tls": {loginspec.MethodJWTBearer, with("tls"), url.Values{"client_id": {"my app"}}, ""},
	} {
		p := serve(t, map[string]string{"/": "200 " + good})
		server := p.client(t, tt.method, "/")
		maps.Copy(server.options, tt.options)
		if _, err := server.Login(t.Context(), jwt); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if tt.method == loginspec.MethodJWTBearer {
			maps.Copy(tt.want, bearer)
		}
		for name, values := range p.forms[0] {
			p.forms[0][name] = strings.Split(strings.ReplaceAll(strings.Join(values, "|"), jwt.Reveal(), "JWT"), "|")
		}
		if diff := cmp.Diff(tt.want, p.forms[0]); diff != "" || p.authorizations[0] != tt.header {
			t.Errorf("%s: header %q, form (-want +got):\n%s", name, p.authorizations[0], diff)
		}
	}
}

// A parameter that is repeated is a list in JSON.
func TestRequestJSON(t *testing.T) {
	s := NewTokenExchange(nil, loginspec.Values{
		"subject-token-type": "jwt", "body": "json", "resource": "https://a https://b", "target-audience": "x",
		"parameters": "provider_name=k8s",
	})
	request, err := s.request(&url.URL{}, "JWT")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"audience":"x","grant_type":"urn:ietf:params:oauth:grant-type:token-exchange","provider_name":"k8s",` +
		`"resource":["https://a","https://b"],` +
		`"subject_token":"JWT","subject_token_type":"urn:ietf:params:oauth:token-type:jwt"}`
	if got := string(request.Body); got != want || request.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: %s", request.Header.Get("Content-Type"), got)
	}
}

// Nothing is sent without the secret, and nobody gets to see it.
func TestClientSecret(t *testing.T) {
	const hidden = "correct-horse-battery-staple"
	dir := t.TempDir()
	file := filepath.Join(dir, "client-secret")
	for _, tt := range []struct {
		content, answer, want string
		class                 failure.Class
	}{
		{"\n", "200 " + good, "it is empty", failure.Denied},
		{strings.Repeat("x", 64<<10+1), "200 " + good, "it is larger than 65536 bytes", failure.Denied},
		{
			hidden, `401 {"error":"invalid_client","error_description":"` + hidden + ` is wrong"}`,
			`401: "invalid_client"; "[redacted] is wrong"`, failure.Denied,
		},
	} {
		if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		p := serve(t, map[string]string{"/": tt.answer})
		server := p.client(t, loginspec.MethodJWTBearer, "/")
		maps.Copy(server.options, loginspec.Values{"client-id": "app", "client-auth": "post", "client-secret-file": file})
		_, err := server.Login(t.Context(), jwt)
		check(t, tt.want, err, tt.class, tt.want)
		if strings.HasPrefix(tt.answer, "200") == (len(p.seen) > 0) {
			t.Errorf("%s: asked %v", tt.want, p.seen)
		}
	}
}

func TestAnswer(t *testing.T) {
	full := exchange.Credential{
		Token: "at", Lease: time.Hour, TokenType: "Bearer", Scope: "a b", IssuedTokenType: "urn:ietf:params:oauth:token-type:access_token",
	}
	unknown := func(c *exchange.Credential) { c.Lease, c.Assumed = 5*time.Minute, true }
	const ignored, noNumber = " is ignored, as it is not of the expected type", " is ignored, as it is not a number from 0 on"
	for _, tt := range []struct {
		name, from, to string
		change         func(*exchange.Credential)
		unusual        string
	}{
		{"everything", "", "", func(*exchange.Credential) {}, ""},
		{"a number in quotes", "3600", `"3600"`, func(*exchange.Credential) {}, ""},
		{"a fraction in quotes", "3600", `"3600.0"`, func(*exchange.Credential) {}, ""},
		{"a number between blanks", "3600", `" 3600 "`, func(*exchange.Credential) {}, ""},
		{"an exponent", "3600", "3.6e3", func(*exchange.Credential) {}, ""},
		{"part of a second", "3600", "0.25", func(c *exchange.Credential) { c.Lease = 250 * time.Millisecond }, ""},
		{"a long time", "3600", "1e300", func(c *exchange.Credential) { c.Lease = 10 * 365 * 24 * time.Hour }, ""},
		{"no lifetime", `"expires_in":3600,`, "", unknown, ""},
		{"a lifetime of null", `3600`, "null", unknown, ""},
		{"less than nothing", "3600", "-1", unknown, "expires_in" + noNumber},
		{"not a number", "3600", `"NaN"`, unknown, "expires_in" + noNumber},
		{"an endless number", "3600", `"Infinity"`, unknown, "expires_in" + noNumber},
		{"too large a number", "3600", `1e999`, unknown, "expires_in" + noNumber},
		{"a text", "3600", `"an hour"`, unknown, "expires_in" + noNumber},
		{"an empty text", "3600", `""`, unknown, "expires_in" + noNumber},
		{"not a time", "3600", `{}`, unknown, "expires_in" + noNumber},
		{"a truth", "3600", `true`, unknown, "expires_in" + noNumber},
		{"no scope", `"scope":"a b",`, "", func(c *exchange.Credential) { c.Scope = "" }, ""},
		{"a list of scopes", `"a b"`, `["a","b"]`, func(*exchange.Credential) {}, ""},
		{"no scopes", `"a b"`, `[]`, func(c *exchange.Credential) { c.Scope = "" }, ""},
		{"a list of more than scopes", `"a b"`, `["a",{},null,"b"]`, func(*exchange.Credential) {}, "scope" + ignored},
		{"a scope of a number", `"a b"`, `7`, func(c *exchange.Credential) { c.Scope = "7" }, ""},
		{"a scope of another type", `"a b"`, `{"a":"b"}`, func(c *exchange.Credential) { c.Scope = "" }, "scope" + ignored},
		{"no type", `"token_type":"Bearer",`, ``, func(*exchange.Credential) {}, "token_type is not given, and Bearer is assumed"},
		{"a type of null", `"Bearer"`, `null`, func(*exchange.Credential) {}, "token_type is not given, and Bearer is assumed"},
		{"another type", `"Bearer"`, `"N_A"`, func(c *exchange.Credential) { c.TokenType = "N_A" }, ""},
		{
			"a type of another type", `"Bearer"`, `false`, func(*exchange.Credential) {},
			"token_type" + ignored + "; token_type is not given, and Bearer is assumed",
		},
		{
			"no issued type", `"issued_token_type"`, `"x"`, func(c *exchange.Credential) { c.IssuedTokenType = "" },
			"issued_token_type is not given",
		},
		{"an empty error", `{`, `{"error":"",`, func(*exchange.Credential) {}, ""},
		{"no error", `{`, `{"error":false,"error_description":null,`, func(*exchange.Credential) {}, ""},
		{"a name in another case", `"access_token"`, `"Access_Token"`, func(*exchange.Credential) {}, ""},
		{"a name in two cases", `{`, `{"ACCESS_TOKEN":"other",`, func(*exchange.Credential) {}, ""},
		{"a name twice", `{`, `{"access_token":"other",`, func(*exchange.Credential) {}, ""},
	} {
		p := serve(t, map[string]string{"/": "200 " + strings.Replace(good, tt.from, tt.to, 1)})
		got, err := p.client(t, loginspec.MethodTokenExchange, "/").Login(t.Context(), jwt)
		want := full
		tt.change(&want)
		if tt.unusual != "" {
			want.Warnings = []string{"the answer is unusual: " + tt.unusual}
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

// What real servers and the fixtures of their clients leave out.
func TestAnswerAccessTokenOnly(t *testing.T) {
	for method := range methods {
		for answer, warned := range map[string]bool{
			`{"access_token":"at"}`: true,
			"\xef\xbb\xbf" + `{"access_token":"at","token_type":"Bearer"}`: method == loginspec.MethodTokenExchange,
		} {
			p := serve(t, map[string]string{"/": "200 " + answer})
			got, err := p.client(t, method, "/").Login(t.Context(), jwt)
			if err != nil || got.Token != "at" || got.TokenType != "Bearer" || (len(got.Warnings) == 1) != warned {
				t.Errorf("%s, %s: %+v, %v", method, answer, got, err)
			}
		}
	}
}

// A token that has ended is an error of its own, and given for comparison.
func TestAnswerExpired(t *testing.T) {
	p := serve(t, map[string]string{"/": "200 " + strings.Replace(good, "3600", "0", 1)})
	got, err := p.client(t, loginspec.MethodTokenExchange, "/").Login(t.Context(), jwt)
	if got.Token != "at" || failure.Of(err) != (failure.Facts{Class: failure.Protocol, Verdict: failure.EndedToken}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRefusal(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		class        failure.Class
		want         string
	}{
		{"a code", `400 {"error":"invalid_grant"}`, failure.Denied, `400: "invalid_grant"`},
		{
			"all fields", `401 {"error":"invalid_client","error_description":"AADSTS700213: No matching federated identity",` +
				`"error_uri":"https://e/7"}`, failure.Denied,
			`401: "invalid_client"; "AADSTS700213: No matching federated identity"; "https://e/7"`,
		},
		{"an echo", `400 {"error":"invalid_grant","error_description":"bad ` + jwt.Reveal() + `"}`, failure.Denied, `"bad [redacted]"`},
		{"for a moment", `400 {"error":"temporarily_unavailable"}`, failure.Server, `400: "temporarily_unavailable"`},
		{"too fast", `400 {"error":"slow_down"}`, failure.RateLimited, `400: "slow_down"`},
		{"429", `429 {"error":"x"}`, failure.RateLimited, `429: "x"`},
		{"an error of success", `200 {"error":"bad_verification_code"}`, failure.Denied, `200: "bad_verification_code"`},
		{"another format", `400 {"message":"no"}`, failure.Denied, `400: "no"`},
		{"a broken server", `500 `, failure.Server, `500: "Internal Server Error"`},
		{"a redirect", `307 `, failure.Protocol, `307: a redirect to "https://elsewhere.example/", which is not followed: is the address ` +
			`right? If so, --redirect-hosts`},
		{"no JSON", `200 access_token=at`, failure.Protocol, "the answer is not the expected JSON"},
		{"an error and a token that is none", `200 {"error":"x","access_token":""}`, failure.Denied, `200: "x"`},
		{"an object of an error", `403 {"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}`, failure.Denied, `403: "no"`},
		{"an object of an error of success", `200 {"error":{"message":"no"}}`, failure.Protocol, `200: "no"`},
		{"an error of a number", `400 {"error":17,"error_description":["a","b"]}`, failure.Denied, `400: "17"; "a b"`},
		{"more than JSON", `200 ` + good + `}`, failure.Protocol, "the answer is not the expected JSON"},
		{"a list", `200 [` + good + `]`, failure.Protocol, "the answer is not the expected JSON"},
		{"a token of a number", `200 {"access_token":7,"token_type":"Bearer"}`, failure.Protocol, "the answer has no access_token"},
		{"a token of null", `200 {"access_token":null,"token_type":"Bearer"}`, failure.Protocol, "the answer has no access_token"},
		{"no token", `200 {"token_type":"Bearer"}`, failure.Protocol, "the answer has no access_token"},
		{"a broken token", `200 {"access_token":"a\nb","token_type":"Bearer"}`, failure.Protocol, "access_token is not a token"},
		{
			"expired", `200 ` + strings.Replace(good, "3600", "0", 1), failure.Protocol,
			"the token has ended already, as expires_in or its exp says",
		},
	} {
		p := serve(t, map[string]string{"/token": tt.answer})
		_, err := p.client(t, loginspec.MethodTokenExchange, "/token").Login(t.Context(), jwt)
		check(t, tt.name, err, tt.class, "could not get a token at "+p.URL+"/token: ", tt.want)
	}
}

// Entra ID has the ids that its support asks for at the end of a long text. A message
// with all that a server can say fits into a termination message.
func TestRefusalLong(t *testing.T) {
	const ids = "Trace ID: 007fc931-d337-4638-8760-8f5c9c231e00 Correlation ID: bc6ac312-88fd-4b97-8d37-6566985045b9 Timestamp: " +
		"2025-07-07 10:30:48Z"
	subject := "system:serviceaccount:" + strings.Repeat("n", 63) + ":" + strings.Repeat("s", 253)
	entra := "AADSTS7002138: No matching federated identity record found for presented assertion subject '" + subject +
		"'. The subject matches with case-insensitive comparison, but not with case-sensitive comparison. " +
		"Check your federated identity credential Subject, Audience and Issuer against the presented assertion. " +
		"https://learn.microsoft.com/entra/workload-id/workload-identity-federation " + ids
	long := strings.Repeat("word ", 1000)
	for _, tt := range []struct{ description, want string }{{entra, ids + `"; "https://e/7002138"`}, {long, "word …"}} {
		p := serve(t, map[string]string{"/": `401 {"error":"invalid_client","error_description":"` + tt.description +
			`","error_uri":"https://e/7002138"}`})
		_, err := p.client(t, loginspec.MethodClientAssertion, "/").Login(t.Context(), jwt)
		check(t, tt.want, err, failure.Denied, `401: "invalid_client"; "`+tt.description[:800], tt.want)
	}
	p := serve(t, map[string]string{"/": fmt.Sprintf(`400 {"error":%q,"error_description":%[1]q,"error_uri":%[1]q}`, long)})
	_, err := p.client(t, loginspec.MethodClientAssertion, "/").Login(t.Context(), jwt)
	if n := len(err.Error()); n < 3000 || n > 3500 {
		t.Errorf("%d bytes", n)
	}
}

// Whatever the server calls it, an assertion that was used is no final refusal.
func TestRefusalUsedJWT(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		want         failure.Facts
	}{
		{"Hydra, a grant", `400 {"error":"jti_known","error_description":"The jti was already used."}`, usedJWT},
		{
			"Hydra, a client", `400 {"error":"jti_known","error_description":"The jti was already used. Claim 'jti' from ` +
				`'client_assertion' MUST only be used once."}`, usedJWT,
		},
		{"Hydra, before version 2", `400 {"error":"invalid_client","error_hint":"Claim \"jti\" from \"client_assertion\" MUST only be ` +
			`used once."}`, usedJWT},
		{"Keycloak, a client", `400 {"error":"invalid_client","error_description":"Token reuse detected"}`, usedJWT},
		{"Keycloak, a grant", `400 {"error":"invalid_grant","error_description":"Token reuse detected"}`, usedJWT},
		{"Okta", `401 {"error":"invalid_client","error_description":"The client_assertion token has already been used."}`, usedJWT},
		{
			"node-oidc-provider", `401 {"error":"invalid_client","error_description":"client assertion tokens must only be used once"}`,
			usedJWT,
		},
		{"others", `400 {"error":"invalid_grant","error_description":"jti has already been used"}`, usedJWT},
		{"a replay", `400 {"error":"invalid_grant","error_description":"Assertion replay detected"}`, usedJWT},
		{
			"another refusal", `400 {"error":"invalid_grant","error_description":"Token is not active"}`,
			failure.Facts{Class: failure.Denied},
		},
		{
			"no jti", `400 {"error":"invalid_client","error_description":"Token jti claim is required"}`,
			failure.Facts{Class: failure.Denied},
		},
		{"a busy server", `503 {"error":"server_error","error_description":"port already used"}`, failure.Facts{Class: failure.Server}},
	} {
		p := serve(t, map[string]string{"/token": tt.answer})
		_, err := p.client(t, loginspec.MethodJWTBearer, "/token").Login(t.Context(), jwt)
		if got := failure.Of(err); got != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

var usedJWT = failure.Facts{Class: failure.JWT, Verdict: failure.JWTUsed}

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
	if strings.Contains(err.Error(), "eyJ") {
		t.Errorf("%s: a token is shown: %v", name, err)
	}
}

const (
	oidc    = "/.well-known/openid-configuration"
	rfc8414 = "/.well-known/oauth-authorization-server"
)

func TestDiscovery(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		answers    map[string]string
		want       []string
	}{
		{
			"OpenID Connect", "",
			map[string]string{oidc: `200 {"issuer":"ISSUER","token_endpoint":"ISSUER/token"}`},
			[]string{"GET " + oidc, "POST /token"},
		},
		{
			"a path is in front", "/realms/a",
			map[string]string{"/realms/a" + oidc: `200 {"issuer":"ISSUER/realms/a","token_endpoint":"ISSUER/token"}`},
			[]string{"GET /realms/a" + oidc, "POST /token"},
		},
		{
			"a slash at the end counts", "/a/",
			map[string]string{"/a" + oidc: `200 {"issuer":"ISSUER/a/","token_endpoint":"ISSUER/token"}`},
			[]string{"GET /a" + oidc, "POST /token"},
		},
		{
			"RFC 8414", "",
			map[string]string{rfc8414: `200 {"issuer":"ISSUER","token_endpoint":"ISSUER/token"}`},
			[]string{"GET " + oidc, "GET " + rfc8414, "POST /token"},
		},
		{
			"RFC 8414, and a page for everything else", "",
			map[string]string{oidc: "200 <html>", rfc8414: `200 {"issuer":"ISSUER","token_endpoint":"ISSUER/token"}`},
			[]string{"GET " + oidc, "GET " + rfc8414, "POST /token"},
		},
		{
			"RFC 8414 with a path behind", "/tenant/a",
			map[string]string{rfc8414 + "/tenant/a": `200 {"issuer":"ISSUER/tenant/a","token_endpoint":"ISSUER/token"}`},
			[]string{"GET /tenant/a" + oidc, "GET " + rfc8414 + "/tenant/a", "POST /token"},
		},
	} {
		tt.answers["/token"] = "200 " + good
		p := serve(t, tt.answers)
		server := p.client(t, loginspec.MethodTokenExchange, "")
		server.discovering(p.URL + tt.path)
		// What was found is used again.
		for range 2 {
			if _, err := server.Login(t.Context(), jwt); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		var got []string
		for _, line := range p.seen {
			got = append(got, strings.Join(strings.Fields(line)[:2], " "))
		}
		if diff := cmp.Diff(append(tt.want, "POST /token"), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// RFC 8705 section 5: a client with a certificate may have an endpoint of its own.
func TestDiscoveryMTLS(t *testing.T) {
	for _, tt := range []struct{ name, auth, aliases, want string }{
		{"an alias", loginspec.ClientAuthTLS, `{"token_endpoint":"ISSUER/mtls"}`, "POST /mtls"},
		{"no certificate", loginspec.ClientAuthNone, `{"token_endpoint":"ISSUER/mtls"}`, "POST /token"},
		{"aliases of others", loginspec.ClientAuthTLS, `{"revocation_endpoint":"ISSUER/mtls"}`, "POST /token"},
		{"no aliases", loginspec.ClientAuthTLS, `null`, "POST /token"},
		{"not TLS", loginspec.ClientAuthTLS, `{"token_endpoint":"http://x/mtls"}`, ""},
	} {
		p := serve(t, map[string]string{
			oidc:     `200 {"issuer":"ISSUER","token_endpoint":"ISSUER/token","mtls_endpoint_aliases":` + tt.aliases + `}`,
			"/token": "200 " + good, "/mtls": "200 " + good,
		})
		server := p.client(t, loginspec.MethodJWTBearer, "")
		server.discovering(p.URL)
		server.options[loginspec.ClientAuth] = tt.auth
		_, err := server.Login(t.Context(), jwt)
		if tt.want == "" {
			check(t, tt.name, err, failure.Protocol, `its token_endpoint "http://x/mtls" is not https`)
			continue
		}
		if got := p.seen[len(p.seen)-1]; err != nil || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, %v", tt.name, got, err)
		}
	}
}

func TestDiscoveryMoved(t *testing.T) {
	p := serve(t, map[string]string{
		oidc: `200 {"issuer":"ISSUER","token_endpoint":"ISSUER/old"}`, "/old": "200 " + good,
		"/new": "200 " + good,
	})
	server := p.client(t, loginspec.MethodTokenExchange, "")
	server.discovering(p.URL)
	if _, err := server.Login(t.Context(), jwt); err != nil {
		t.Fatal(err)
	}
	p.answers[oidc], p.answers["/old"] = strings.Replace(p.answers[oidc], "old", "new", 1), "404 "
	if _, err := server.Login(t.Context(), jwt); err == nil {
		t.Error("the old endpoint works")
	}
	if _, err := server.Login(t.Context(), jwt); err != nil {
		t.Error(err)
	}
}

// Some servers have their metadata elsewhere, and say so as to a browser.
func TestDiscoveryRedirected(t *testing.T) {
	for _, status := range []string{"301", "302", "303", "307", "308"} {
		p := serve(t, map[string]string{
			oidc: status + " ", "/moved": `200 {"issuer":"ISSUER","token_endpoint":"ISSUER/token"}`, "/token": "200 " + good,
		})
		p.location = "/moved"
		server := p.client(t, loginspec.MethodJWTBearer, "")
		server.discovering(p.URL)
		if _, err := server.Login(t.Context(), jwt); err != nil || len(p.seen) != 3 {
			t.Errorf("%s: %v, asked %v", status, err, p.seen)
		}
		p.location, server.discovered = "https://elsewhere.example/", nil
		_, err := server.Login(t.Context(), jwt)
		check(t, status, err, failure.Protocol, `allows the host "elsewhere.example"`)
	}
}

func TestDiscoveryUntrusted(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers map[string]string
		class   failure.Class
		want    []string
	}{
		{
			"another issuer",
			map[string]string{oidc: `200 {"issuer":"ISSUER/","token_endpoint":"ISSUER/token"}`},
			failure.Protocol,
			[]string{"could not read the metadata of the issuer at ", `it names the issuer "ISSUER/", which has to be exactly "ISSUER"`},
		},
		{
			"no issuer",
			map[string]string{oidc: `200 {"token_endpoint":"ISSUER/token"}`},
			failure.Protocol,
			[]string{`it names the issuer ""`},
		},
		{"no endpoint", map[string]string{oidc: `200 {"issuer":"ISSUER"}`}, failure.Protocol, []string{"it has no token_endpoint"}},
		{
			"an endpoint without TLS",
			map[string]string{oidc: `200 {"issuer":"ISSUER","token_endpoint":"http://x/token"}`},
			failure.Protocol,
			[]string{`its token_endpoint "http://x/token" is not https, while the issuer is`},
		},
		{
			"a path",
			map[string]string{oidc: `200 {"issuer":"ISSUER","token_endpoint":"/token"}`},
			failure.Protocol,
			[]string{`its token_endpoint "/token" is not a URL of an endpoint`},
		},
		{
			"a fragment",
			map[string]string{oidc: `200 {"issuer":"ISSUER","token_endpoint":"https://x/#y"}`},
			failure.Protocol,
			[]string{`is not a URL of an endpoint`},
		},
		{"no JSON", map[string]string{oidc: `200 <html>`}, failure.Protocol, []string{"the answer is not the expected JSON"}},
		{"a broken server", map[string]string{oidc: `503 `}, failure.Server, []string{`503: "Service Unavailable"`}},
		{
			"nowhere",
			map[string]string{},
			failure.Denied,
			[]string{"could not find the token endpoint of the issuer ISSUER: could not read the metadata of the issuer at ISSUER" + oidc +
				`: 404: "Not Found"; could not read`, rfc8414},
		},
		{
			"nowhere for the moment",
			map[string]string{rfc8414: `429 `},
			failure.RateLimited,
			[]string{"could not find the token endpoint"},
		},
	} {
		p := serve(t, tt.answers)
		server := p.client(t, loginspec.MethodTokenExchange, "")
		server.discovering(p.URL)
		_, err := server.Login(t.Context(), jwt)
		for _, want := range tt.want {
			check(t, tt.name, err, tt.class, strings.ReplaceAll(want, "ISSUER", p.URL))
		}
		if slices := strings.Join(p.seen, " "); strings.Contains(slices, "POST") {
			t.Errorf("%s: the JWT was sent: %s", tt.name, slices)
		}
	}
}

// Whatever a server answers is either a token that can be used, or an error of
// bounded size without a token.
func FuzzAnswer(f *testing.F) {
	f.Add(200, good)
	f.Add(400, `{"error":"invalid_grant","error_description":"`+jwt.Reveal()+`"}`)
	f.Add(200, `{"access_token":"x","token_type":"y","expires_in":"1e999"}`)
	f.Add(200, `{"error":"x"}`)
	f.Add(502, "<title>x</title>")
	f.Fuzz(func(t *testing.T, status int, text string) {
		r := exchange.Request{Doing: "test", Secrets: []secret.Text{jwt}}
		server := NewTokenExchange(nil, loginspec.Values{loginspec.MethodName: loginspec.MethodTokenExchange})
		credential, err := server.read(r, exchange.Response{Status: status, Body: []byte(text)})
		if err == nil {
			if !credential.Token.Usable() || credential.Lease <= 0 || credential.Lease > 11*365*24*time.Hour || status < 200 ||
				status > 299 {
				t.Errorf("credential %+v", credential)
			}
			return
		}
		if text := err.Error(); len(text) > 13000 || strings.Contains(text, jwt.Reveal()) || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%q", text)
		}
	})
}

// Metadata never lead a JWT away from TLS.
func FuzzMetadata(f *testing.F) {
	f.Add(`{"issuer":"https://a/b","token_endpoint":"https://c/token"}`, true)
	f.Add(`{"issuer":"https://a/b","token_endpoint":"http://c/token"}`, true)
	f.Add(`{"issuer":"https://a/b","token_endpoint":"https://u:p@c/token#x"}`, true)
	f.Add(`{"issuer":"https://A/b","token_endpoint":"//c"}`, true)
	f.Add(`{"issuer":"https://a/b","token_endpoint":"https://c","mtls_endpoint_aliases":{"token_endpoint":"http://c"}}`, true)
	issuer := &url.URL{Scheme: "https", Host: "a", Path: "/b"}
	f.Fuzz(func(t *testing.T, text string, certified bool) {
		r := exchange.Request{Doing: "test"}
		endpoint, err := readMetadata(r, issuer, exchange.Response{Status: 200, Body: []byte(text)}, certified)
		if err == nil && (endpoint.Scheme != "https" || endpoint.Host == "" || endpoint.User != nil || endpoint.Fragment != "") {
			t.Errorf("endpoint %s", endpoint)
		}
		if err != nil && (len(err.Error()) > 9000 || strings.ContainsAny(err.Error(), "\n\x1b")) {
			t.Errorf("%q", err)
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	p := serve(b, map[string]string{"/": "200 " + good})
	server := p.client(b, loginspec.MethodTokenExchange, "/")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := server.Login(b.Context(), jwt); err != nil {
			b.Fatal(err)
		}
		p.seen, p.forms = p.seen[:0], p.forms[:0]
	}
}
