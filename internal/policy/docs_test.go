package policy

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/glob"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var update = flag.Bool("update", false, "rewrite what is generated from the lists")

// The page of the variables has those that are refused, and those that never are.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	testutil.Generated(t, "../../docs/variables.md", *update, func(text string) string {
		quoted := func(globs []glob.Pattern) string {
			names := make([]string, 0, len(globs))
			for _, g := range globs {
				names = append(names, "`"+g.String()+"`")
			}
			return strings.Join(names, " ")
		}
		var b strings.Builder
		b.WriteString("| what they concern | names |\n|---|---|\n")
		for _, r := range reserved {
			fmt.Fprintf(&b, "| %s | %s |\n", r.kind, quoted(r.names))
		}
		fmt.Fprintf(&b, "| never refused, as they say what the file holds | %s |\n", quoted(tokens))
		return testutil.Section(t, text, "variables", b.String())
	})
}

func TestDefaultMountPathsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "`" + strings.Join(defaultMountPaths, "`, `") + "`"
	if !strings.Contains(strings.Join(strings.Fields(string(page)), " "), want) {
		t.Errorf("docs/configuration.md does not list the default mount paths:\n%s", want)
	}
}
