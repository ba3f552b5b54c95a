package against

import "testing"

func TestAzure(t *testing.T) {
	t.Parallel()
	const good = `{"name":"a","issuer":"%i","subject":"%s","audiences":["party"]}`
	const other = `{"name":"b","issuer":"%i","subject":"system:serviceaccount:other:app","audiences":["party"]}`
	testRules(t, "azure", map[string]ruleTest{
		"as it should be":       {rule: good},
		"a list":                {rule: "[" + other + "," + good + "]"},
		"of a managed identity": {rule: `{"name":"a","properties":{"issuer":"%i","subject":"%s","audiences":["party"]}}`},
		"the default audience":  {rule: `{"issuer":"%i","subject":"%s"}`, token: map[string]any{"aud": "api://AzureADTokenExchange"}},
		"subject":               {rule: other, want: []string{`fail credential "b": subject`}, says: "patterns are not known"},
		"a pattern": {
			rule: `{"issuer":"%i","subject":"system:serviceaccount:demo:*","audiences":["party"]}`, want: []string{"fail subject"},
		},
		"upper case": {rule: `{"issuer":"%i","subject":"%s","audiences":["Party"]}`, want: []string{"fail audiences"}},
		"a slash more": {
			rule: `{"issuer":"%i/","subject":"%s","audiences":["party"]}`, want: []string{"fail issuer"}, says: "with or without a slash",
		},
		"the one that is nearest": {
			rule: `[{"name":"c","issuer":"x","subject":"y","audiences":["z"]},` + other + "]",
			want: []string{`fail credential "b": subject`},
		},
		"several audiences": {
			rule: good, token: map[string]any{"aud": []string{"party", "x"}}, want: []string{`fail credential "a": audiences`},
			says: "Microsoft takes one",
		},
		"an expression": {
			rule: `{"issuer":"%i","claimsMatchingExpression":{"value":"claims['sub'] matches 'x'"},"audiences":["party"]}`,
			want: []string{"unknown claimsMatchingExpression"},
		},
		"another algorithm":        {rule: good, token: map[string]any{"alg": "ES256"}, want: []string{"warn alg"}},
		"ended":                    {rule: good, at: now.Add(51 * 60e9), want: []string{"fail exp"}},
		"not a credential":         {rule: `{"name":"a"}`, want: []string{"error"}, says: "it has no issuer"},
		"a list without any":       {rule: "[]", want: []string{"error"}, says: "holds no"},
		"a list of something else": {rule: "[7]", want: []string{"error"}, says: "in JSON"},
	})
}
