package against

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// now is the time of all tests.
var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

const (
	testIssuer  = "https://issuer.example.com/cluster-a"
	testSubject = "system:serviceaccount:demo:app"
)

// token is one of an API server, with changes of its claims; "alg" is that of the header.
func token(t *testing.T, changes map[string]any) *issuer.Token {
	t.Helper()
	claims := map[string]any{
		"iss": testIssuer, "sub": testSubject, "aud": []string{"party"},
		"iat": now.Add(-10 * time.Minute).Unix(), "nbf": now.Add(-10 * time.Minute).Unix(), "exp": now.Add(50 * time.Minute).Unix(),
		"kubernetes.io": map[string]any{
			"namespace": "demo", "serviceaccount": map[string]any{"name": "app", "uid": "a1b2"},
			"pod": map[string]any{"name": "app-0", "uid": "c3d4"},
		},
	}
	header := map[string]any{"alg": "RS256"}
	maps.Copy(claims, changes)
	for name, value := range changes {
		if name == "alg" {
			header["alg"] = value
		}
		if value == nil || name == "alg" {
			delete(claims, name)
		}
	}
	encode := func(value any) string {
		data, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	parsed, err := issuer.Parse(encode(header) + "." + encode(claims) + ".c2ln")
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// ruleTest is a rule, a token, and what is said of them.
type ruleTest struct {
	rule  string
	token map[string]any
	at    time.Time
	// want are the rules that do not pass, as "status name", in their order.
	want []string
	// says is a part of what they say, or of the error.
	says string
}

// testRules runs a party's tests. %i and %h in rules stand for the issuer, with and without https://.
func testRules(t *testing.T, party string, tests map[string]ruleTest) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule := strings.NewReplacer("%i", testIssuer, "%h", strings.TrimPrefix(testIssuer, "https://"), "%s",
				testSubject).Replace(test.rule)
			at := now
			if !test.at.IsZero() {
				at = test.at
			}
			checks, err := Find(party).Evaluate([]byte(rule), token(t, test.token), at)
			var got, said []string
			for _, c := range checks {
				if c.Status == report.Pass {
					continue
				}
				got = append(got, string(c.Status)+" "+c.Rule)
				said = append(said, c.Detail, c.Fix)
				if c.Fix == "" && c.Status != report.Unknown {
					t.Errorf("%s says nothing about what to do", c.Rule)
				}
			}
			if err != nil {
				got, said = []string{"error"}, []string{err.Error()}
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if !strings.Contains(strings.Join(said, "\n"), test.says) {
				t.Errorf("said %q, want %q among it", said, test.says)
			}
		})
	}
}

func TestParties(t *testing.T) {
	t.Parallel()
	last := ""
	for _, p := range Parties {
		if p.Name <= last || p.Rule == "" || Find(p.Name) == nil {
			t.Errorf("%q is out of order, or lacks something", p.Name)
		}
		last = p.Name
		for _, rule := range []string{"", "[]", "{}", "null", `"text"`, "7", "<html>"} {
			if _, err := p.Evaluate([]byte(rule), token(t, nil), now); err == nil {
				t.Errorf("%s takes %q for a rule", p.Name, rule)
			}
		}
	}
	if Find("nobody") != nil {
		t.Error("there is a party that is not there")
	}
}

func FuzzEvaluate(f *testing.F) {
	for i, rule := range []string{
		`{"Statement":{"Effect":"Allow","Action":"sts:*","Principal":{"Federated":"x"},"Condition":{"StringLike":{"a:sub":["*?"]}}}}`,
		`[{"issuer":"x","subject":"y","audiences":["z"]}]`,
		`{"oidc":{"issuerUri":"x"},"attributeMapping":{"google.subject":"assertion.sub.extract('a{b}c')"},"attributeCondition":"1 < 2"}`,
		`{"data":{"role_type":"jwt","user_claim":"/a/0","user_claim_json_pointer":true,"bound_claims":{"/kubernetes.io/pod":["*",7]}}}`,
	} {
		f.Add(uint8(i), []byte(rule))
	}
	f.Fuzz(func(t *testing.T, party uint8, rule []byte) {
		checks, err := Parties[int(party)%len(Parties)].Evaluate(rule, token(t, nil), now)
		if err == nil && len(checks) == 0 {
			t.Error("nothing was looked at")
		}
	})
}
