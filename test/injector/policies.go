package injector

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/policymode"
	"github.com/oidc-injector/oidc-injector/test/cluster"
)

// ApplyPolicies has the API server do itself, in namespaces with the labels, what a webhook
// with the configuration would do.
func ApplyPolicies(ctx context.Context, c *cluster.Cluster, configuration string, namespaces map[string]string) error {
	cfg, err := config.Parse([]byte(configuration), config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		return err
	}
	var manifests strings.Builder
	for _, object := range policymode.Policies(cfg, policymode.Options{
		Name: "oidc-injector", Version: version, NamespaceSelector: &metav1.LabelSelector{MatchLabels: namespaces},
	}) {
		manifest, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		manifests.WriteString("---\n" + string(manifest))
	}
	return c.Apply(ctx, manifests.String())
}
