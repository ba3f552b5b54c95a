package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oidc-injector/oidc-injector/internal/version"
)

func newVersionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Prints the plugin's version",
		Long: `Prints the plugin's version.

Verbs do what a webhook of that version does: use the version that is installed.`,
		Example: "  kubectl oidc-injector version",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(g.Out, version.String(program))
			return err
		},
	}
}
