package cli

import "github.com/spf13/cobra"

// verbs are the verbs, in the order of the help.
var verbs = []func(*globals) *cobra.Command{
	newExplainCommand,
	newCheckCommand,
	newRenderCommand,
	newLintCommand,
	newGenerateCommand,
	newMigrateCommand,
	newTokenCommand,
	newSchemaCommand,
	newVersionCommand,
}
