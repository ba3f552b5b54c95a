package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oidc-injector/oidc-injector/internal/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

type explainOptions struct {
	clusterWebhookFlags
	filename, output string
}

func newExplainCommand(g *globals) *cobra.Command {
	o := explainOptions{output: outputText}
	c := &cobra.Command{
		Use:   "explain (POD | TYPE/NAME | -f FILE)",
		Short: "Says why a pod was or was not injected",
		Long: `Says why a pod was or was not injected, as ticks and crosses: whether the webhook is
registered and answers, whether it is asked about the pod, what annotations, bindings
and policy make of it, what the pod that runs has, who can read its tokens, and what
its login containers said last. It ends with one command that fixes the first cause.

Nothing is changed: the pod is created by dry run. It needs a cluster, and the right to
read what it says; what you may not read has a question mark. Exit code 1 where there
is a cross.`,
		Example: `  kubectl oidc-injector explain app
  kubectl oidc-injector explain deploy/app --namespace team
  kubectl oidc-injector explain -f pod.yaml -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return g.explain(c.Context(), &o, args)
		},
	}
	c.Args = cobra.MaximumNArgs(1)
	c.Flags().StringVarP(&o.filename, "filename", "f", "",
		"File with the pod or workload, - for the standard input; without it the cluster is asked")
	o.add(c.Flags())
	addOutput(c, &o.output)
	return c
}

// clusterWebhookFlags say which webhook of a cluster a verb is about.
type clusterWebhookFlags struct{ configFile, installation, prefix string }

func (f *clusterWebhookFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.configFile, "config", "", "File with the InjectorConfig, instead of that of the cluster")
	fs.StringVar(&f.installation, "installation", "", "Installation, as NAMESPACE/NAME, where the cluster has several")
	fs.StringVar(&f.prefix, "annotation-prefix", "", "Prefix of the annotations, before the slash; default that of the installation")
}

func (g *globals) explain(ctx context.Context, o *explainOptions, args []string) error {
	t, err := g.target(&targetFlags{filename: o.filename}, args)
	if err != nil {
		return err
	}
	r, webhook, err := g.clusterWebhook(ctx, &o.clusterWebhookFlags)
	if err != nil {
		return err
	}
	s := r.snapshot(ctx, t, webhook, g.now())
	s.File = o.filename
	e := diagnose.Explain(s)
	if o.output == outputJSON {
		if err := printJSON(g.Out, e); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(g.Out, "%s in namespace %s\n", report.Plain(e.Of), report.Plain(e.Namespace))
		diagnose.Print(g.Out, g.style(), e.Steps, false)
		if e.Fix != "" {
			fmt.Fprintf(g.Out, "\n%s\n  %s\n", g.style().Bold("fix:"), e.Fix)
		}
	}
	return outcomeOf(e.Steps)
}
