package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oidc-injector/oidc-injector/internal/cli/generate"
	"github.com/oidc-injector/oidc-injector/internal/issuer"
)

// generateOptions are those of "generate PARTY".
type generateOptions struct {
	targetFlags
	issuer, issuerCA, token, output string
}

func newGenerateCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "generate",
		Short: "Writes the relying party's side for a workload",
		Long: `Writes the relying party's side for a workload, bound as tightly as the claims
allow: to the namespace and the ServiceAccount, for the audience that the pod's
annotations say. What is written is ready to apply; what is to be filled in, or
deserves a look, is on the standard error.

The issuer is the cluster's. With a file it is that of --issuer.`,
		Example: `  kubectl oidc-injector generate vault deploy/app
  kubectl oidc-injector generate aws -f pod.yaml --issuer https://issuer.example.com
  kubectl oidc-injector generate gcp deploy/app -o json > provider.json
  kubectl oidc-injector generate discovery --out public/`,
	}
	for i := range generate.Parties {
		c.AddCommand(newGeneratePartyCommand(g, &generate.Parties[i]))
	}
	for _, name := range slices.Sorted(maps.Keys(generate.Dropped)) {
		c.AddCommand(&cobra.Command{
			Use: name, Hidden: true, Short: "Nothing: see what it says", DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error { return errors.New(generate.Dropped[name]) },
		})
	}
	c.AddCommand(newGenerateDiscoveryCommand(g), newGeneratePolicyCommand(g))
	return c
}

func newGeneratePartyCommand(g *globals, party *generate.Party) *cobra.Command {
	o := generateOptions{output: outputText}
	c := &cobra.Command{
		Use:   party.Name + " POD|TYPE/NAME|-f FILE",
		Short: party.Summary,
		Long:  "Writes the relying party's side for a workload.\n\n" + party.Summary + ".",
		Example: fmt.Sprintf("  kubectl oidc-injector generate %s deploy/app\n"+
			"  kubectl oidc-injector generate %[1]s -f pod.yaml --issuer https://issuer.example.com", party.Name),
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return g.generate(c.Context(), party, &o, args)
		},
	}
	o.add(c)
	f := c.Flags()
	f.StringVar(&o.issuer, "issuer", "", "URL of the cluster's issuer; without it the cluster is asked, but not with a file")
	f.StringVar(&o.issuerCA, "issuer-ca", "",
		"File with the certificate authorities of the issuer's URL in PEM, for parties that have to be told")
	f.StringVar(&o.token, "token", "", "Name of the token, where the pod has several that the party could get")
	f.StringVarP(&o.output, "output", "o", o.output, "Form of the output: text, what the party's tools take, or json, what its API takes")
	return c
}

func (g *globals) generate(ctx context.Context, party *generate.Party, o *generateOptions, args []string) error {
	t, spec, err := o.asked(ctx, g, args)
	if err != nil {
		return err
	}
	if o.issuer != "" {
		if err := issuer.CheckURL(o.issuer, false); err != nil {
			return fmt.Errorf("--issuer: %w", err)
		}
	}
	w := generate.Workload{Issuer: o.issuer, Namespace: t.pod.Namespace, ServiceAccount: t.pod.Spec.ServiceAccountName}
	if w.Token, w.Login, err = party.Choose(spec, o.token); err != nil {
		return fmt.Errorf("%s: %w", t.of, err)
	}
	if w.Issuer == "" && o.filename == "" {
		published, err := g.published(ctx)
		if err != nil {
			return withHint(err, "say the issuer with --issuer")
		}
		w.Issuer = published.document.Issuer
	}
	if o.issuerCA != "" {
		pem, err := os.ReadFile(o.issuerCA)
		if err != nil {
			return err
		}
		w.IssuerCA = string(pem)
		if !strings.Contains(w.IssuerCA, "-----BEGIN CERTIFICATE-----") {
			return fmt.Errorf("%s contains no PEM certificates", o.issuerCA)
		}
	}
	out, err := party.Generate(w, generate.Format(o.output))
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(g.Out, out.Text); err != nil {
		return err
	}
	for _, note := range out.Notes {
		fmt.Fprintln(g.ErrOut, "note:", note)
	}
	return nil
}
