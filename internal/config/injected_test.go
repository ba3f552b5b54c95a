package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/config"
)

func TestInjectedContainers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		has  []string
		not  []string
	}{
		"none are the built-in ones": {
			"",
			[]string{"istio-proxy", "linkerd-init", "opentelemetry-auto-instrumentation-java"},
			[]string{"app", "proxy"},
		},
		"null is none":  {"injectedContainers: null\n", []string{"istio-proxy"}, []string{"app"}},
		"an empty list": {"injectedContainers: []\n", nil, []string{"istio-proxy", "app", ""}},
		"logins of other prefixes": {
			"injectedContainers: []\n",
			[]string{"tokens-oidc-login", "tokens-oidc-login-web"},
			[]string{"oidc-login", "oidc-login-web"},
		},
		"a list replaces them": {
			"injectedContainers: [proxy, 'a-*', '?']\n",
			[]string{"proxy", "a-", "a-b", "x"},
			[]string{"istio-proxy", "proxy-b", "xy"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mustParse(t, header+test.text).InjectedContainers
			for _, container := range test.has {
				if !got.Has(container) {
					t.Errorf("%q is missing", container)
				}
			}
			for _, container := range test.not {
				if got.Has(container) {
					t.Errorf("%q is in the list", container)
				}
			}
		})
	}
	_, err := config.Parse([]byte(header+"injectedContainers: [Proxy, '', 'a b', '[']\n"), environment())
	if err == nil || strings.Count(err.Error(), "it could match no container") != 4 {
		t.Errorf("patterns that no container has: %v", err)
	}
}

// TestInjectedContainersAreDocumented looks for the names on the page in the list.
func TestInjectedContainersAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Containers of other injectors\n")
	_, list, _ := strings.Cut(section, "```\n")
	list, _, _ = strings.Cut(list, "```")
	builtIn := config.Default(environment()).InjectedContainers
	documented := strings.Fields(list)
	if len(documented) != builtIn.Len() {
		t.Errorf("docs/configuration.md has %d of %d names", len(documented), builtIn.Len())
	}
	for _, name := range documented {
		if !builtIn.Has(name) {
			t.Errorf("%q of docs/configuration.md is not in the list", name)
		}
	}
}
