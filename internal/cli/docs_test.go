package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/oidc-injector/oidc-injector/internal/cli/migrate"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// The flags in the documentation are those of the commands, and the peers those of migrate.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	testutil.Generated(t, "../../docs/cli.md", *update, func(text string) string {
		var b strings.Builder
		eachCommand(newRoot(newGlobals(Environment{})), func(c *cobra.Command) {
			if flags := c.LocalNonPersistentFlags().FlagUsages(); flags != "" {
				fmt.Fprintf(&b, "### %s\n\n```text\n%s```\n\n", strings.TrimPrefix(c.CommandPath(), display+" ")+" flags", flags)
			}
		})
		var peers strings.Builder
		peers.WriteString("| injector | what is moved | what is not |\n|---|---|---|\n")
		for _, p := range migrate.Peers {
			fmt.Fprintf(&peers, "| %s | %s | %s |\n", p.Name, p.Moves, p.Leaves)
		}
		text = testutil.Section(t, text, "peers", peers.String())
		return testutil.Section(t, text, "flags", strings.TrimSuffix(b.String(), "\n\n"))
	})
}

// eachCommand calls do with every command that has something to run.
func eachCommand(c *cobra.Command, do func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		if sub.Name() != "completion" && sub.Name() != "help" {
			do(sub)
			eachCommand(sub, do)
		}
	}
}

// TestHelp holds that every verb says what it does, with examples.
func TestHelp(t *testing.T) {
	t.Parallel()
	eachCommand(newRoot(newGlobals(Environment{})), func(c *cobra.Command) {
		if c.Name() == "options" || c.HasSubCommands() || c.Hidden {
			return
		}
		if c.Short == "" || c.Long == "" || !strings.Contains(c.Example, display) && !strings.Contains(c.Example, program) {
			t.Errorf("%s: the help lacks something", c.CommandPath())
		}
		for line := range strings.Lines(c.Long) {
			if len(line) > 125 {
				t.Errorf("%s: a line of the help is longer than a terminal: %s", c.CommandPath(), line)
			}
		}
	})
}
