package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

const bindings = header + `
profiles:
  vault: {audience: vault}
bindings:
- name: reports
  namespaces: [shop-*, reports]
  serviceAccounts: [reports]
  podLabels: {app: grafana}
  annotations: {profile: vault, aws-role-arn: "arn:aws:iam::123456789012:role/reports"}
- name: all
  namespaces: ["*"]
  serviceAccounts: ["*"]
  annotations: {audience.mesh: mesh}
`

func TestBindings(t *testing.T) {
	t.Parallel()
	cfg := mustParse(t, bindings)
	grafana := annotations.FromMap(map[string]string{"app": "grafana"})
	for _, tt := range []struct {
		namespace, serviceAccount string
		labels                    annotations.List
		want                      []string
	}{
		{"shop-eu", "reports", grafana, []string{"reports", "all"}},
		{"shop-eu", "reports", nil, []string{"all"}},
		{"shop-eu", "other", grafana, []string{"all"}},
	} {
		var got []string
		for _, bound := range cfg.Bindings.For(tt.namespace, tt.serviceAccount, tt.labels) {
			got = append(got, bound.Name)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s/%s (-want +got):\n%s", tt.namespace, tt.serviceAccount, diff)
		}
	}
	if diff := cmp.Diff([]string{"reports", "all"}, cfg.Bindings.MayMatch("reports", grafana)); diff != "" {
		t.Errorf("by metadata (-want +got):\n%s", diff)
	}
	if got := cfg.Bindings.MatchCondition("p"); !strings.Contains(got, `matches("^(([^/]*)/([^/]*))$")`) {
		t.Errorf("condition %s", got)
	}
}

func TestBindingErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []string
	}{
		"names": {
			"[{name: A, namespaces: [a], serviceAccounts: [a], annotations: {audience: a}}, " +
				"{name: b, namespaces: [a], serviceAccounts: [b], annotations: {audience: a}}, " +
				"{name: b, namespaces: [a], serviceAccounts: [c], annotations: {audience: a}}, " +
				"{name: " + strings.Repeat("c", 55) + ", namespaces: [a], serviceAccounts: [d], annotations: {audience: a}}, " +
				"{name: " + strings.Repeat("d", 56) + ", namespaces: [a], serviceAccounts: [e], annotations: {audience: a}}]",
			[]string{
				`bindings[0].name: Invalid value: "A": a lowercase RFC 1123 label`,
				`bindings[2].name: Duplicate value: "b"`,
				"bindings[4].name: Too long: may not be more than 55 bytes",
			},
		},
		"nothing": {"[{name: a}]", []string{
			`bindings[0].namespaces: Required value: names or patterns; "*" stands for all`,
			`bindings[0].serviceAccounts: Required value: names or patterns; "*" stands for all`,
			`bindings[a].annotations: Required value: no token: say audience, or name a profile or a provider`,
		}},
		"an unknown field": {
			"[{name: a, namespace: [a], serviceAccounts: [a], annotations: {audience: a}}]", []string{
				"bindings[0].namespace: unknown field", `bindings[0].namespaces: Required value: names or patterns; "*" stands for all`,
			},
		},
		"a login without an image": {
			"[{name: a, namespaces: [shop], serviceAccounts: ['*'], " +
				"annotations: {audience: a, login: vault, login-address: 'https://v'}}]",
			[]string{"login.image: Required value: binding a asks for a login, and without an image all of its pods would be denied"},
		},
		"contradictions": {
			"[{name: a, namespaces: [shop], serviceAccounts: ['*'], annotations: {audience: a}}, " +
				"{name: b, namespaces: ['sh*'], serviceAccounts: [app], annotations: {audience: b}}, " +
				"{name: c, namespaces: [other], serviceAccounts: [app], annotations: {audience: c}}]",
			[]string{`bindings[b].annotations[audience]: Invalid value: "b": binding a says "a": audience of token "default" ` +
				"(bindings a and b can match the same pod)"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse([]byte(header+"bindings: "+test.text), config.Environment{Prefix: annotations.DefaultPrefix})
			invalid, ok := errors.AsType[*config.InvalidError](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			var got []string
			for _, problem := range invalid.Problems {
				before, _, _ := strings.Cut(problem, " must consist")
				got = append(got, before)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// A binding that gives what the policy of the same file forbids in each of its namespaces
// is an error; where some namespace may have it, only pods can be denied.
func TestBindingsAndPolicy(t *testing.T) {
	t.Parallel()
	const (
		aws     = "aws-role-arn: 'arn:aws:iam::123456789012:role/app'"
		vault   = "audience: vault"
		minio   = "minio-audience: minio, minio-role-arn: 'arn:minio:iam:::role/x', minio-endpoint: 'https://minio.example'"
		login   = "audience: vault, login: vault, login-role: app, login-address: 'https://vault.example'"
		refused = "pods of binding b that say nothing else would all be denied)"
	)
	for name, test := range map[string]struct {
		namespaces, annotations, policy string
		want                            []string
		note                            string
	}{
		"an audience that is denied": {
			"[a]", vault, "audiences: {denied: [vault]}",
			[]string{`bindings[b].annotations[audience]: Forbidden: audience "vault": the injector's policy denies this audience in ` +
				`namespace "a" (rule policy-audience: ` + refused},
			"",
		},
		"an audience that is not listed": {
			"['team-*', a]", vault, "audiences: {allowed: [aws]}",
			[]string{`bindings[b].annotations[audience]: Forbidden: audience "vault": the injector's policy allows in namespace ` +
				`"team-*": aws (rule policy-audience: ` + refused},
			"",
		},
		"the API server's": {
			"['*']", "audience: kubernetes.default.svc", "apiServerAudiences: [other]",
			[]string{`bindings[b].annotations[audience]: Forbidden: audience "kubernetes.default.svc": this is an audience of the API ` +
				"server itself, which the injector's policy does not allow by name (rule policy-audience: " + refused},
			"",
		},
		"one the configuration calls the API server's": {
			"[a]", vault, "apiServerAudiences: [vault]",
			[]string{`bindings[b].annotations[audience]: Forbidden: audience "vault": this is an audience of the API ` +
				"server itself, which the injector's policy does not allow by name (rule policy-audience: " + refused},
			"",
		},
		"the audience of a provider": {
			"[a]", aws, "audiences: {allowed: [vault]}",
			[]string{`bindings[b].annotations[aws-role-arn]: Forbidden: audience "sts.amazonaws.com": the injector's policy allows in ` +
				`namespace "a": vault (rule policy-audience: ` + refused},
			"",
		},
		"of a profile": {
			"[a]", "profile: p", "audiences: {denied: [profiled]}",
			[]string{`bindings[b].annotations[profile]: Forbidden: audience "profiled": the injector's policy denies this audience in ` +
				`namespace "a" (rule policy-audience: ` + refused},
			"",
		},
		"the address of a provider": {
			"[a]", minio, "loginAddresses: {denied: ['https://minio.example']}",
			[]string{`bindings[b].annotations[minio-endpoint]: Forbidden: address "https://minio.example": the injector's policy denies ` +
				`this address in namespace "a" (rule policy-address: ` + refused},
			"",
		},
		"the address of a login": {
			"[a]", login, "loginAddresses: {allowed: ['https://other.example']}",
			[]string{`bindings[b].annotations[login-address]: Forbidden: address "https://vault.example": the injector's policy allows ` +
				`in namespace "a": https://other.example (rule policy-address: ` + refused},
			"",
		},
		"several": {
			"[a]", "audience: vault, audience.m: mesh", "audiences: {denied: [vault, mesh]}",
			[]string{
				`bindings[b].annotations[audience]: Forbidden: audience "vault": the injector's policy denies this audience in ` +
					`namespace "a" (rule policy-audience: ` + refused,
				`bindings[b].annotations[audience.m]: Forbidden: audience "mesh": the injector's policy denies this audience in ` +
					`namespace "a" (rule policy-audience: ` + refused,
			},
			"",
		},
		"one here and one there": {
			"[c, d]", "audience: vault, audience.m: mesh",
			"namespaces: [{namespaces: [c], audiences: {denied: [vault]}}, {namespaces: [d], audiences: {denied: [mesh]}}]",
			[]string{
				`bindings[b].annotations[audience]: Forbidden: audience "vault": the injector's policy denies this audience in ` +
					`namespace "c" (rule policy-audience: ` + refused,
				`bindings[b].annotations[audience.m]: Forbidden: audience "mesh": the injector's policy denies this audience in ` +
					`namespace "d" (rule policy-audience: ` + refused,
			},
			"",
		},
		"allowed in some": {
			"[c, d]", vault, "audiences: {allowed: [aws]}, namespaces: [{namespaces: [d], audiences: {allowed: [vault]}}]", nil,
			`binding b: pods in c that say nothing else will be denied: bindings[b].annotations[audience]: Forbidden: audience "vault": ` +
				`the injector's policy allows in namespace "c": aws`,
		},
		"allowed in some of a pattern": {
			"['team-*']", vault, "audiences: {allowed: [aws]}, namespaces: [{namespaces: [team-a], audiences: {allowed: [vault]}}]",
			nil, "",
		},
		"an audience that depends on the pod": {
			"[a]", "corp-tenant: acme", "audiences: {allowed: [vault]}", nil, "",
		},
		"what only pods may not choose": {
			"[a]", "audience: vault, mount-path: /etc/x, env: PYTHONPATH", "mountPaths: {allowed: [/run]}", nil, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Parse([]byte(header+"login: {image: x}\nprofiles: {p: {audience: profiled}, q: {corp-tenant: acme}}\n"+
				"providers: {corp: {description: d, audience: 'https://${pod.namespace}.example/${tenant}', "+
				"parameters: [{name: tenant, description: d, required: true}]}}\n"+
				"bindings: [{name: b, namespaces: "+test.namespaces+", serviceAccounts: ['*'], annotations: {"+test.annotations+"}}]\n"+
				"policy: {"+test.policy+"}\n"), environment())
			var got []string
			if invalid, ok := errors.AsType[*config.InvalidError](err); ok {
				got = invalid.Problems
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if cfg != nil {
				if notes := strings.Join(cfg.Bindings.Notes(), "; "); notes != test.note {
					t.Errorf("notes %q: want %q", notes, test.note)
				}
			}
		})
	}
}

// What an API server's audiences turn out to be later does not make a file wrong.
func TestBindingsAndAudiencesOfTheAPIServer(t *testing.T) {
	t.Parallel()
	store := follow(t, header+"bindings: [{name: b, namespaces: [a], serviceAccounts: [a], annotations: {audience: cluster}}]\n")
	if !store.AddAPIServerAudiences([]string{"cluster"}) || store.allows("cluster") {
		t.Error("the audience of the API server is allowed")
	}
}

// A file of many bindings is checked in bounded work, whatever they match.
func TestBindingsLimit(t *testing.T) {
	t.Parallel()
	list := func(count int, namespace string) string {
		var b strings.Builder
		b.WriteString(header + "bindings:\n")
		for i := range count {
			fmt.Fprintf(&b, "- {name: b%d, namespaces: [%q], serviceAccounts: ['*'], annotations: {audience.t%d: a}}\n", i, namespace, i%30)
		}
		return b.String()
	}
	for _, tt := range []struct {
		count     int
		namespace string
		want      string
	}{
		{300, "a*", "more than 20000 pairs of bindings can match the same pod"},
		{5001, "a", "bindings: Too many: 5001: must have at most 5000 items"},
	} {
		_, err := config.Parse([]byte(list(tt.count, tt.namespace)), config.Environment{Prefix: annotations.DefaultPrefix})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d bindings: error %.300v", tt.count, err)
		}
	}
	mustParse(t, list(150, "*"))
}
