package chart

import (
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// badConfigs are configurations that nothing must accept. They are what is below the value
// config, and the same in the configuration file.
var badConfigs = map[string]string{
	"a duration in days":                   "maxExpiration: 2d",
	"a maximum below the minimum":          "maxExpiration: 5m",
	"no duration":                          "maxExpiration: '3600'",
	"a short default":                      "defaults: {expiration: 1s}",
	"a default above the maximum":          "maxExpiration: 1h\ndefaults: {expiration: 2h}",
	"a default in seconds above it":        "maxExpiration: 1h\ndefaults: {expiration: '3601'}",
	"a default that is no duration":        "defaults: {expiration: soon}",
	"a default above the built-in maximum": "defaults: {expiration: 25h}",
	"a short expiration in a profile":      "profiles: {vault: {audience: vault, expiration: 1s}}",
	"a named one":                          "profiles: {vault: {audience.a: vault, expiration.a: 599}}",
	"an empty audience":                    "profiles: {vault: {audience: ''}}",
	"an audience with a space":             "profiles: {vault: {audience: ' vault'}}",
	"a profile's name":                     "profiles: {Vault_1: {audience: vault}}",
	"a profile of nothing":                 "profiles: {vault: {}}",
	"a mistyped key of a profile":          "profiles: {vault: {audiense: vault}}",
	"a space in a list":                    "policy: {audiences: {allowed: [' vault']}}",
	"an empty pattern":                     "policy: {audiences: {denied: ['']}}",
	"a line end in a list":                 `policy: {audiences: {allowed: ["a\nb"]}}`,
	"an address without a scheme":          "policy: {loginAddresses: {allowed: ['vault.example.com:8200']}}",
	"an address of another scheme":         "policy: {loginAddresses: {denied: ['ftp://vault.example.com']}}",
	"a relative directory":                 "policy: {mountPaths: {allowed: [tokens]}}",
	"an address for a namespace":           "policy: {namespaces: [{namespaces: [a], loginAddresses: {allowed: [vault]}}]}",
	"a namespace in capitals":              "policy: {namespaces: [{namespaces: [A], audiences: {allowed: [vault]}}]}",
	"a rule of nothing":                    "policy: {namespaces: [{namespaces: [a]}]}",
	"an API server's audience":             "policy: {apiServerAudiences: [' a']}",
	"an action in small letters":           "policy: {workloads: deny}",
	"an unknown field":                     "policy: {workload: Deny}",
	"a template's path":                    "podTemplates: [{apiGroup: a.b, resource: c, path: spec..template}]",
	"a kind for a resource":                "podTemplates: [{apiGroup: a.b, resource: Rollout, path: spec.template}]",
}

// TestProgramTakesWhatSchemaTakes tries bad configurations with both: a release that was
// installed must not have a webhook that does not start.
func TestProgramTakesWhatSchemaTakes(t *testing.T) {
	t.Parallel()
	for name, text := range badConfigs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := config.Parse([]byte(configHead+text), config.Environment{Prefix: annotations.DefaultPrefix}); err == nil {
				t.Error("the program accepts it")
			}
			values := "config:\n  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n"
			for _, h := range helms {
				if _, err := template(t, h, values); err == nil {
					t.Errorf("%s accepts it", h.Name)
				}
			}
		})
	}
	for _, bundle := range []string{"none", "-----BEGIN CERTIFICATE-----"} {
		if _, err := config.Parse([]byte(configHead+"login: {image: x, caBundle: "+bundle+"}"), config.Environment{}); err == nil {
			t.Errorf("the program accepts the bundle %q", bundle)
		}
		if _, err := template(t, helms[0], "login: {caBundle: "+bundle+"}"); err == nil {
			t.Errorf("the chart accepts the bundle %q", bundle)
		}
	}
}
