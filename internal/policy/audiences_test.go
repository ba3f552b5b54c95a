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

// TestForAny: a refusal holds in each namespace of a pattern.
func TestForAny(t *testing.T) {
	t.Parallel()
	const (
		denied = `the injector's policy denies this audience in namespace "team-*"`
		only   = `the injector's policy allows in namespace "team-*": `
	)
	for _, tt := range []struct{ name, policy, namespaces, audience, want string }{
		{"denied everywhere", `{audiences: {denied: [vault]}}`, "team-*", "vault", denied},
		{"denied in all", `{namespaces: [{namespaces: [other, "te*"], audiences: {denied: [vault]}}]}`, "team-*", "vault", denied},
		{"denied in the same", `{namespaces: [{namespaces: ["team-*"], audiences: {denied: [vault]}}]}`, "team-*", "vault", denied},
		{"denied in one", `{namespaces: [{namespaces: [team-a], audiences: {denied: [vault]}}]}`, "team-*", "vault", ""},
		{"denied in some", `{namespaces: [{namespaces: ["team-?"], audiences: {denied: [vault]}}]}`, "team-*", "vault", ""},
		{"denied in others", `{namespaces: [{namespaces: ["a*"], audiences: {denied: [vault]}}]}`, "team-*", "vault", ""},
		{"allowed nowhere", `{audiences: {allowed: [aws]}}`, "team-*", "vault", only + "aws"},
		{
			"allowed in others", `{audiences: {allowed: [aws]}, namespaces: [{namespaces: [a], audiences: {allowed: [vault]}}]}`,
			"team-*", "vault", only + "aws",
		},
		{
			"allowed in one", `{audiences: {allowed: [aws]}, namespaces: [{namespaces: [team-a], audiences: {allowed: ["v*"]}}]}`,
			"team-*", "vault", "",
		},
		{"others allowed in one", `{namespaces: [{namespaces: [team-a], audiences: {allowed: [aws]}}]}`, "team-*", "vault", ""},
		{
			"others allowed in all", `{namespaces: [{namespaces: ["*"], audiences: {allowed: [aws]}}]}`, "team-*", "vault",
			only + "aws",
		},
		{
			"the API server's", `{}`, "team-*", "https://kubernetes.default.svc",
			"this is an audience of the API server itself, which the injector's policy does not allow by name",
		},
		{
			"the API server's by name in one",
			`{namespaces: [{namespaces: [team-a], audiences: {allowed: ["https://kubernetes.default.svc"]}}]}`,
			"team-*", "https://kubernetes.default.svc", "",
		},
		{
			"a name is no pattern", `{namespaces: [{namespaces: [team-a], audiences: {denied: [vault]}}]}`, "team-a", "vault",
			`the injector's policy denies this audience in namespace "team-a"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.want, parse(t, tt.policy).ForAny(tt.namespaces).Audience(tt.audience))
		})
	}
}
