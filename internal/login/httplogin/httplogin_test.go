package httplogin

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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

const jwt secret.Text = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhcHAifQ.c2lnbmF0dXJlLW9mLXRoZS1qd3Q"

// seen is a request as it was on the wire.
type seen struct{ Line, Type, Authorization, Body string }

// party is one that keeps what it was asked, and answers all the same.
func party(tb testing.TB, status int, answer string, options loginspec.Values) (*Party, *seen) {
	tb.Helper()
	got := &seen{}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*got = seen{r.Method + " " + r.RequestURI, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), string(body)}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	tb.Cleanup(server.Close)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	client := &exchange.Client{TLS: exchange.TLS{CA: exchange.NewCA("", string(bundle))}, Timeout: 10 * time.Second, UserAgent: "test"}
	all := loginspec.Values{}
	for _, o := range loginspec.MethodOf(loginspec.MethodHTTP).Options {
		all[o.Name] = o.Default
	}
	maps.Copy(all, options)
	all[loginspec.Address] = server.URL + options[loginspec.Address]
	return New(client, all), got
}

// The requests are those that the parties of docs/relying-parties.md want.
func TestRequest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options loginspec.Values
		want    seen
	}{
		"a field": {
			loginspec.Values{"address": "/v1/acl/login", "jwt-field": "BearerToken", "parameters": "AuthMethod=kubernetes"},
			seen{"POST /v1/acl/login", "application/json", "", `{"AuthMethod":"kubernetes","BearerToken":"JWT"}`},
		},
		"a field in an object": {
			loginspec.Values{"address": "/", "http-method": "PUT", "jwt-field": "/auth/jwt", "parameters": "/auth/method=a \"b\""},
			seen{"PUT /", "application/json", "", `{"auth":{"jwt":"JWT","method":"a \"b\""}}`},
		},
		"a form": {
			loginspec.Values{"address": "/authn?x=y", "jwt-field": "jwt", "body": "form", "parameters": "a=b c&d"},
			seen{"POST /authn?x=y", "application/x-www-form-urlencoded", "", "a=b+c%26d&jwt=JWT"},
		},
		"a header": {loginspec.Values{"address": "/"}, seen{"POST /", "", "Bearer JWT", ""}},
		"a header and fields": {
			loginspec.Values{"address": "/", "parameters": "a=b"}, seen{"POST /", "application/json", "Bearer JWT", `{"a":"b"}`},
		},
		"a query": {
			loginspec.Values{"address": "/sts/exchange?scope=org%2Frepo", "http-method": "GET", "parameters": "identity=a b"},
			seen{"GET /sts/exchange?identity=a+b&scope=org%2Frepo", "", "Bearer JWT", ""},
		},
	} {
		p, got := party(t, http.StatusOK, `{"token":"x"}`, tt.options)
		if _, err := p.Login(t.Context(), jwt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, text := range []*string{&got.Body, &got.Authorization} {
			*text = strings.ReplaceAll(*text, jwt.Reveal(), "JWT")
		}
		if diff := cmp.Diff(tt.want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func tokenUntil(end time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d}`, end.Unix())) + ".c2ln"
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	answered := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	hour := answered.Add(time.Hour)
	timed := loginspec.Values{"token-pointer": "/SecretID", "lifetime-pointer": "/end"}
	answer := func(end string) string { return `{"SecretID":"x","end":` + end + `}` }
	known := func(lease time.Duration) exchange.Credential { return exchange.Credential{Token: "x", Lease: lease} }
	unknown := func(warnings ...string) exchange.Credential {
		return exchange.Credential{Token: "x", Lease: 5 * time.Minute, Assumed: true, Warnings: warnings}
	}
	const untold = "the answer has no lifetime at /end"
	for name, tt := range map[string]struct {
		options loginspec.Values
		answer  string
		want    exchange.Credential
	}{
		"a token":             {nil, `{"token":"x"}`, unknown()},
		"a token deep inside": {loginspec.Values{"token-pointer": "/data/1/a~1b"}, `{"data":[0,{"a/b":"x"}]}`, unknown()},
		"the whole body":      {loginspec.Values{"token-pointer": "body"}, " x\n", unknown()},
		"a string as a body":  {loginspec.Values{"token-pointer": "body"}, `"x"`, unknown()},
		"an object as a body": {
			loginspec.Values{"token-pointer": "body"},
			"{\n \"a\": \"b\"\n}\n",
			exchange.Credential{Token: `{"a":"b"}`, Lease: 5 * time.Minute, Assumed: true},
		},
		"a lifetime of the user": {loginspec.Values{"lifetime": "8m"}, `{"token":"x"}`, known(8 * time.Minute)},
		"the end of a JWT": {
			nil, `{"token":"` + tokenUntil(hour) + `"}`,
			exchange.Credential{Token: secret.Text(tokenUntil(hour)), Lease: time.Hour},
		},
		"seconds":                    {timed, answer("90"), known(90 * time.Second)},
		"seconds in quotes":          {timed, answer(`"90"`), known(90 * time.Second)},
		"seconds between blanks":     {timed, answer(`" 90 "`), known(90 * time.Second)},
		"an endless lifetime":        {timed, answer(`"Infinity"`), unknown(untold)},
		"a duration":                 {timed, answer(`"1h30m"`), known(90 * time.Minute)},
		"a moment":                   {timed, answer(`"2026-01-02T04:04:05.000Z"`), known(time.Hour)},
		"a moment of another zone":   {timed, answer(`"2026-01-02T05:04:05+01:00"`), known(time.Hour)},
		"a moment in Unix time":      {timed, answer(strconv.FormatInt(hour.Unix(), 10)), known(time.Hour)},
		"a moment in milliseconds":   {timed, answer(strconv.FormatInt(hour.UnixMilli(), 10)), known(time.Hour)},
		"a lifetime that is missing": {timed, `{"SecretID":"x"}`, unknown(untold)},
		"a lifetime of null":         {timed, answer("null"), unknown(untold)},
		"a lifetime that is none":    {timed, answer(`"soon"`), unknown(untold)},
		"a negative lifetime":        {timed, answer("-1"), unknown(untold)},
		"a lifetime of no number":    {timed, answer(`"NaN"`), unknown(untold)},
		"a lifetime without end":     {timed, answer("1e300"), known(10 * 365 * 24 * time.Hour)},
	} {
		options := loginspec.Values{"token-pointer": "/token"}
		maps.Copy(options, tt.options)
		response := exchange.Response{Status: 201, Header: http.Header{"Date": {answered.Format(http.TimeFormat)}}, Body: []byte(tt.answer)}
		got, err := New(nil, options).read(exchange.Request{Doing: "test"}, response)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	timed := loginspec.Values{"lifetime-pointer": "/end"}
	for name, tt := range map[string]struct {
		options loginspec.Values
		status  int
		answer  string
		want    failure.Class
		text    string
	}{
		"a text": {nil, 403, "Permission denied", failure.Denied, `403: "Permission denied"`},
		"a message": {
			nil, 401, `{"statusCode":401,"message":"no such identity","error":"Unauthorized"}`, failure.Denied,
			`401: "Unauthorized"; "no such identity"`,
		},
		"messages":  {nil, 400, `{"errors":[{"message":"a","code":"b"},"c"]}`, failure.Denied, `400: "a"; "b"; "c"`},
		"an object": {nil, 500, `{"error":{"message":"a"}}`, failure.Server, `500: "a"`},
		"too often": {nil, 429, `{}`, failure.RateLimited, `429: "{}"`},
		"a used JWT": {
			nil, 403, `{"message":"the JWT has already been used"}`, failure.JWT,
			`403: "the JWT has already been used"`,
		},
		"an echo":             {nil, 400, `{"message":"bad token ` + jwt.Reveal() + `"}`, failure.Denied, `400: "bad token [redacted]"`},
		"no JSON":             {nil, 200, `<title>Welcome</title>`, failure.Protocol, `the answer is not the expected JSON`},
		"no token":            {nil, 200, `{"Token":"hidden"}`, failure.Protocol, "200: the answer has no token at /token"},
		"a token of a number": {nil, 200, `{"token":1}`, failure.Protocol, "200: the answer has no token at /token"},
		"a token with blanks": {nil, 200, `{"token":"hidden and seek"}`, failure.Protocol, "the token has characters that cannot be sent"},
		"a token that ended": {
			timed, 200, `{"token":"hidden","end":"2001-01-01T00:00:00Z"}`, failure.Protocol,
			"the token has ended already",
		},
	} {
		p, _ := party(t, tt.status, tt.answer, tt.options)
		_, err := p.Login(t.Context(), jwt)
		e, ok := errors.AsType[*failure.Error](err)
		if !ok || e.Class != tt.want || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a server answers is a token that can be used, or an error of bounded size
// without a token.
func FuzzAnswer(f *testing.F) {
	f.Add(200, `{"token":"x","end":60}`, "/token", "/end")
	f.Add(200, `[{"token":"`+jwt.Reveal()+`"}]`, "/0/token", "/0/1")
	f.Add(200, ` x `, "body", "/x")
	f.Add(400, `{"errors":[{"message":"x"}]}`, "/token", "/end")
	f.Fuzz(func(t *testing.T, status int, text, token, end string) {
		method := loginspec.MethodOf(loginspec.MethodHTTP)
		if method.Option(loginspec.TokenPointer).Validate(token) != nil || method.Option(loginspec.LifetimePointer).Validate(end) != nil {
			return
		}
		p := New(nil, loginspec.Values{loginspec.TokenPointer: token, loginspec.LifetimePointer: end})
		credential, err := p.read(exchange.Request{Doing: "test", Secrets: []secret.Text{jwt}},
			exchange.Response{Status: status, Body: []byte(text)})
		if err == nil {
			if !credential.Token.Usable() || credential.Lease <= 0 || credential.Lease > 11*365*24*time.Hour || status < 200 ||
				status > 299 {
				t.Errorf("credential %+v", credential)
			}
			if !json.Valid([]byte(text)) && token != loginspec.WholeBody {
				t.Errorf("a token of what is no JSON: %q", text)
			}
			return
		}
		if text := err.Error(); len(text) > 13000 || strings.Contains(text, jwt.Reveal()) || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%q", text)
		}
	})
}
