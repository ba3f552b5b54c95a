package loginspec_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	if got := loginspec.Named(loginspec.Container, ""); got != "oidc-login" {
		t.Errorf("the default login: %s", got)
	}
	if got := loginspec.Named(loginspec.CAVolume, "a-b"); got != "oidc-login-ca-a-b" {
		t.Errorf("a named login: %s", got)
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	for option, want := range map[loginspec.Name]string{
		loginspec.MethodName:     "OIDC_LOGIN_METHOD",
		loginspec.JWTFile:        "OIDC_LOGIN_JWT_FILE",
		loginspec.TargetAudience: "OIDC_LOGIN_TARGET_AUDIENCE",
	} {
		if got := option.Env(); got != want {
			t.Errorf("%s: %s, want %s", option, got, want)
		}
	}
}

// What the webhook sets of its own accord, or by an annotation, nobody else may set.
func TestWrittenByWebhook(t *testing.T) {
	t.Parallel()
	ofThePerson := []loginspec.Name{
		loginspec.Timeout, loginspec.RequestTimeout, loginspec.RevokeOnExit,
		loginspec.ListenAddress, loginspec.TerminationLog, loginspec.LogFormat, loginspec.LogLevel,
	}
	for _, o := range loginspec.All() {
		if o.Name == "" {
			continue
		}
		if got, want := loginspec.WrittenByWebhook(o.Name.Env()), !slices.Contains(ofThePerson, o.Name); got != want {
			t.Errorf("%s: %t", o.Name.Env(), got)
		}
	}
	for _, other := range []string{"", "HTTPS_PROXY", "method", "oidc_login_method", loginspec.EnvPrefix} {
		if loginspec.WrittenByWebhook(other) {
			t.Errorf("%q is said to be one of ours", other)
		}
	}
}

// TestRowsAreComplete has what the readers of the table rely on.
func TestRowsAreComplete(t *testing.T) {
	t.Parallel()
	for _, o := range loginspec.All() {
		name := string(o.Name) + " " + o.Key
		wrong := map[string]bool{
			"neither a name nor a key":         o.Name == "" && o.Key == "",
			"a flag without a word for values": o.Name != "" && o.Value == "",
			"a help that is no sentence":       !strings.HasSuffix(o.Help, "."),
			"a key of another prefix":          o.Key != "" && o.Key != loginspec.MethodKey && !strings.HasPrefix(o.Key, "login-"),
			"a default that is not valid":      o.Default != "" && o.Validate(o.Default) != nil,
			"an example that is not valid":     o.Example != "" && o.Validate(o.Example) != nil,
			"a key without an example":         o.Key != "" && exampleOf(&o) == "",
			"a default for all without a key":  o.Configurable && o.Key == "",
			"an address of any form":           o.Endpoint && o.Check == nil,
		}
		for what, is := range wrong {
			if is {
				t.Errorf("%s: %s", name, what)
			}
		}
	}
	for i := range loginspec.Methods {
		checkMethod(t, &loginspec.Methods[i])
	}
}

func checkMethod(t *testing.T, m *loginspec.Method) {
	t.Helper()
	if loginspec.MethodOf(m.Name) != m || m.Summary == "" || m.Family == "" || m.FileVariable == "" || m.TokenVariable == "" ||
		len(m.Needs) == 0 {
		t.Errorf("%s: incomplete", m.Name)
	}
	for _, name := range m.Needs {
		if o := m.Option(name); o == nil || o.Means == "" || o.Key == "" {
			t.Errorf("%s: needs %s, and cannot say so", m.Name, name)
		}
	}
	if (len(m.Clients) == 0) != (m.ClientsOf == "") || (len(m.Clients) == 0) != (m.Key(loginspec.ClientEnvKey) == nil) {
		t.Errorf("%s: clients without a name or a switch", m.Name)
	}
	for i, c := range m.Clients {
		o := m.Option(c.From)
		if o == nil && c.From != loginspec.CAOutputFile || i == 0 && !slices.Contains(m.Needs, c.From) {
			t.Errorf("%s: %s has the value of %s", m.Name, c.Name, c.From)
		}
	}
	for _, o := range m.Options {
		if loginspec.Lookup(o.Key) != nil {
			t.Errorf("%s: every method has %s", m.Name, o.Key)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	key := func(o *loginspec.Option) string { return o.Key }
	for method, want := range map[string]string{
		"vault":      "the address of Vault, such as https://vault.example.com:8200",
		"jwt-bearer": "the issuer, such as https://login.example.com, or its token endpoint as login-address",
	} {
		if got := loginspec.MethodOf(method).Missing(key); got != want {
			t.Errorf("%s: %s", method, got)
		}
	}
	if loginspec.MethodOf("kerberos") != nil {
		t.Error("a method of another world")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 1025)
	for _, tt := range []struct {
		method      string
		name        loginspec.Name
		good, wrong []string
		must        string
	}{
		{"", loginspec.Mode, []string{"sidecar", "init"}, []string{"", "Init"}, "must be sidecar or init"},
		{"", loginspec.OutputFormat, []string{"raw"}, []string{"yaml"}, "must be raw, json or env"},
		{
			"", loginspec.OutputMode,
			[]string{"0400", "644", "0440"},
			[]string{"", "0", "0200", "0777", "0666", "8", "-1"},
			"must be an octal mode with 0400 and with no more than 0644",
		},
		{"", loginspec.Timeout, []string{"0", "90s"}, []string{"", "90", "-1s"}, "must be a duration such as 90s or 2m, of at least 0s"},
		{"", loginspec.RequestTimeout, []string{"1s"}, []string{"0", "999ms"}, "must be a duration such as 90s or 2m, of at least 1s"},
		{"", loginspec.RevokeOnExit, []string{"true", "0", "F"}, []string{"", "no"}, `must be "true" or "false"`},
		{
			"", loginspec.ListenAddress,
			[]string{":1", "127.0.0.1:8080", "[::1]:0"},
			[]string{"", "1", ":x", ":65536", "::1:1"},
			"must be host:port or :port",
		},
		{"", loginspec.LogLevel, []string{"debug", "WARN"}, []string{"", "info+1", "loud"}, "must be debug, info, warn or error"},
		{
			"vault", loginspec.Address,
			[]string{"https://v", "http://v:8200/a"},
			[]string{"https://v?a=b"},
			"must not have a query or a fragment",
		},
		{
			"vault", loginspec.Role,
			[]string{"a", "a b/ü"},
			[]string{"", " a", "a\n", long},
			"must be a text of 1 to 1024 bytes, without control characters and without white space at its ends",
		},
		{
			"vault", loginspec.Mount,
			[]string{"jwt", "a/b"},
			[]string{"/jwt", "jwt/", "..", "a/../b", "a?b"},
			"must be the path at which the auth method is mounted, such as jwt or teams/jwt",
		},
		{
			"vault", loginspec.Mount, nil,
			[]string{"auth/jwt"},
			"must be the path at which the auth method is mounted, without auth/ before it",
		},
		{
			"token-exchange", loginspec.Address,
			[]string{"https://s/token?p=a%20b"},
			[]string{"https://s/a%2fb?p"},
			"must not hold escapes (%)",
		},
		{
			"token-exchange", loginspec.Issuer,
			[]string{"https://s/realms/a/"},
			[]string{"https://s?a"},
			"must not have a query or a fragment",
		},
		{
			"token-exchange", loginspec.SubjectTokenType,
			[]string{"jwt", "id_token", "saml2", "urn:a:b", "https://a/b"},
			[]string{"", "JWT", "a b"},
			"must be jwt, id_token, access_token, refresh_token, saml1, saml2 or a URI",
		},
		{
			"token-exchange", loginspec.Lifetime,
			[]string{"10s", "1h"},
			[]string{"", "0", "9s", "1d"},
			"must be a duration such as 90s or 2m, of at least 10s",
		},
		{
			"token-exchange", loginspec.Parameters,
			[]string{"a=b", "a=", "\n a=b=c d\n\n/b=%&+ü\n"},
			[]string{
				"", "\n", "a", "=b", "a b=c", "a=b\nc", "a=\x00", "/~2=b", strings.Repeat("a=b\n", 65),
				"a=" + strings.Repeat("b", 16<<10),
			},
			"must be name=value, one a line, of at most 64 lines and 16384 bytes, without control characters",
		},
		{
			"token-exchange", loginspec.Parameters, nil,
			[]string{"a=b\naudience=c"},
			"must not have audience, which has an annotation of its own or is set by the login itself",
		},
		{"token-exchange", loginspec.Parameters, nil, []string{"a=b\na=c"}, "must have a once"},
		{"http", loginspec.Parameters, []string{"audience=b", "grant_type=c"}, nil, ""},
		{
			"http", loginspec.JWTField,
			[]string{"jwt", "a/b", "/a/b", "/a~1b"},
			[]string{"", "a b", "a=b", "/a~b"},
			"must be the name of a field, or a JSON pointer such as /auth/jwt",
		},
		{
			"http", loginspec.TokenPointer,
			[]string{"/token", "/a/0/~0", "body"},
			[]string{"", "token", "/a~", "/a\n"},
			"must be a JSON pointer, such as /data/token (RFC 6901), or body",
		},
		{
			"http", loginspec.LifetimePointer,
			[]string{"/"},
			[]string{"", "body"},
			"must be a JSON pointer, such as /data/expires_in (RFC 6901)",
		},
		{
			"", loginspec.RedirectHosts,
			[]string{"a", "a:8200 b.example", "[::1]:1"},
			[]string{"", "https://a", "a/b", "*.a", "a:0", "u@a"},
			"must be hosts, such as vault-0.vault-internal:8200, separated by spaces",
		},
		{
			"token-exchange", loginspec.Resource,
			[]string{"https://a urn:b"},
			[]string{"a", "https://a#", "https://a b"},
			"must be absolute URIs without a fragment, separated by spaces (RFC 8707 section 2)",
		},
	} {
		all := loginspec.All()
		if tt.method != "" {
			all = loginspec.MethodOf(tt.method).Options
		}
		o := &all[slices.IndexFunc(all, func(o loginspec.Option) bool { return o.Name == tt.name })]
		for _, value := range tt.good {
			if err := o.Validate(value); err != nil {
				t.Errorf("%s %q: %v", tt.name, value, err)
			}
		}
		for _, value := range tt.wrong {
			if err := o.Validate(value); err == nil || err.Error() != tt.must {
				t.Errorf("%s %q: %v", tt.name, value, err)
			}
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for want, values := range map[string][]string{"": nil, "a": {"a"}, "a or b": {"a", "b"}, "a, b or c": {"a", "b", "c"}} {
		if got := loginspec.List(values, "or"); got != want {
			t.Errorf("%v: %s", values, got)
		}
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                             `{}`,
		"a=b":                          `{"a":"b"}`,
		"a=b\n/c/d=e\n/c/f=g":          `{"a":"b","c":{"d":"e","f":"g"}}`,
		"a/b=c\n/x~1y/~0=d\n/=e\n/0=f": `{"":"e","0":"f","a/b":"c","x/y":{"~":"d"}}`,
		"a=b\n/a/c=d":                  "a field is there twice, or is a value and has fields of its own: /a/c",
		"/a/c=d\na=b":                  "a field is there twice, or is a value and has fields of its own: a",
		"a=b\n/a=c":                    "a field is there twice, or is a value and has fields of its own: /a",
	} {
		object, err := loginspec.Object(loginspec.Values{loginspec.Parameters: text}.Parameters(loginspec.Parameters))
		got, _ := json.Marshal(object)
		if err != nil {
			got = []byte(err.Error())
		}
		if string(got) != want {
			t.Errorf("%q: %s instead of %s", text, got, want)
		}
	}
}

// Whatever is valid can be sent, and comes back as it was written.
func FuzzParameters(f *testing.F) {
	f.Add("a=b\n/c/d=e", "/a/jwt")
	f.Add("/a=b\n/a/b=c", "a")
	f.Add("a=b\r\n\u2028=c", "~")
	method := loginspec.MethodOf(loginspec.MethodHTTP)
	f.Fuzz(func(t *testing.T, text, field string) {
		v := loginspec.Values{loginspec.Parameters: text, loginspec.JWTField: field}
		if method.Option(loginspec.Parameters).Validate(text) != nil || method.Option(loginspec.JWTField).Validate(field) != nil {
			return
		}
		if len(method.Violations(v, func(n loginspec.Name) string { return string(n) })) > 0 {
			return
		}
		all := v.Parameters(loginspec.Parameters)
		object, err := loginspec.Object(all)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for _, p := range all {
			if strings.ContainsAny(p.Name+p.Value, "\n\x00") || !strings.Contains(text, p.Name+"="+p.Value) {
				t.Errorf("%q has %+v", text, p)
			}
		}
		if len(all) == 0 || len(object) == 0 || len(object) > len(all) {
			t.Errorf("%q: %d fields of %d", text, len(object), len(all))
		}
	})
}
