package against

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func TestAWS(t *testing.T) {
	t.Parallel()
	statement := func(effect, condition string) string {
		return `{"Effect":"` + effect + `","Action":"sts:AssumeRoleWithWebIdentity",` +
			`"Principal":{"Federated":"arn:aws:iam::123456789012:oidc-provider/%h"},"Condition":` + condition + `}`
	}
	policy := func(statements ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	}
	allow := func(condition string) string { return policy(statement("Allow", condition)) }
	const good = `{"StringEquals":{"%h:aud":"party","%h:sub":"%s"}}`
	const aud, sub = `Statement[0].Condition.StringEquals["issuer.example.com/cluster-a:aud"]`,
		`Statement[0].Condition.StringEquals["issuer.example.com/cluster-a:sub"]`
	const like = `Statement[0].Condition.StringLike["issuer.example.com/cluster-a:sub"]`
	encoded, err := json.Marshal(url.QueryEscape(allow(good)))
	if err != nil {
		t.Fatal(err)
	}
	testRules(t, "aws-trust", map[string]ruleTest{
		"as it should be":       {rule: allow(good)},
		"a single statement":    {rule: `{"Statement":` + statement("Allow", good) + `}`},
		"an answer of get-role": {rule: `{"Role":{"RoleName":"x","AssumeRolePolicyDocument":` + allow(good) + `}}`},
		"an answer of the API": {
			rule: strings.NewReplacer("%25h", "issuer.example.com/cluster-a", "%25s",
				testSubject).Replace(`{"Role":{"AssumeRolePolicyDocument":` + string(encoded) + `}}`),
		},
		"a pattern":          {rule: allow(`{"StringLike":{"%h:sub":"system:serviceaccount:*:ap?"}}`)},
		"one of a list":      {rule: allow(`{"StringEquals":{"%h:sub":["x","%s"]}}`)},
		"keys in upper case": {rule: allow(`{"StringEquals":{"ISSUER.example.com/cluster-a:SUB":"%s"}}`)},
		"any of the audiences": {
			rule:  allow(`{"ForAnyValue:StringEquals":{"%h:aud":"party"},"StringEquals":{"%h:sub":"%s"}}`),
			token: map[string]any{"aud": []string{"x", "party"}},
			want:  []string{"warn aud"},
		},
		"all of the audiences": {
			rule:  allow(`{"ForAllValues:StringEquals":{"%h:aud":"party"},"StringEquals":{"%h:sub":"%s"}}`),
			token: map[string]any{"aud": []string{"x", "party"}},
			want:  []string{`fail Statement[0].Condition.ForAllValues:StringEquals["issuer.example.com/cluster-a:aud"]`, "warn aud"},
		},
		"azp is the audience": {
			rule:  allow(`{"StringEquals":{"%h:aud":"client","%h:oaud":"party","%h:sub":"%s"}}`),
			token: map[string]any{"azp": "client"},
		},
		"a second statement": {rule: policy(statement("Allow", `{"StringEquals":{"%h:sub":"x","%h:aud":"y"}}`), statement("Allow", good))},
		"other actions":      {rule: policy(`{"Effect":"Deny","Action":"sts:TagSession","Principal":"*"}`, statement("Allow", good))},
		"any action of STS":  {rule: strings.Replace(allow(good), "sts:AssumeRoleWithWebIdentity", "sts:*", 1)},
		"China":              {rule: strings.Replace(allow(good), "arn:aws:", "arn:aws-cn:", 1)},
		"if it exists":       {rule: allow(`{"StringEqualsIfExists":{"%h:oaud":"x"},"StringEquals":{"%h:sub":"%s"}}`)},
		"not another":        {rule: allow(`{"StringNotEquals":{"%h:aud":"x"},"StringEquals":{"%h:sub":"%s"}}`)},
		"what the request has": {
			rule: allow(`{"StringEquals":{"%h:sub":"%s"},"StringLike":{"sts:RoleSessionName":"x*"}}`),
			want: []string{`unknown Statement[0].Condition.StringLike["sts:RoleSessionName"]`},
		},
		"a variable": {rule: allow(`{"StringEquals":{"%h:sub":"${aws:username}"}}`), want: []string{"unknown " + sub}},

		"subject": {
			rule: allow(`{"StringEquals":{"%h:sub":"system:serviceaccount:demo:other"}}`), want: []string{"fail " + sub},
			says: "demo:other",
		},
		"audience": {
			rule: allow(good), token: map[string]any{"aud": "sts.amazonaws.com"}, want: []string{"fail " + aud}, says: "annotate the pod",
		},
		"none": {rule: allow(good), token: map[string]any{"aud": nil}, want: []string{"fail " + aud}},
		"a pattern as a text": {
			rule: allow(`{"StringEquals":{"%h:sub":"system:serviceaccount:demo:*"}}`), want: []string{"fail " + sub}, says: "StringLike",
		},
		"a pattern that does not match": {
			rule: allow(`{"StringLike":{"%h:sub":"system:serviceaccount:demo:ap"}}`), want: []string{"fail " + like},
		},
		"a denial": {
			rule: policy(statement("Allow", good), statement("Deny", `{"StringEquals":{"%h:aud":"party"}}`)),
			want: []string{"fail Statement[1].Effect"},
		},
		"a denial of others": {
			rule: policy(statement("Allow", good), statement("Deny", `{"StringNotEquals":{"%h:aud":"party"}}`)),
		},
		"not bound": {
			rule: allow(`{"StringEquals":{"%h:aud":"party"}}`), want: []string{"warn Statement[0].Condition"},
			says: "issuer.example.com/cluster-a:sub",
		},
		"another issuer": {
			rule: strings.ReplaceAll(allow(good), "%h", "oidc.example.com"), says: "is about another provider",
			want: []string{
				"fail Statement[0].Principal.Federated", `fail Statement[0].Condition.StringEquals["oidc.example.com:aud"]`,
				`fail Statement[0].Condition.StringEquals["oidc.example.com:sub"]`, "warn Statement[0].Condition",
			},
		},
		"the issuer with its scheme": {
			rule: strings.Replace(allow(good), "oidc-provider/%h", "oidc-provider/%i", 1),
			want: []string{"fail Statement[0].Principal.Federated"},
		},
		"everybody": {
			rule: strings.Replace(allow(good), `{"Federated":"arn:aws:iam::123456789012:oidc-provider/%h"}`, `"*"`, 1),
			want: []string{"fail Statement[0].Principal.Federated"}, says: "stands for no",
		},
		"another action": {rule: strings.Replace(allow(good), "WithWebIdentity", "", 1), want: []string{"fail Statement"}},
		"ended":          {rule: allow(good), at: now.Add(51 * 60e9), want: []string{"fail exp"}},
		"no statement":   {rule: `{"Version":"2012-10-17"}`, want: []string{"error"}, says: "no Statement"},
	})
}
