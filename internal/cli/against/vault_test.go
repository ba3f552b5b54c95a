package against

import "testing"

func TestVault(t *testing.T) {
	t.Parallel()
	// role has what every role needs, and more.
	role := func(more string) string {
		return `{"role_type":"jwt","bound_audiences":["party"],"user_claim":"sub",` + more + `}`
	}
	bound := func(claims, kind string) string {
		return role(`"bound_claims":` + claims + `,"bound_claims_type":"` + kind + `"`)
	}
	const subject = `"bound_subject":"%s"`
	testRules(t, "vault-role", map[string]ruleTest{
		"as it should be":       {rule: role(subject)},
		"an answer of the API":  {rule: `{"request_id":"x","data":` + role(subject) + `}`},
		"requests of generate":  {rule: `[{"path":"sys/auth/jwt","data":{}},{"path":"auth/jwt/role/x","data":` + role(subject) + `}]`},
		"audiences with commas": {rule: `{"role_type":"jwt","bound_audiences":"a, party","user_claim":"sub",` + subject + `}`},
		"a pointer":             {rule: bound(`{"/kubernetes.io/namespace":"demo"}`, "string")},
		"one of a list":         {rule: bound(`{"/kubernetes.io/namespace":["a","demo"]}`, "string")},
		"a list in the token":   {rule: bound(`{"aud":"party"}`, "string")},
		"an element of a list":  {rule: bound(`{"/aud/0":"party"}`, "string")},
		"a pattern":             {rule: bound(`{"/kubernetes.io/namespace":"de*","sub":"system:*:demo:*"}`, "glob")},
		"a number":              {rule: bound(`{"n":7}`, "string"), token: map[string]any{"n": 7}},
		"true":                  {rule: bound(`{"b":true}`, "string"), token: map[string]any{"b": true}},
		"a claim with a slash":  {rule: bound(`{"/a~1b":"x"}`, "string"), token: map[string]any{"a/b": "x"}},
		"the uid": {
			rule: `{"role_type":"jwt","bound_audiences":"party","user_claim":"/kubernetes.io/serviceaccount/uid",` +
				`"user_claim_json_pointer":true,` + subject + `}`,
		},
		"within the leeway":     {rule: role(subject), at: now.Add(51 * 60e9)},
		"without an end, early": {rule: role(subject), token: map[string]any{"exp": nil, "iat": now.Unix() - 150 - 60, "nbf": nil}},
		"no audience on a side": {rule: `{"role_type":"jwt","user_claim":"sub",` + subject + `}`, token: map[string]any{"aud": nil}},
		"addresses": {
			rule: role(subject + `,"token_bound_cidrs":["192.0.2.0/24"]`), want: []string{"unknown token_bound_cidrs"},
		},
		"not bound": {rule: role(`"bound_subject":""`), want: []string{"warn bound_claims"}, says: "every ServiceAccount"},
		"a role for browsers": {
			rule: `{"bound_audiences":"party","user_claim":"sub",` + subject + `}`, want: []string{"fail role_type"},
		},
		"audience": {
			rule: role(subject), token: map[string]any{"aud": "other"}, want: []string{"fail bound_audiences"}, says: `"other"`,
		},
		"no bound audience": {
			rule: `{"role_type":"jwt","user_claim":"sub",` + subject + `}`, want: []string{"fail bound_audiences"},
			says: "which Vault refuses",
		},
		"subject": {
			rule: role(`"bound_subject":"system:serviceaccount:demo:other"`), want: []string{"fail bound_subject"}, says: "demo:other",
		},
		"a pattern as a subject": {rule: role(`"bound_subject":"system:serviceaccount:demo:*"`), want: []string{"fail bound_subject"}},
		"namespace": {
			rule: bound(`{"/kubernetes.io/namespace":"other"}`, "string"), want: []string{`fail bound_claims["/kubernetes.io/namespace"]`},
			says: `"other"`,
		},
		"a pattern as a text": {
			rule: bound(`{"/kubernetes.io/namespace":"de*"}`, "string"), want: []string{`fail bound_claims["/kubernetes.io/namespace"]`},
			says: "bound_claims_type=glob",
		},
		"a pattern that does not match": {rule: bound(`{"sub":"system:*:x"}`, "glob"), want: []string{`fail bound_claims["sub"]`}},
		"a number as a text": {
			rule: bound(`{"n":"7"}`, "string"), token: map[string]any{"n": 7}, want: []string{`fail bound_claims["n"]`},
		},
		"a number as a pattern": {
			rule: bound(`{"n":7}`, "glob"), token: map[string]any{"n": 7}, want: []string{`fail bound_claims["n"]`},
		},
		"a claim with dots": {
			rule: bound(`{"kubernetes.io.namespace":"demo"}`, "string"), want: []string{`fail bound_claims["kubernetes.io.namespace"]`},
			says: "JSON pointer",
		},
		"a claim that is not there": {
			rule: bound(`{"/kubernetes.io/node/name":"n"}`, "string"), want: []string{`fail bound_claims["/kubernetes.io/node/name"]`},
			says: "no such claim",
		},
		"an object": {
			rule: bound(`{"/kubernetes.io/pod":"app-0"}`, "string"), want: []string{`fail bound_claims["/kubernetes.io/pod"]`},
			says: "an object",
		},
		"an object in the role": {
			rule: bound(`{"sub":{}}`, "string"), want: []string{`fail bound_claims["sub"]`}, says: "the role's value",
		},
		"a pointer that is not said to be one": {
			rule: `{"role_type":"jwt","bound_audiences":"party","user_claim":"/kubernetes.io/namespace",` + subject + `}`,
			want: []string{"fail user_claim"}, says: "user_claim_json_pointer=true",
		},
		"a user that is not there": {
			rule: `{"role_type":"jwt","bound_audiences":"party","user_claim":"email",` + subject + `}`, want: []string{"fail user_claim"},
		},
		"a user that is no text": {
			rule: `{"role_type":"jwt","bound_audiences":"party","user_claim":"exp",` + subject + `}`, want: []string{"fail user_claim"},
			says: "not a text",
		},
		"groups":        {rule: role(subject + `,"groups_claim":"groups"`), want: []string{"fail groups_claim"}},
		"ended":         {rule: role(subject), at: now.Add(51*60e9 + 1e9), want: []string{"fail exp"}},
		"no leeway":     {rule: role(subject + `,"clock_skew_leeway":-1`), at: now.Add(50*60e9 + 1e9), want: []string{"fail exp"}},
		"a long leeway": {rule: role(subject + `,"clock_skew_leeway":"5m"`), at: now.Add(55 * 60e9)},
		"without an end, late": {
			rule: role(subject), token: map[string]any{"exp": nil, "iat": now.Unix() - 150 - 61, "nbf": nil}, want: []string{"fail exp"},
		},
		"without any time": {
			rule: role(subject), token: map[string]any{"exp": nil, "iat": nil, "nbf": nil}, want: []string{"fail exp"},
		},
		"an odd time":   {rule: role(subject), token: map[string]any{"exp": "x"}, want: []string{"fail exp"}},
		"an odd leeway": {rule: role(`"clock_skew_leeway":"soon"`), want: []string{"error"}, says: "a leeway must be"},
		"not a role":    {rule: `{"bound_audiences":"party"}`, want: []string{"error"}, says: "no user_claim"},
	})
}
