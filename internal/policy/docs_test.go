package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/glob"
)

// TestReservedIsDocumented: a name that is refused can be found
// there.
func TestReservedIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := func(globs []glob.Pattern) string {
		names := make([]string, 0, len(globs))
		for _, g := range globs {
			names = append(names, "`"+g.String()+"`")
		}
		return strings.Join(names, " ")
	}
	for _, r := range reserved {
		if row := "| " + r.kind + " | " + quoted(r.names) + " |\n"; !strings.Contains(string(page), row) {
			t.Errorf("docs/configuration.md has no row\n%s", row)
		}
	}
	for what, want := range map[string]string{
		"names of tokens": quoted(tokens), "default mount paths": "`" + strings.Join(defaultMountPaths, "`, `") + "`",
	} {
		if !strings.Contains(strings.Join(strings.Fields(string(page)), " "), want) {
			t.Errorf("docs/configuration.md does not list the %s:\n%s", what, want)
		}
	}
}
