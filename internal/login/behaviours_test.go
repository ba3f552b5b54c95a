package login

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// fake is a server that answers as a real one was seen to, on connections in memory
// and on the clock of the test.
type fake struct {
	started time.Time
	answer  func(w http.ResponseWriter, r *http.Request, n int)

	mu    sync.Mutex
	asked []string
}

// serve begins to answer whatever host is asked, until the test ends.
func (f *fake) serve(t *testing.T) (dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	t.Helper()
	f.started = time.Now()
	listener := &pipeListener{connections: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	t.Cleanup(func() {
		_, _ = server.Close(), listener.Close()
	})
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		listener.connections <- theirs
		return ours, nil
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, fmt.Sprintf("%s %s%s", time.Since(f.started).Round(time.Second), r.Host, r.URL.Path))
	n := len(f.asked)
	f.mu.Unlock()
	f.answer(w, r, n)
}

// pipeListener accepts what is sent to it.
type pipeListener struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.connections:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (*pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// says answers each request alike.
func says(status int, body string) func(http.ResponseWriter, *http.Request, int) {
	return func(w http.ResponseWriter, _ *http.Request, _ int) { write(w, status, body) }
}

func write(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client may have enough
}

// first answers the first requests in a way of its own.
func first(requests, status int, body string, then func(http.ResponseWriter, *http.Request, int)) func(http.ResponseWriter, *http.Request,
	int) {
	return func(w http.ResponseWriter, r *http.Request, n int) {
		if n <= requests {
			write(w, status, body)
			return
		}
		then(w, r, n)
	}
}

// accessToken is a token that is a JWT with a lifetime.
func accessToken(life time.Duration) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d}`, time.Now().Add(life).Unix())) + ".c2ln"
}

// moment is what a workload finds some time after the one before.
type moment struct {
	after time.Duration
	token string
	// rotate is a new JWT that comes then.
	rotate string
}

// behaviour is what one server does, and what comes of it.
type behaviour struct {
	name    string
	method  string // token-exchange if it is not given
	options loginspec.Values
	answer  func(w http.ResponseWriter, r *http.Request, n int)
	// moments are what the workload sees; asked the requests, if it matters when.
	moments []moment
	asked   []string
	// logged has to be in the log, never must not be.
	logged, never []string
}

func (b behaviour) methodOrDefault() string { return cmp.Or(b.method, loginspec.MethodTokenExchange) }

// behaviours are what servers do that is not in the books, a row each, and at least one
// for each method. Who does so is said where it is known.
var behaviours = []behaviour{
	{
		name:    "only an access token (Keycloak's documents, Databricks)",
		answer:  says(200, `{"access_token":"at","expires_in":300}`),
		moments: []moment{{time.Second, "at", ""}},
		logged:  []string{"server returned a warning", "token_type is not given, and Bearer is assumed"},
	},
	{
		name: "a byte order mark, a scope that is a list, a lifetime in quotes",
		answer: says(200, "\ufeff"+`{"access_token":"at","token_type":"Bearer","issued_token_type":"x","scope":["a","b"],`+
			`"expires_in":"3600"}`),
		moments: []moment{{time.Minute, "at", ""}, {time.Hour, "at", ""}},
		never:   []string{"level=ERROR"},
	},
	{
		name:    "a lifetime with a fraction, a type that is a number",
		answer:  says(200, `{"access_token":"at","token_type":1,"expires_in":3599.6}`),
		moments: []moment{{time.Minute, "at", ""}},
	},
	{
		name: "gzip that nobody asked for (a gateway)",
		answer: func(w http.ResponseWriter, r *http.Request, _ int) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("X-Asked", r.Header.Get("Accept-Encoding"))
			packed := gzip.NewWriter(w)
			_, _ = io.WriteString(packed, `{"access_token":"at","expires_in":300}`)
			_ = packed.Close()
		},
		moments: []moment{{time.Second, "at", ""}},
	},
	{
		name: "a refusal in an encoding that is not read",
		answer: func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Content-Encoding", "br")
			write(w, 400, "\x1b\x00\x8b\x02\x80")
		},
		moments: []moment{{time.Minute, "", ""}},
		logged:  []string{"400"},
		never:   []string{`\x1b`, "\x1b", "\ufffd"},
	},
	{
		name: "an answer without an end",
		answer: func(w http.ResponseWriter, _ *http.Request, _ int) {
			for range 1 << 12 {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<12)); err != nil {
					return
				}
			}
		},
		moments: []moment{{time.Second, "", ""}},
		logged:  []string{"could not read the answer", "larger than"},
	},
	{
		name: "an answer that comes slowly",
		answer: func(w http.ResponseWriter, r *http.Request, _ int) {
			_, _ = io.Copy(io.Discard, r.Body) // or nobody looks whether the client is still there
			for i := range 100 {
				fmt.Fprintf(w, `{"a%d":`, i)
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(10 * time.Second):
				}
			}
		},
		moments: []moment{{2 * time.Minute, "", ""}},
		logged:  []string{"no answer within 1m0s"},
	},
	{
		name: "the same token until its end, counted down",
		answer: func(w http.ResponseWriter, _ *http.Request, _ int) {
			now := time.Now().Unix()
			write(w, 200, fmt.Sprintf(`{"access_token":"at%d","expires_in":%d}`, now/30, 30-now%30))
		},
		moments: []moment{
			{time.Second, "at31556160", ""},
			{28 * time.Second, "at31556160", ""},
			{3 * time.Second, "at31556161", ""},
			{30 * time.Second, "at31556162", ""},
		},
		never: []string{"level=WARN msg=\"could not", "level=ERROR"},
	},
	{
		name: "a JWT that is accepted once (Hydra)",
		answer: func(w http.ResponseWriter, r *http.Request, n int) {
			switch {
			case n == 1:
				write(w, 200, `{"access_token":"at1","expires_in":3600}`)
			case strings.HasSuffix(r.PostFormValue("assertion"), "_two"):
				write(w, 200, `{"access_token":"at2","expires_in":3600}`)
			default:
				write(w, 400, `{"error":"jti_known","error_description":"The jti was already used."}`)
			}
		},
		method:  loginspec.MethodJWTBearer,
		moments: []moment{{47 * time.Minute, "at1", ""}, {time.Minute, "at1", "two"}, {time.Minute, "at2", ""}},
		asked:   []string{"0s party.test/token", "40m0s party.test/token", "48m33s party.test/token"},
		logged:  []string{"the JWT has given a token before and is accepted once; the next JWT is expected at "},
	},
	{
		name: "away for hours while a token was held",
		answer: func(w http.ResponseWriter, _ *http.Request, n int) {
			first(1, 200, `{"access_token":"at","expires_in":7200}`, says(503, ""))(w, nil, n)
		},
		moments: []moment{{2*time.Hour - time.Second, "at", ""}, {2 * time.Second, "", ""}, {5 * time.Minute, "", ""}},
		logged:  []string{"503"},
	},
	{
		name: "back after an hour",
		answer: func(w http.ResponseWriter, _ *http.Request, _ int) {
			if time.Now().Unix()%86400 < 3600 {
				w.Header().Set("Retry-After", "3600")
				write(w, 503, "")
				return
			}
			write(w, 200, `{"access_token":"at","expires_in":7200}`)
		},
		moments: []moment{{time.Hour - time.Second, "", ""}, {62 * time.Second, "at", ""}},
	},
	{
		name: "no lifetime, and a token that has one",
		answer: func(w http.ResponseWriter, _ *http.Request, n int) {
			first(1, 200, `{"access_token":"`+accessToken(time.Hour)+`"}`, says(503, ""))(w, nil, n)
		},
		moments: []moment{{time.Hour + 10*time.Second, "", ""}},
		logged:  []string{"503"},
	},
	{
		name:    "no lifetime at all",
		answer:  first(1, 200, `{"access_token":"at"}`, says(503, "")),
		moments: []moment{{4 * time.Minute, "at", ""}, {time.Hour, "at", ""}},
	},
	{
		name:    "no lifetime, and an option for it",
		options: loginspec.Values{loginspec.Lifetime: "15m"},
		answer:  first(1, 200, `{"access_token":"at"}`, says(503, "")),
		moments: []moment{{14 * time.Minute, "at", ""}, {2 * time.Minute, "", ""}},
	},
	{
		name:    "a lifetime of 0, once",
		answer:  first(1, 200, `{"access_token":"at","expires_in":0}`, says(200, `{"access_token":"at2","expires_in":300}`)),
		moments: []moment{{time.Second, "at2", ""}},
	},
	{
		name:   "a token that may not renew itself (Vault, token_no_default_policy)",
		method: loginspec.MethodVault,
		answer: func(w http.ResponseWriter, r *http.Request, n int) {
			if strings.HasSuffix(r.URL.Path, "-self") {
				write(w, 403, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`)
				return
			}
			write(w, 200, fmt.Sprintf(`{"auth":{"client_token":"hvs.number%d","lease_duration":600,"renewable":true}}`, n))
		},
		options: loginspec.Values{loginspec.CheckInterval: "0"},
		moments: []moment{{6 * time.Minute, "hvs.number1", ""}, {time.Minute, "hvs.number3", ""}, {20 * time.Minute, "hvs.number6", ""}},
		asked: []string{
			"0s party.test/v1/auth/jwt/login", "6m40s party.test/v1/auth/token/renew-self", "6m41s party.test/v1/auth/jwt/login",
			"13m21s party.test/v1/auth/jwt/login", "20m1s party.test/v1/auth/jwt/login", "26m41s party.test/v1/auth/jwt/login",
		},
		logged: []string{"the token's policies do not allow update on auth/token/renew-self"},
	},
	{
		name:   "a token that was revoked (Vault, or one that was restored)",
		method: loginspec.MethodVault,
		answer: func(w http.ResponseWriter, r *http.Request, n int) {
			if strings.HasSuffix(r.URL.Path, "/lookup-self") && r.Header.Get("X-Vault-Token") == "hvs.number1" {
				write(w, 403, `{"errors":["permission denied","invalid token"]}`)
				return
			}
			write(w, 200, fmt.Sprintf(`{"auth":{"client_token":"hvs.number%d","lease_duration":86400,"renewable":true},"data":{}}`, n))
		},
		options: loginspec.Values{loginspec.CheckInterval: "5m"},
		moments: []moment{{4 * time.Minute, "hvs.number1", ""}, {2 * time.Minute, "hvs.number3", ""}},
		logged:  []string{"the token is not valid any more"},
	},
	{
		name:   "thousands of policies (Vault)",
		method: loginspec.MethodVault,
		answer: says(200, `{"auth":{"client_token":"hvs.number1","lease_duration":600,"policies":["`+
			strings.Repeat(`team-with-a-long-name","`, 8000)+`last"]}}`),
		moments: []moment{
			{time.Second, "hvs.number1", ""},
		},
		logged: []string{"… and 79"},
	},
	{
		name:   "standby, standby, active (Vault)",
		method: loginspec.MethodVault,
		answer: func(w http.ResponseWriter, r *http.Request, n int) {
			if n < 3 {
				http.Redirect(w, r, fmt.Sprintf("http://party.test:820%d%s", n, r.URL.Path), http.StatusTemporaryRedirect)
				return
			}
			write(w, 200, `{"auth":{"client_token":"hvs.number1","lease_duration":600}}`)
		},
		moments: []moment{{time.Second, "hvs.number1", ""}},
		asked: []string{
			"0s party.test/v1/auth/jwt/login", "0s party.test:8201/v1/auth/jwt/login", "0s party.test:8202/v1/auth/jwt/login",
		},
	},
	{
		name:   "a redirect to somebody else",
		method: loginspec.MethodVault,
		answer: func(w http.ResponseWriter, r *http.Request, _ int) {
			http.Redirect(w, r, "http://collector.test"+r.URL.Path, http.StatusTemporaryRedirect)
		},
		moments: []moment{{time.Hour, "", ""}},
		logged:  []string{`--redirect-hosts (annotation login-redirect-hosts) allows the host \"collector.test\"`},
	},
	{
		// AADSTS700024: the assertion is not within its valid time range.
		name:   "a JWT that is taken for too new, then a token with two lifetimes (Microsoft Entra ID)",
		method: loginspec.MethodClientAssertion,
		answer: first(1, 401, `{"error":"invalid_client","error_description":"AADSTS700024: Client assertion is not within its valid time`+
			` range.\r\nTrace ID: 1"}`, says(200, `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":7199,"access_token":"at"}`)),
		options: loginspec.Values{loginspec.ClientID: "app"},
		moments: []moment{{time.Second, "", ""}, {2 * time.Minute, "at", ""}},
		logged:  []string{"AADSTS700024"},
	},
	{
		name:   "the moment of a token's end, with a fraction (Nomad)",
		method: loginspec.MethodHTTP,
		answer: func(w http.ResponseWriter, _ *http.Request, n int) {
			write(w, 200, fmt.Sprintf(`{"SecretID":"s%d","ExpirationTime":%q}`, n, time.Now().Add(time.Hour).Format(time.RFC3339Nano)))
		},
		options: loginspec.Values{loginspec.TokenPointer: "/SecretID", loginspec.LifetimePointer: "/ExpirationTime"},
		moments: []moment{{39 * time.Minute, "s1", ""}, {20 * time.Minute, "s2", ""}},
		never:   []string{"level=ERROR"},
	},
	{
		name:    "discovery that has moved",
		options: loginspec.Values{loginspec.Address: "", loginspec.Issuer: "http://party.test"},
		answer: func(w http.ResponseWriter, r *http.Request, n int) {
			switch {
			case n == 1:
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			case r.URL.Path == "/elsewhere":
				write(w, 200, `{"issuer":"http://party.test","token_endpoint":"http://party.test/t"}`)
			default:
				write(w, 200, `{"access_token":"at","expires_in":300}`)
			}
		},
		moments: []moment{{time.Second, "at", ""}},
		asked:   []string{"0s party.test/.well-known/openid-configuration", "0s party.test/elsewhere", "0s party.test/t"},
	},
	{
		name: "Dex: a connector and an id_token are wanted",
		options: loginspec.Values{
			loginspec.Parameters: "connector_id=kubernetes", loginspec.SubjectTokenType: "id_token", loginspec.Scope: "openid",
		},
		answer: func(w http.ResponseWriter, r *http.Request, _ int) {
			switch {
			case r.PostFormValue("subject_token_type") != "urn:ietf:params:oauth:token-type:id_token":
				write(w, 400, `{"error":"invalid_request","error_description":"Invalid subject_token_type."}`)
			case r.PostFormValue("connector_id") != "kubernetes":
				write(w, 400, `{"error":"invalid_request","error_description":"Requested connector does not exist."}`)
			default:
				write(w, 200, `{"access_token":"at","issued_token_type":"urn:ietf:params:oauth:token-type:access_token",`+
					`"token_type":"bearer","expires_in":86399}`)
			}
		},
		moments: []moment{{time.Second, "at", ""}},
	},
	{
		name: "a long refusal whose end counts (Entra ID)",
		answer: says(400, `{"error":"invalid_client","error_description":"AADSTS700213: No matching federated identity record found for `+
			`presented assertion subject '`+
			strings.Repeat("x", 300)+`'. Trace ID: 11111111-2222-3333-4444-555555555555 Correlation ID: `+
			`66666666-7777-8888-9999-000000000000"}`),
		moments: []moment{{time.Second, "", ""}},
		logged:  []string{"Correlation ID: 66666666-7777-8888-9999-000000000000"},
	},
	{
		name: "an echo of the JWT in a refusal",
		answer: func(w http.ResponseWriter, r *http.Request, _ int) {
			write(w, 400, fmt.Sprintf(`{"error":"invalid_request","error_description":"cannot read %x"}`, r.PostFormValue("subject_token")))
		},
		moments: []moment{{time.Second, "", ""}},
		logged:  []string{"cannot read [redacted]"},
		never:   []string{"65794a"},
	},
	{
		name:    "a page for people",
		answer:  says(200, "<html><title>Please sign in</title></html>"),
		moments: []moment{{time.Second, "", ""}},
		logged:  []string{"the answer is not the expected JSON", "Please sign in"},
	},
	{
		name:    "an error with status 200 (GitHub's way)",
		answer:  says(200, `{"error":"bad_verification_code","error_description":"it has expired"}`),
		moments: []moment{{time.Second, "", ""}},
		logged:  []string{"bad_verification_code"},
	},
	{
		name:    "nothing at all",
		answer:  says(204, ""),
		moments: []moment{{time.Second, "", ""}},
		logged:  []string{"204"},
	},
	{
		name:    "a token that is none",
		answer:  says(200, `{"access_token":"a\nb\u0000","expires_in":300}`),
		moments: []moment{{time.Second, "", ""}},
		logged:  []string{"access_token is not a token"},
	},
	{
		name:    "null for a token",
		answer:  says(200, `{"access_token":null,"expires_in":300}`),
		moments: []moment{{time.Second, "", ""}},
		logged:  []string{"the answer has no access_token"},
	},
	{
		name:    "JSON without a floor",
		answer:  says(200, strings.Repeat(`{"a":`, 100_000)),
		moments: []moment{{time.Second, "", ""}},
		logged:  []string{"the answer is not the expected JSON"},
	},
}

// TestBehaviours runs the whole login against each.
func TestBehaviours(t *testing.T) {
	t.Parallel()
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := &fake{answer: b.answer}
				f := newFixture(t, func(c *Config) {
					c.Method = b.methodOrDefault()
					c.Options[loginspec.MethodName], c.Options[loginspec.Address] = c.Method, "http://party.test/token"
					if c.Method == loginspec.MethodVault {
						c.Options[loginspec.Address] = "http://party.test"
					}
					maps.Copy(c.Options, b.options)
				})
				f.issue(t, "one", time.Hour)
				client := clientOf(f.config, nil)
				client.Dial = server.serve(t)
				f.login.party = parties[f.config.Method](client, f.config.Options)
				stop := f.run(t)
				for i, m := range b.moments {
					pass(m.after)
					if got := f.token(t); got != m.token {
						t.Errorf("moment %d: token %q instead of %q", i+1, got, m.token)
					}
					if m.rotate != "" {
						f.issue(t, m.rotate, time.Hour)
					}
				}
				server.check(t, b.asked)
				for _, part := range b.logged {
					if !f.output.Has(part) {
						t.Errorf("not logged: %s", part)
					}
				}
				for _, part := range append(b.never, "party.test/collector") {
					if f.output.Has(part) {
						t.Errorf("logged: %s", part)
					}
				}
				if text := f.output.String(); t.Failed() || len(text) > 100_000 {
					t.Errorf("asked: %q\nthe log: %.5000s", server.asked, text)
				}
				_ = stop()
				synctest.Wait()
			})
		})
	}
}

// check compares the requests, none of which is for a host that was not meant.
func (f *fake) check(t *testing.T, want []string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if want != nil && strings.Join(f.asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked %q, want %q", f.asked, want)
	}
	for _, request := range f.asked {
		if !strings.Contains(request, " party.test") {
			t.Errorf("asked %s", request)
		}
	}
}
