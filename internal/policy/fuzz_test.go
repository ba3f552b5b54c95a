package policy_test

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/endpoint"
	"github.com/oidc-injector/oidc-injector/internal/policy"
)

// FuzzRules: no policy that is accepted makes a judgement panic, each refusal has
// one of the causes, and what a denied list names stays denied, however it is
// written.
func FuzzRules(f *testing.F) {
	for _, seed := range [][4]string{
		{"vault", "*", "ns-*", "vault"},
		{"https://10.*", "https://*.example.com:8200/a?", "*", "https://10.1.2.3"},
		{"BASH_ENV", "*_TOKEN", "prod", "bash_env"},
		{"/var/run", `C:\mnt`, "p?od", "/run/a"},
		{"*", "", "", `D:\a`},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, allowed, denied, namespaces, value string) {
		p, ok := accepted(allowed, denied, namespaces)
		if !ok {
			return
		}
		for _, namespace := range []string{"prod", namespaces} {
			for what, err := range judgements(p.For(namespace), value) {
				if err != nil && !errors.Is(err, policy.ErrDenied) && !errors.Is(err, policy.ErrReserved) &&
					!errors.Is(err, policy.ErrNotListed) {
					t.Errorf("%s %q is refused without a cause: %v", what, value, err)
				}
			}
		}
		rules := p.For("prod")
		if (rules.Env(value) == nil) != (rules.Env(strings.ToUpper(value)) == nil) {
			t.Errorf("the case of variable %q counts", value)
		}
		if below, found := strings.CutPrefix(value, "/run/"); found &&
			(rules.MountPath(value, false) == nil) != (rules.MountPath("/var/run/"+below, false) == nil) {
			t.Errorf("%q is not what it is in /var/run", value)
		}
		checkDenied(t, value)
	})
}

// checkDenied wants what a denied list names to be denied.
func checkDenied(t *testing.T, value string) {
	t.Helper()
	rule := policy.Rule{Denied: []string{value}}
	address, err := endpoint.Parse(value)
	for what, spec := range map[string]policy.Spec{
		"audience": {Lists: policy.Lists{Audiences: rule}}, "address": {Lists: policy.Lists{LoginAddresses: rule}},
		"secret": {Lists: policy.Lists{LoginSecrets: rule}}, "variable": {Lists: policy.Lists{Env: rule}},
		"directory": {Lists: policy.Lists{MountPaths: rule}},
	} {
		if len(spec.Validate(field.NewPath("policy"))) > 0 || what == "address" && err != nil || what == "directory" &&
			!strings.HasPrefix(value, "/") {
			continue
		}
		p := policy.New(spec, nil)
		r := p.For("prod")
		refusal := map[string]func() error{
			"audience": func() error { return r.Audience(value) }, "address": func() error { return r.Address(address, true) },
			"variable": func() error { return r.Env(value) }, "secret": func() error { return r.Secret(value) },
			"directory": func() error { return r.MountPath(value, false) },
		}[what]()
		if !errors.Is(refusal, policy.ErrDenied) {
			t.Errorf("%s %q is denied by its name, and still: %v", what, value, refusal)
		}
	}
}

// accepted compiles a policy that has the same patterns for everything that takes
// them, overall and for some namespaces.
func accepted(allowed, denied, namespaces string) (*policy.Policy, bool) {
	only := func(list string) []string {
		if list == "" {
			return nil
		}
		return []string{list}
	}
	rule := policy.Rule{Allowed: only(allowed), Denied: only(denied)}
	var spec policy.Spec
	found := false
	for _, set := range []func(*policy.Spec){
		func(s *policy.Spec) { s.Audiences = rule },
		func(s *policy.Spec) { s.LoginAddresses = rule },
		func(s *policy.Spec) { s.LoginSecrets = rule },
		func(s *policy.Spec) { s.Env = rule },
		func(s *policy.Spec) { s.MountPaths = rule },
		func(s *policy.Spec) {
			s.Namespaces = []policy.NamespaceRule{{Namespaces: only(namespaces), Lists: s.Lists}}
		},
	} {
		next := spec
		set(&next)
		if len(next.Validate(field.NewPath("policy"))) == 0 {
			spec, found = next, true
		}
	}
	p := policy.New(spec, only(allowed))
	return &p, found
}

// judgements are all that can be said of a value.
func judgements(r policy.Rules, value string) map[string]error {
	all := map[string]error{"audience": r.Audience(value), "variable": r.Env(value), "secret": r.Secret(value)}
	if strings.HasPrefix(value, "/") {
		all["directory"] = r.MountPath(value, false)
		all["directory of Windows"] = r.MountPath(value, true)
	}
	if u, err := endpoint.Parse(value); err == nil {
		all["address"] = r.Address(u, true)
	}
	return all
}
