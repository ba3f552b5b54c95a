package config_test

import (
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// FuzzParse: no file makes the parser panic, and one that is accepted can be
// used: each of its profiles gives a pod tokens, or the pod's author a reason
// that is not the configuration's fault.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"",
		header,
		header + "maxExpiration: 30m\ndefaults: {expiration: 20m, file-mode: \"0440\", mount-path: /a/b, token-file: t, " +
			"skip-containers: a}\n",
		header + "profiles:\n  p: {audience: vault, env: A, containers: app}\n  q: {audience.a: x, audience.b: y, mount-path.b: /c}\n",
		header + "policy:\n  audiences: {allowed: ['*', 'a?c'], denied: ['(']}\n  namespaces: [{namespaces: ['*'], " +
			"audiences: {allowed: [x]}}]\n  apiServerAudiences: [s]\n",
		header + "policy: {loginAddresses: {allowed: ['https://*.a:*/b?', 'http://[::*]', 'https://10.*', '*'], " +
			"denied: ['https://A.:443/']}}\n",
		header + "policy: {env: {allowed: [A, 'b*'], denied: ['?']}, mountPaths: {allowed: [/a, 'C:\\b', '*'], denied: ['/*/c']}}\n",
		header + "profiles: {p: {audience: a, login: vault, login-address: 'https://a', login-ca-secret: a/b}, q: {login-scope.x: b}}\n" +
			"defaults: {login-mount: k, login-mode: init}\n",
		header + "login: {image: a, resources: {requests: {cpu: 1m}, limits: {memory: 1e99}}, caBundle: '-----BEGIN', env: {A: b}}\n",
		header + "---\na: b\n",
		header + "policy: {audiences: {denied: [!!binary /w==]}}\n",
		"a: &a [*a]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := config.Parse(data, environment())
		if err != nil {
			if cfg != nil || err.Error() == "" {
				t.Errorf("configuration %v beside error %q", cfg, err)
			}
			return
		}
		if cfg.Parser.MaxExpiration < annotations.MinExpiration {
			t.Errorf("maxExpiration %s", cfg.Parser.MaxExpiration)
		}
		allows(cfg, "vault")
		for name, limit := range cfg.Login.Resources.Limits {
			if request := cfg.Login.Resources.Requests[name]; request.Cmp(limit) > 0 {
				t.Errorf("a request of %s %s is over its limit, %s", request.String(), name, limit.String())
			}
		}
		spec, _, errs := cfg.Parser.Parse(annotations.Input{Annotations: annotations.FromMap(
			map[string]string{"oidc-injector.io/audience": "vault"})})
		if len(errs) > 0 || len(spec.Tokens) != 1 {
			t.Errorf("an ordinary pod is refused: %v", errs)
		}
		for name := range cfg.Parser.Profiles {
			cfg.Parser.Parse(annotations.Input{Annotations: annotations.FromMap(
				map[string]string{"oidc-injector.io/profile": name})})
		}
	})
}
