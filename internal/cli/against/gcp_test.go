package against

import (
	"strings"
	"testing"
)

func TestGCP(t *testing.T) {
	t.Parallel()
	provider := func(mapping, condition, more string) string {
		return `{"name":"projects/1/locations/global/workloadIdentityPools/p/providers/x",` +
			`"oidc":{"issuerUri":"%i","allowedAudiences":["party"]},"attributeMapping":{"google.subject":"assertion.sub"` + mapping +
			`},"attributeCondition":"` + condition + `"` + more + `}`
	}
	const subject = "assertion.sub == '%s'"
	named := strings.Replace(provider("", subject, ""), `,"allowedAudiences":["party"]`, "", 1)
	const name = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"
	mapped := func(expression string) string {
		return strings.Replace(provider("", "true", ""), "assertion.sub", expression, 1)
	}
	testRules(t, "gcp", map[string]ruleTest{
		"as it should be":      {rule: provider("", subject, "")},
		"the provider's name":  {rule: named, token: map[string]any{"aud": "https:" + name}},
		"and without a scheme": {rule: named, token: map[string]any{"aud": name}},
		"the namespace":        {rule: provider("", "assertion['kubernetes.io']['namespace'] == 'demo'", "")},
		"a mapped attribute": {
			rule: provider(`,"attribute.ns":"assertion['kubernetes.io'].namespace"`, "attribute.ns in ['a', 'demo']", ""),
		},
		"the subject":          {rule: provider("", "google.subject.startsWith('system:serviceaccount:demo:')", "")},
		"functions of texts":   {rule: provider("", "assertion.sub.split(':')[2] == 'demo'", "")},
		"extract":              {rule: provider("", "assertion.sub.extract('serviceaccount:{ns}:') == 'demo'", "")},
		"extract to the end":   {rule: provider("", "assertion.sub.extract('serviceaccount:demo:{name}') == 'app'", "")},
		"extract nothing":      {rule: provider("", "assertion.sub.extract('user:{name}') == ''", "")},
		"one of the audiences": {rule: provider("", "'party' in assertion.aud", "")},
		"numbers":              {rule: provider("", "assertion.exp > 1700000000 && assertion.exp - assertion.iat <= 3600.0", "")},
		"a condition that is not met": {
			rule: provider("", "assertion.sub == 'x'", ""), want: []string{"fail attributeCondition"}, says: "is false for this token",
		},
		"a condition that fails": {
			rule: provider("", "assertion.email == 'x'", ""), want: []string{"fail attributeCondition"}, says: "no such key",
		},
		"a condition that is no condition": {
			rule: provider("", "assertion.sub", ""), want: []string{"fail attributeCondition"}, says: "neither true nor false",
		},
		"a condition that is no expression": {rule: provider("", "sub =", ""), want: []string{"fail attributeCondition"}},
		"an endless condition": {
			rule: provider("", strings.Repeat("[1,2,3,4,5,6,7,8,9,10].all(a, ", 7)+"true"+strings.Repeat(")", 7), ""),
			want: []string{"fail attributeCondition"}, says: "cost limit exceeded",
		},
		"a long condition": {
			rule: provider("", strings.Repeat("x", 4097), ""), want: []string{"fail attributeCondition"}, says: "longer than 4096",
		},
		"none": {rule: provider("", "", ""), want: []string{"warn attributeCondition"}, says: "every token of the issuer"},
		"no subject": {
			rule: strings.Replace(provider("", subject, ""), "google.subject", "attribute.x", 1), want: []string{"fail attributeMapping"},
		},
		"a subject of nobody": {
			rule: mapped("assertion.email"), want: []string{`fail attributeMapping["google.subject"]`}, says: "no such key",
		},
		"a subject of no text": {
			rule: mapped("assertion.aud"), want: []string{`fail attributeMapping["google.subject"]`}, says: "not a text",
		},
		"a long subject": {
			rule: mapped("assertion.sub"), token: map[string]any{"sub": strings.Repeat("s", 128)},
			want: []string{`fail attributeMapping["google.subject"]`}, says: "128 bytes",
		},
		"a long mapping": {
			rule: mapped(strings.Repeat("x", 2049)), want: []string{`fail attributeMapping["google.subject"]`}, says: "longer than 2048",
		},
		"issuer": {
			rule: provider("", subject, ""), token: map[string]any{"iss": "https://x"}, want: []string{"fail oidc.issuerUri"},
		},
		"audience": {
			rule: provider("", subject, ""), token: map[string]any{"aud": "x"}, want: []string{"fail oidc.allowedAudiences"},
		},
		"not the name": {rule: named, want: []string{"fail oidc.allowedAudiences"}, says: name},
		"no name": {
			rule: `{"oidc":{"issuerUri":"%i"},"attributeMapping":{"google.subject":"assertion.sub"},"attributeCondition":"true"}`,
			want: []string{"unknown oidc.allowedAudiences"},
		},
		"disabled":          {rule: provider("", subject, `,"disabled":true`), want: []string{"fail state"}},
		"deleted":           {rule: provider("", subject, `,"state":"DELETED"`), want: []string{"fail state"}},
		"another algorithm": {rule: provider("", subject, ""), token: map[string]any{"alg": "PS256"}, want: []string{"fail alg"}},
		"a long life": {
			rule: provider("", subject, ""), token: map[string]any{"iat": now.Unix() - 23.5*3600}, want: []string{"fail exp"},
			says: "lasts 24h20m",
		},
		"no beginning": {rule: provider("", subject, ""), token: map[string]any{"iat": nil}, want: []string{"fail iat"}},
		"ended":        {rule: provider("", subject, ""), at: now.Add(51 * 60e9), want: []string{"fail exp"}},
		"for AWS":      {rule: `{"aws":{"accountId":"123456789012"}}`, want: []string{"error"}, says: "it has no oidc.issuerUri"},
	})
}
