package authserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/test/authserver"
)

const (
	tokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
	jwtBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	clientCredentials = "client_credentials"

	assertionType   = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	jwtType         = "urn:ietf:params:oauth:token-type:jwt"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
)

// flow is a way of using a ServiceAccount token, and how it is refused.
type flow struct {
	name   string
	form   func(token string) url.Values
	err    string
	status int
	// of the access token
	subject, clientID string
	audience          []string
}

var flows = []flow{
	{
		name: "RFC 8693",
		form: func(token string) url.Values {
			return url.Values{
				"grant_type":         {tokenExchange},
				"client_id":          {"billing"},
				"subject_token":      {token},
				"subject_token_type": {jwtType},
				"audience":           {"https://payments.example.com"},
				"scope":              {"pay refund"},
			}
		},
		// RFC 8693, section 2.2.2, wants this for subject tokens of any defect.
		err:     "invalid_request",
		status:  http.StatusBadRequest,
		subject: subject, clientID: "billing", audience: []string{"https://payments.example.com"},
	},
	{
		name: "RFC 7523 section 2.1",
		form: func(token string) url.Values {
			return url.Values{"grant_type": {jwtBearer}, "assertion": {token}, "scope": {"pay refund"}}
		},
		err:     "invalid_grant",
		status:  http.StatusBadRequest,
		subject: subject, clientID: subject, audience: []string{audience},
	},
	{
		name: "RFC 7523 section 2.2",
		form: func(token string) url.Values {
			return url.Values{
				"grant_type":            {clientCredentials},
				"client_assertion_type": {assertionType},
				"client_assertion":      {token},
				"scope":                 {"pay refund"},
			}
		},
		err:     "invalid_client",
		status:  http.StatusUnauthorized,
		subject: "billing", clientID: "billing", audience: []string{"billing"},
	},
}

// answer is that of the token endpoint.
type answer struct {
	status int
	header http.Header

	AccessToken     string `json:"access_token"`
	TokenType       string `json:"token_type"`
	IssuedTokenType string `json:"issued_token_type"`
	ExpiresIn       *int   `json:"expires_in"`
	Scope           string `json:"scope"`
	Error           string `json:"error"`
}

// start starts a server that trusts the issuer.
func start(t *testing.T, i *issuer, change func(*authserver.Options)) *authserver.Server {
	t.Helper()
	options := authserver.Options{
		IssuerURL: i.url,
		IssuerCA:  i.ca,
		Audience:  audience,
		Clients:   map[string][]string{"billing": {subject}},
	}
	if change != nil {
		change(&options)
	}
	return authserver.StartForTest(t, options)
}

func httpClient(t *testing.T, s *authserver.Server) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CA()) {
		t.Fatal("the server's CA has no certificate")
	}
	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// post sends a form as RFC 6749, appendix B, describes it.
func post(t *testing.T, s *authserver.Server, path string, form url.Values) answer {
	t.Helper()
	return postTo(t, httpClient(t, s), s.URL()+path, form)
}

func postTo(t *testing.T, client *http.Client, address string, form url.Values) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) == 0 {
		return a
	}
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return a
}

func ask(t *testing.T, s *authserver.Server, form url.Values) answer {
	t.Helper()
	return post(t, s, authserver.TokenPath, form)
}

// wantError checks the form that RFC 6749, section 5.2, gives to errors.
func wantError(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.Error != code {
		t.Errorf("got %d %q, want %d %q", a.status, a.Error, status, code)
	}
	if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		t.Errorf("Content-Type %q", got)
	}
	if a.AccessToken != "" {
		t.Error("there is an access token")
	}
}

// with changes a form; an empty value removes a parameter.
func with(form url.Values, pairs ...string) url.Values {
	changed := maps.Clone(form)
	for i := 0; i+1 < len(pairs); i += 2 {
		changed[pairs[i]] = []string{pairs[i+1]}
		if pairs[i+1] == "" {
			delete(changed, pairs[i])
		}
	}
	return changed
}

func TestLogin(t *testing.T) {
	i := startIssuer(t)
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			s := start(t, i, func(o *authserver.Options) { o.AccessTokenLifetime = 10 * time.Minute })
			form := f.form(i.token(t, nil))
			before := time.Now()
			a := ask(t, s, form)

			if a.status != http.StatusOK {
				t.Fatalf("status %d %s: %s", a.status, a.Error, s.Requests()[0].Refusal)
			}
			if a.TokenType != "Bearer" || a.ExpiresIn == nil || *a.ExpiresIn != 600 || a.Scope != "pay refund" {
				t.Errorf("got %+v", a)
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Error("a cache may store the token")
			}
			if wantType := form.Get("grant_type") == tokenExchange; (a.IssuedTokenType == accessTokenType) != wantType {
				t.Errorf("issued_token_type %q", a.IssuedTokenType)
			}
			testAccessToken(t, s, f, a.AccessToken, before)
			testRecord(t, s, form)
		})
	}
}

func testAccessToken(t *testing.T, s *authserver.Server, f flow, token string, before time.Time) {
	t.Helper()
	got, err := s.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if lifetime := got.ExpiresAt.Sub(before); lifetime < 595*time.Second || lifetime > 615*time.Second {
		t.Errorf("the token expires after %v", lifetime)
	}
	want := &authserver.AccessToken{
		Subject: f.subject, ClientID: f.clientID, Scopes: []string{"pay", "refund"}, Audience: f.audience,
		IssuedAt: got.IssuedAt, ExpiresAt: got.ExpiresAt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the token is different (-want +got):\n%s", diff)
	}
	forged := token[:len(token)-4] + "AAAA"
	if _, err := s.Verify(t.Context(), forged); err == nil {
		t.Error("a forged token is valid")
	}
}

// testRecord checks that the request is remembered as it was sent.
func testRecord(t *testing.T, s *authserver.Server, form url.Values) {
	t.Helper()
	requests := s.Requests()
	if len(requests) != 1 {
		t.Fatalf("%d requests, want 1", len(requests))
	}
	got := requests[0]
	if diff := cmp.Diff(form, got.Form); diff != "" {
		t.Errorf("the form is different (-sent +remembered):\n%s", diff)
	}
	if got.Method != http.MethodPost || got.Path != authserver.TokenPath || len(got.Query) != 0 || got.Status != http.StatusOK ||
		got.Refusal != "" {
		t.Errorf("got %+v", got)
	}
	if got.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("Content-Type %q", got.Header.Get("Content-Type"))
	}
	if "https://"+got.Host != s.URL() {
		t.Errorf("Host %q", got.Host)
	}
}

// TestRefusedTokens shows the same defects in each of the three places.
func TestRefusedTokens(t *testing.T) {
	i := startIssuer(t)
	past := time.Now().Add(-2 * time.Hour).Unix()
	for _, c := range []struct{ name, token, refusal string }{
		{"audience", i.token(t, map[string]any{"aud": []string{"https://kubernetes.default.svc"}}), "Audience"},
		{"no audience", i.token(t, map[string]any{"aud": nil}), "Audience"},
		{"expired", i.token(t, map[string]any{"iat": past, "nbf": past, "exp": past + 3600}), "expired"},
		{"issuer", i.token(t, map[string]any{"iss": "https://other.example.com"}), "issuer"},
		{"signature", i.signed(t, mustKey(t, otherKey), nil), "signature"},
		{"subject", i.token(t, map[string]any{"sub": "system:serviceaccount:prod:other"}), "subject"},
		{"no JWT", "surprise", "segments"},
	} {
		for _, f := range flows {
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				s := start(t, i, nil)
				wantError(t, ask(t, s, f.form(c.token)), f.status, f.err)
				if got := s.Requests()[0]; !strings.Contains(got.Refusal, c.refusal) || got.Status != f.status {
					t.Errorf("status %d, refused for: %q", got.Status, got.Refusal)
				}
			})
		}
	}
}

// TestAnyAudience accepts a token of several audiences, as a projection has one
// but a TokenRequest can have more.
func TestAnyAudience(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, nil)
	token := i.token(t, map[string]any{"aud": []string{"https://kubernetes.default.svc", audience}})
	for _, f := range flows {
		if a := ask(t, s, f.form(token)); a.status != http.StatusOK {
			t.Errorf("%s: got %d %s", f.name, a.status, a.Error)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	i := startIssuer(t)
	token := i.token(t, nil)
	exchange, bearer, assertion := flows[0].form(token), flows[1].form(token), flows[2].form(token)
	s := start(t, i, func(o *authserver.Options) {
		o.Scopes = []string{"pay", "refund"}
		o.Targets = []string{"https://payments.example.com"}
		o.Clients["shipping"] = []string{"system:serviceaccount:prod:shipping"}
	})
	for _, c := range []struct {
		name   string
		form   url.Values
		status int
		code   string
	}{
		{"no grant", with(exchange, "grant_type", ""), 400, "invalid_request"},
		{"unsupported grant", with(bearer, "grant_type", "password"), 400, "unsupported_grant_type"},
		{"no form", nil, 400, "invalid_request"},

		{"exchange without client", with(exchange, "client_id", ""), 400, "invalid_request"},
		{"exchange of unknown client", with(exchange, "client_id", "nobody"), 401, "invalid_client"},
		{"exchange for another client", with(exchange, "client_id", "shipping"), 400, "invalid_request"},
		{"exchange of nothing", with(exchange, "subject_token", ""), 400, "invalid_request"},
		{"exchange of no type", with(exchange, "subject_token_type", ""), 400, "invalid_request"},
		{"exchange of unknown type", with(exchange, "subject_token_type", "jwt"), 400, "invalid_request"},
		{"exchange of an access token", with(exchange, "subject_token_type", accessTokenType), 400, "invalid_request"},
		{
			"exchange of a refresh token", with(exchange, "subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token"), 400,
			"invalid_request",
		},
		{"exchange for a JWT", with(exchange, "requested_token_type", jwtType), 400, "invalid_request"},
		{"exchange with actor", with(exchange, "actor_token", token, "actor_token_type", jwtType), 400, "invalid_request"},
		{"exchange for another audience", with(exchange, "audience", "https://other.example.com"), 400, "invalid_target"},
		{"exchange for another resource", with(exchange, "resource", "https://other.example.com"), 400, "invalid_target"},
		{"exchange for another scope", with(exchange, "scope", "pay admin"), 400, "invalid_scope"},

		{"bearer of nothing", with(bearer, "assertion", ""), 400, "invalid_request"},
		{"bearer for another scope", with(bearer, "scope", "admin"), 400, "invalid_scope"},

		{"nobody", with(assertion, "client_assertion", ""), 400, "invalid_request"},
		{"nobody but a name", with(assertion, "client_assertion", "", "client_id", "billing"), 400, "invalid_client"},
		{"secret", with(assertion, "client_assertion", "", "client_id", "billing", "client_secret", "guess"), 401, "invalid_client"},
		{"assertion and secret", with(assertion, "client_id", "billing", "client_secret", "guess"), 400, "invalid_request"},
		{"assertion of no type", with(assertion, "client_assertion_type", ""), 400, "invalid_request"},
		{"assertion of unknown type", with(assertion, "client_assertion_type", jwtBearer), 400, "invalid_request"},
		{"assertion for unknown client", with(assertion, "client_id", "nobody"), 401, "invalid_client"},
		{"assertion for another client", with(assertion, "client_id", "shipping"), 401, "invalid_client"},
		{"assertion for another scope", with(assertion, "scope", "admin"), 400, "invalid_scope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantError(t, ask(t, s, c.form), c.status, c.code)
		})
	}
	for name, form := range map[string]url.Values{
		"exchange":              exchange,
		"exchange of ID token":  with(exchange, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
		"exchange for type":     with(exchange, "requested_token_type", accessTokenType),
		"exchange by assertion": with(exchange, "client_id", "", "client_assertion_type", assertionType, "client_assertion", token),
		"exchange of little":    with(exchange, "audience", "", "scope", ""),
		"bearer":                bearer,
		"bearer with client_id": with(bearer, "client_id", "billing"),
		"assertion":             assertion,
		"assertion with client": with(assertion, "client_id", "billing"),
	} {
		if a := ask(t, s, form); a.status != http.StatusOK {
			t.Errorf("%s: got %d %s", name, a.status, a.Error)
		}
	}
}

// TestForgiven shows what the library does not mind and Requests tells.
func TestForgiven(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, nil)
	form := flows[1].form(i.token(t, nil))
	twice := maps.Clone(form)
	twice["scope"] = []string{"pay", "refund"}
	if a := ask(t, s, twice); a.status != http.StatusOK {
		t.Errorf("a parameter twice: got %d %s", a.status, a.Error)
	}
	if a := post(t, s, authserver.TokenPath+"?"+form.Encode(), nil); a.status != http.StatusOK {
		t.Errorf("parameters in the URL: got %d %s", a.status, a.Error)
	}
	got := s.Requests()
	if diff := cmp.Diff(twice, got[0].Form); diff != "" {
		t.Errorf("the form is different (-sent +remembered):\n%s", diff)
	}
	if diff := cmp.Diff(form, got[1].Query); diff != "" || len(got[1].Form) != 0 {
		t.Errorf("the query is different (-sent +remembered):\n%s", diff)
	}
}

func TestResource(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, nil)
	want := []string{"https://a.example.com", "https://b.example.com"}
	form := flows[0].form(i.token(t, nil))
	form["resource"] = want
	got, err := s.Verify(t.Context(), ask(t, s, form).AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Resources); diff != "" {
		t.Errorf("the resources are different (-want +got):\n%s", diff)
	}
}

func TestClients(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, func(o *authserver.Options) { o.Clients = nil })
	for _, f := range flows {
		form := f.form(i.token(t, nil))
		if a := ask(t, s, form); a.status == http.StatusOK {
			t.Errorf("%s: allowed too early", f.name)
		}
		s.Allow("billing", subject)
		if a := ask(t, s, form); a.status != http.StatusOK {
			t.Errorf("%s: not allowed", f.name)
		}
		s.RemoveClient("billing")
		if a := ask(t, s, form); a.status == http.StatusOK {
			t.Errorf("%s: still allowed", f.name)
		}
	}

	s.Allow("billing", subject)
	s.Allow("accounting", subject)
	form := flows[2].form(i.token(t, nil))
	wantError(t, ask(t, s, form), http.StatusUnauthorized, "invalid_client")
	a := ask(t, s, with(form, "client_id", "accounting"))
	if got, err := s.Verify(t.Context(), a.AccessToken); err != nil || got.ClientID != "accounting" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSingleUse(t *testing.T) {
	i := startIssuer(t)
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			s := start(t, i, func(o *authserver.Options) { o.SingleUse = true })
			form := f.form(i.token(t, nil))
			if a := ask(t, s, form); a.status != http.StatusOK {
				t.Fatalf("got %d %s", a.status, a.Error)
			}
			wantError(t, ask(t, s, form), f.status, f.err)
			if a := ask(t, s, f.form(i.token(t, nil))); a.status != http.StatusOK {
				t.Errorf("the next token: got %d %s", a.status, a.Error)
			}
		})
	}
}

func TestFail(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, nil)
	for _, f := range flows {
		form := f.form(i.token(t, nil))
		for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusTooManyRequests} {
			s.Fail(status)
			wantError(t, ask(t, s, form), status, "server_error")
		}
		s.Fail(0)
		if a := ask(t, s, form); a.status != http.StatusOK {
			t.Errorf("%s: got %d %s", f.name, a.status, a.Error)
		}
	}
}

func TestLifetime(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, nil)
	form := flows[1].form(i.token(t, nil))
	if a := ask(t, s, form); a.ExpiresIn == nil || *a.ExpiresIn != int(authserver.DefaultLifetime.Seconds()) {
		t.Errorf("got %+v", a)
	}
	s.SetLifetime(time.Second)
	a := ask(t, s, form)
	if a.ExpiresIn == nil || *a.ExpiresIn != 1 {
		t.Errorf("got %+v", a)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := s.Verify(t.Context(), a.AccessToken); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the token does not expire")
		}
	}
}

func TestNoExpiresIn(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, func(o *authserver.Options) { o.NoExpiresIn = true })
	for _, f := range flows {
		if a := ask(t, s, f.form(i.token(t, nil))); a.status != http.StatusOK || a.ExpiresIn != nil {
			t.Errorf("%s: got %+v", f.name, a)
		}
	}
}

// TestRevocation follows RFC 7009, for a client that authenticates as it did for
// the token.
func TestRevocation(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, nil)
	authentication := map[string]url.Values{
		flows[0].name: {"client_id": {"billing"}},
		flows[2].name: {"client_assertion_type": {assertionType}, "client_assertion": {i.token(t, nil)}},
	}
	for _, f := range []flow{flows[0], flows[2]} {
		token := ask(t, s, f.form(i.token(t, nil))).AccessToken
		form := authentication[f.name]
		form.Set("token", token)
		form.Set("token_type_hint", "access_token")
		if a := post(t, s, authserver.RevocationPath, form); a.status != http.StatusOK {
			t.Errorf("%s: got %d %s", f.name, a.status, a.Error)
		}
		if _, err := s.Verify(t.Context(), token); err == nil {
			t.Errorf("%s: the token is still valid", f.name)
		}
	}
	if got := len(s.RequestsTo(authserver.RevocationPath)); got != 2 {
		t.Errorf("%d requests, want 2", got)
	}
}

func TestMetadata(t *testing.T) {
	i := startIssuer(t)
	all := []string{authserver.OpenIDMetadataPath, authserver.OAuthMetadataPath}
	for name, paths := range map[string][]string{
		"both": nil, "OpenID": all[:1], "OAuth": all[1:], "none": {},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, i, func(o *authserver.Options) { o.MetadataPaths = paths })
			for _, path := range all {
				if paths != nil && !slices.Contains(paths, path) {
					if status, _ := metadata(t, s, s.URL()+path); status != http.StatusNotFound {
						t.Errorf("%s: status %d", path, status)
					}
					continue
				}
				testMetadata(t, s, s.Issuer(), path)
				testMetadata(t, s, s.IssuerAt("localhost"), path)
			}
		})
	}
}

func testMetadata(t *testing.T, s *authserver.Server, issuer, path string) {
	t.Helper()
	status, got := metadata(t, s, issuer+path)
	if status != http.StatusOK || got.Issuer != issuer || got.TokenEndpoint != issuer+authserver.TokenPath {
		t.Errorf("%s: got %d %+v", issuer+path, status, got)
	}
	for _, grant := range []string{tokenExchange, jwtBearer, clientCredentials} {
		if !slices.Contains(got.GrantTypes, grant) {
			t.Errorf("%s is not among the grants %q", grant, got.GrantTypes)
		}
	}
	if !slices.Contains(got.AuthMethods, "private_key_jwt") {
		t.Errorf("clients authenticate by %q", got.AuthMethods)
	}
}

type document struct {
	Issuer        string   `json:"issuer"`
	TokenEndpoint string   `json:"token_endpoint"`
	GrantTypes    []string `json:"grant_types_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
}

func metadata(t *testing.T, s *authserver.Server, address string) (status int, found document) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := httpClient(t, s).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
			t.Fatal(err)
		}
	}
	return response.StatusCode, found
}

// TestExtraIPs is a client on another network, from which something forwards to
// the server: metadata and access token name the address that the client uses.
func TestExtraIPs(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, func(o *authserver.Options) { o.ExtraIPs = []net.IP{net.IPv4(10, 88, 0, 1)} })
	client := httpClient(t, s)
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(s.URL(), "https://"))
	}
	form := flows[1].form(i.token(t, nil))
	a := postTo(t, client, s.IssuerAt("10.88.0.1")+authserver.TokenPath, form)
	if a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.Error)
	}
	if _, err := s.Verify(t.Context(), a.AccessToken); err != nil {
		t.Error(err)
	}
	if _, err := start(t, i, nil).Verify(t.Context(), a.AccessToken); err == nil {
		t.Error("another server knows the token")
	}
}

// TestUnreachableIssuer is a cluster that cannot be asked for its keys: no
// mistake of the client.
func TestUnreachableIssuer(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, func(o *authserver.Options) { o.IssuerURL += "/elsewhere" })
	wantError(t, ask(t, s, flows[1].form(i.token(t, nil))), http.StatusInternalServerError, "server_error")
	wantError(t, ask(t, s, flows[2].form(i.token(t, nil))), http.StatusInternalServerError, "server_error")
	// The library knows no more than that the token was not accepted.
	wantError(t, ask(t, s, flows[0].form(i.token(t, nil))), http.StatusBadRequest, "invalid_request")
}

func TestWrongCA(t *testing.T) {
	i := startIssuer(t)
	s := start(t, i, nil)
	other := start(t, i, nil)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+authserver.OpenIDMetadataPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := httpClient(t, other).Do(request)
	if err == nil {
		response.Body.Close()
		t.Error("the CA of another server verifies this one")
	}
	i.ca = other.CA()
	distrustful := start(t, i, nil)
	wantError(t, ask(t, distrustful, flows[1].form(i.token(t, nil))), http.StatusInternalServerError, "server_error")
}

func TestStart(t *testing.T) {
	i := startIssuer(t)
	if _, err := authserver.Start(t.Context(), authserver.Options{IssuerCA: i.ca}); err == nil {
		t.Error("started without an issuer")
	}
	if _, err := authserver.Start(t.Context(), authserver.Options{IssuerURL: i.url}); err == nil {
		t.Error("started without a CA")
	}
	s, err := authserver.Start(t.Context(), authserver.Options{IssuerURL: i.url, IssuerCA: i.ca})
	if err != nil {
		t.Fatal(err)
	}
	if s.Audience() != s.Issuer() {
		t.Errorf("the audience is %q", s.Audience())
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}
