package config_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/config"
)

func TestInjectedContainers(t *testing.T) {
	t.Parallel()
	builtIn := config.Default(environment()).InjectedContainers
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"none are the built-in ones": {"", builtIn},
		"null is none":               {"injectedContainers: null\n", builtIn},
		"an empty list":              {"injectedContainers: []\n", []string{}},
		"a list replaces them":       {"injectedContainers: [proxy, 'a-*', '?']\n", []string{"proxy", "a-*", "?"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, mustParse(t, header+test.text).InjectedContainers); diff != "" {
				t.Errorf("containers (-want +got):\n%s", diff)
			}
		})
	}
	_, err := config.Parse([]byte(header+"injectedContainers: [Proxy, '', 'a b', '[']\n"), environment())
	if err == nil || strings.Count(err.Error(), "it could match no container") != 4 {
		t.Errorf("patterns that no container has: %v", err)
	}
}

// TestInjectedContainersAreDocumented compares the list with the page.
func TestInjectedContainersAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Containers of other injectors\n")
	_, list, _ := strings.Cut(section, "```\n")
	list, _, _ = strings.Cut(list, "```")
	want := slices.Clone(config.Default(environment()).InjectedContainers)
	got := strings.Fields(list)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/configuration.md (-want +got):\n%s", diff)
	}
}
