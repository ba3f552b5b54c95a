package policy_test

import (
	"testing"
)

func TestAudience(t *testing.T) {
	t.Parallel()
	const (
		apiServer = "this is an audience of the API server itself, which the injector's policy does not allow by name"
		denied    = `the injector's policy denies this audience in namespace "prod"`
	)
	for _, tt := range []struct{ name, policy, namespace, audience, want string }{
		{"no policy", `{}`, "prod", "anything", ""},
		{"no policy, the API server's own name", `{}`, "prod", "https://kubernetes.default.svc.cluster.local", apiServer},
		{"no policy, the API server's own name without a scheme", `{}`, "prod", "kubernetes.default.svc", apiServer},
		{"empty lists", `{audiences: {allowed: [], denied: []}}`, "prod", "anything", ""},

		{"allowed literally", `{audiences: {allowed: [vault]}}`, "prod", "vault", ""},
		{
			"not in the list", `{audiences: {allowed: [vault, "sts.*"]}}`, "prod", "other",
			`the injector's policy allows in namespace "prod": vault, sts.*`,
		},
		{"the case counts", `{audiences: {allowed: [vault]}}`, "prod", "Vault", `the injector's policy allows in namespace "prod": vault`},
		{
			"a part is not the whole", `{audiences: {allowed: [vault]}}`, "prod", "vault2",
			`the injector's policy allows in namespace "prod": vault`,
		},

		{"a star stands for any text", `{audiences: {allowed: ["https://*.example.com/*"]}}`, "prod", "https://a.b.example.com/x/y", ""},
		{"a star stands for nothing, too", `{audiences: {allowed: ["vault*"]}}`, "prod", "vault", ""},
		{"a star stands for line breaks", `{audiences: {denied: ["a*b"]}}`, "prod", "a\nb", denied},
		{"a question mark stands for one character", `{audiences: {allowed: ["vault-?"]}}`, "prod", "vault-ä", ""},
		{
			"a question mark does not stand for none", `{audiences: {allowed: ["vault-?"]}}`, "prod", "vault-",
			`the injector's policy allows in namespace "prod": vault-?`,
		},
		{"a dot is a dot", `{audiences: {allowed: ["a.c"]}}`, "prod", "abc", `the injector's policy allows in namespace "prod": a.c`},
		{"other signs of regular expressions mean themselves", `{audiences: {allowed: ['^(a|b)[c]+$\']}}`, "prod", `^(a|b)[c]+$\`, ""},

		{"denied", `{audiences: {denied: ["*.amazonaws.com"]}}`, "prod", "sts.amazonaws.com", denied},
		{"others than the denied", `{audiences: {denied: ["*.amazonaws.com"]}}`, "prod", "vault", ""},
		{"denied wins over allowed", `{audiences: {allowed: ["*"], denied: [vault]}}`, "prod", "vault", denied},

		{
			"the lists of namespaces add up", `{audiences: {allowed: [vault]}, namespaces: [` +
				`{namespaces: ["pro*"], audiences: {allowed: [sts.amazonaws.com]}}, {namespaces: [prod], audiences: {allowed: [azure]}}]}`,
			"prod", "other", `the injector's policy allows in namespace "prod": vault, sts.amazonaws.com, azure`,
		},
		{
			"what all namespaces may, one with a rule may, too",
			`{audiences: {allowed: [vault]}, namespaces: [{namespaces: [prod], audiences: {allowed: [aws]}}]}`,
			"prod", "vault", "",
		},
		{
			"another namespace's list does not count",
			`{audiences: {allowed: [vault]}, namespaces: [{namespaces: [test], audiences: {allowed: [aws]}}]}`,
			"prod", "aws", `the injector's policy allows in namespace "prod": vault`,
		},
		{
			"a rule limits its namespace only", `{namespaces: [{namespaces: [test], audiences: {allowed: [vault]}}]}`, "prod", "other", "",
		},
		{
			"what all are denied, a namespace cannot allow",
			`{audiences: {denied: [vault]}, namespaces: [{namespaces: [prod], audiences: {allowed: [vault]}}]}`,
			"prod", "vault", denied,
		},
		{
			"denied in one namespace", `{namespaces: [{namespaces: ["*"], audiences: {denied: [vault]}}]}`, "prod", "vault", denied,
		},

		{
			"a wildcard does not let the API server's names through", `{audiences: {allowed: ["*"]}}`, "prod",
			"https://kubernetes.default.svc", apiServer,
		},
		{"a literal name does", `{audiences: {allowed: ["https://kubernetes.default.svc"]}}`, "prod", "https://kubernetes.default.svc", ""},
		{
			"for the namespace that it stands for",
			`{namespaces: [{namespaces: [prod], audiences: {allowed: ["https://kubernetes.default.svc"]}}]}`,
			"prod", "https://kubernetes.default.svc", "",
		},
		{
			"and for no other", `{namespaces: [{namespaces: [test], audiences: {allowed: ["https://kubernetes.default.svc"]}}]}`,
			"prod", "https://kubernetes.default.svc", apiServer,
		},
		{
			"unless it is denied", `{audiences: {allowed: ["https://kubernetes"], denied: ["*kubernetes*"]}}`, "prod", "https://kubernetes",
			denied,
		},
		{
			"an API server's audience of the file", `{apiServerAudiences: ["https://issuer.example"]}`, "prod", "https://issuer.example",
			apiServer,
		},
		{"an API server's audience of the program's own token", `{}`, "prod", "https://own.example", apiServer},
		{
			"an API server's audience by a pattern", `{apiServerAudiences: ["https://*.issuer.example"]}`, "prod",
			"https://a.issuer.example",
			apiServer,
		},
		{"a cluster domain of its own", `{}`, "prod", "https://kubernetes.default.svc.corp.example", apiServer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := parse(t, tt.policy, "https://own.example").For(tt.namespace)
			expect(t, tt.want, r.Audience(tt.audience))
		})
	}
}
