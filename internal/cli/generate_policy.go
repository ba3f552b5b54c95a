package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/policymode"
)

// policyOptions are those of "generate policy".
type policyOptions struct {
	webhookFlags
	name, selector string
	static         bool
}

func newGeneratePolicyCommand(g *globals) *cobra.Command {
	var o policyOptions
	c := &cobra.Command{
		Use:   "policy",
		Short: "Policies by which API servers inject tokens themselves, without the webhook",
		Long: `Writes MutatingAdmissionPolicies and ValidatingAdmissionPolicies that do what the webhook
does with the same configuration, but for logins and debug containers: docs/modes.md.
Kubernetes 1.36 or newer applies them. Switch the webhook off in the namespaces that the
policies serve, or give the two different labels.

With --static they are for the API server's own disk (manifest-based admission, Kubernetes
1.37), where nobody can change them by the API.`,
		Example: `  kubectl oidc-injector generate policy --config injector.yaml | kubectl apply -f -
  kubectl oidc-injector generate policy --from-cluster --static > policies.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			webhook, err := o.webhook(c.Context(), g)
			if err != nil {
				return err
			}
			if unsupported := policymode.Unsupported(webhook.Config); len(unsupported) > 0 {
				return errors.New(strings.Join(unsupported, "; "))
			}
			options, err := o.options(webhook.Version)
			if err != nil {
				return err
			}
			for _, object := range policymode.Policies(webhook.Config, options) {
				text, err := yaml.Marshal(object)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(g.Out, "---\n%s", text); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := c.Flags()
	o.addConfigFlags(f)
	f.StringVar(&o.name, "name", "oidc-injector", "Name of the policies, or the beginning of it")
	f.StringVar(&o.selector, "namespace-selector", "", "Label selector of the namespaces; by default PREFIX/enabled=true")
	f.BoolVar(&o.static, "static", false, "For the API server's own disk: names end in .static.k8s.io")
	return c
}

func (o *policyOptions) options(version string) (policymode.Options, error) {
	if len(validation.IsDNS1123Subdomain(o.name)) > 0 {
		return policymode.Options{}, fmt.Errorf("--name: invalid value %q: must be a DNS name", o.name)
	}
	selector := o.selector
	if selector == "" {
		selector = o.prefix + "/enabled=true"
	}
	namespaces, err := metav1.ParseToLabelSelector(selector)
	if err != nil {
		return policymode.Options{}, fmt.Errorf("--namespace-selector: %w", err)
	}
	return policymode.Options{Name: o.name, Version: version, NamespaceSelector: namespaces, Static: o.static}, nil
}
