package policy_test

import "testing"

func TestSecret(t *testing.T) {
	t.Parallel()
	const denied = `the injector's policy denies this Secret in namespace "prod"`
	for _, tt := range []struct{ name, policy, secret, want string }{
		{"no rule", `{}`, "app", ""},
		{"denied", `{loginSecrets: {denied: [app]}}`, "app", denied},
		{"denied by a pattern", `{loginSecrets: {denied: ["*.helm.*"]}}`, "sh.helm.release", denied},
		{"others than the denied", `{loginSecrets: {denied: [app]}}`, "app2", ""},
		{"allowed", `{loginSecrets: {allowed: ["*-client"]}}`, "billing-client", ""},
		{"not listed", `{loginSecrets: {allowed: ["*-client"]}}`, "billing", `the injector's policy allows in namespace "prod": *-client`},
		{"denied wins", `{loginSecrets: {allowed: ["*"], denied: [app]}}`, "app", denied},
		{"a namespace adds", `{loginSecrets: {allowed: [a]}, namespaces: [{namespaces: [prod], loginSecrets: {allowed: [b]}}]}`, "b", ""},
		{"another namespace adds nothing", `{loginSecrets: {allowed: [a]}, namespaces: [{namespaces: [test], loginSecrets: ` +
			`{allowed: [b]}}]}`, "b", `the injector's policy allows in namespace "prod": a`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := parse(t, tt.policy).For("prod")
			expect(t, tt.want, r.Secret(tt.secret))
		})
	}
}
