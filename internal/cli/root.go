package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const (
	// program is the name of the file, by which kubectl finds it.
	program = "kubectl-oidc_injector"
	// display is how it is called.
	display = "kubectl oidc-injector"
)

func newRoot(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use: program, Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: display},
		Short: "Shows and checks what the webhook of oidc-injector does",
		Long: `Shows and checks what the webhook of oidc-injector does, with the webhook's own code.

Nothing needs a cluster unless it says so. Exit codes: 0 if all is in order, 1 if
what was looked at is not, 2 if the call is wrong or could not be carried out.`,
		SilenceErrors: true, SilenceUsage: true, // Run prints them
	}
	root.SetIn(g.In)
	root.SetOut(g.Out)
	root.SetErr(g.ErrOut)
	g.cluster.AddFlags(root.PersistentFlags())
	for _, newCommand := range verbs {
		root.AddCommand(newCommand(g))
	}
	root.AddCommand(newOptionsCommand())
	root.SetUsageTemplate(usageTemplate)
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	hintAtHelp(root)
	return root
}

// hintAtHelp has everything that is wrong with the form of a call hint at the help.
func hintAtHelp(c *cobra.Command) {
	hint := func(c *cobra.Command, err error) error {
		if err == nil {
			return nil
		}
		return withHint(err, "see '%s --help'", c.CommandPath())
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		// A misspelled verb has no flags, which is not what is wrong with it.
		if words := c.Flags().Args(); c.HasSubCommands() && len(words) > 0 {
			err = unknownVerb(c, words)
		}
		return hint(c, err)
	})
	c.SuggestionsMinimumDistance = 2
	args := c.Args
	switch {
	case args == nil && !c.Runnable(): // or else cobra takes a misspelled verb for a call for help
		args, c.RunE = unknownVerb, func(c *cobra.Command, _ []string) error { return c.Help() }
	case args == nil:
		args = cobra.ArbitraryArgs
	}
	c.Args = func(c *cobra.Command, words []string) error { return hint(c, args(c, words)) }
	for _, sub := range c.Commands() {
		hintAtHelp(sub)
	}
}

// unknownVerb refuses what is the name of no verb.
func unknownVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	similar := ""
	if names := c.SuggestionsFor(args[0]); len(names) > 0 {
		similar = fmt.Sprintf("; did you mean %s?", strings.Join(names, " or "))
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), similar)
}

// noArgs refuses any argument.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

func newOptionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "options",
		Short: "Lists the flags that every verb has",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "The flags of kubectl, for what needs a cluster or a namespace:\n\n%s",
				c.Root().PersistentFlags().FlagUsages())
			return err
		},
	}
}

// usageTemplate is cobra's, where the flags of kubectl, which every verb has, are left
// out: they would bury the verb's own.
const usageTemplate = `Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{else}}
  {{.UseLine}}{{end}}{{if gt (len .Aliases) 0}}

Aliases:
  {{.NameAndAliases}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if and .HasParent .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}

See '{{.Root.CommandPath}} options' for the flags that every verb has.
`

// complete has a flag's values be completed.
func complete(c *cobra.Command, flag string, values ...string) {
	// The error is that of a flag which is not there, as the tests would see.
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
