package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/cli/preview"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/installation"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// webhookFlags say which webhook a verb asks: what it knows of its configuration, and
// of namespaces.
type webhookFlags struct {
	configFile      string
	fromCluster     string
	prefix          string
	namespaceLabels map[string]string
	// allNamespaces says that most of them will be asked about.
	allNamespaces bool
}

// anyInstallation is the value of --from-cluster without one.
const anyInstallation = "*"

func (f *webhookFlags) addFlags(fs *pflag.FlagSet) {
	f.addConfigFlags(fs)
	fs.StringToStringVar(&f.namespaceLabels, "namespace-labels", nil, "Labels that the namespaces have, as NAME=VALUE, comma separated. "+
		"Objects in one that the webhook does not serve stay as they are. Without it, all are served, or those that the cluster says.")
}

// addConfigFlags adds the flags about the configuration alone.
func (f *webhookFlags) addConfigFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.configFile, "config", "", "File with the InjectorConfig of the webhook. Without it, the built-in configuration holds.")
	fs.StringVar(&f.fromCluster, "from-cluster", "", "Ask as the webhook of the cluster is configured. Where there are several, "+
		"name one: --from-cluster=NAMESPACE/NAME.")
	fs.Lookup("from-cluster").NoOptDefVal = anyInstallation
	fs.StringVar(&f.prefix, "annotation-prefix", annotations.DefaultPrefix, "Prefix of the annotations, before the slash.")
}

// webhook is the webhook that the flags say.
func (f *webhookFlags) webhook(ctx context.Context, g *globals) (*preview.Webhook, error) {
	if f.configFile != "" && f.fromCluster != "" {
		return nil, errors.New("--config and --from-cluster exclude each other")
	}
	if len(validation.IsDNS1123Subdomain(f.prefix)) > 0 {
		return nil, fmt.Errorf("--annotation-prefix: invalid value %q: must be a DNS name, such as %s", f.prefix, annotations.DefaultPrefix)
	}
	namespace, err := g.namespace()
	if err != nil {
		return nil, err
	}
	w := &preview.Webhook{Version: version.Version(), Namespace: namespace}
	if f.fromCluster != "" {
		return w, f.askCluster(ctx, g, w)
	}
	if w.Config, err = f.readConfig(); err != nil {
		return nil, err
	}
	if f.namespaceLabels != nil {
		// The chart's selector by default.
		w.Serves = f.serves(labels.SelectorFromSet(labels.Set{f.prefix + "/enabled": "true"}), func(string) (map[string]string, error) {
			return f.namespaceLabels, nil
		})
	}
	return w, nil
}

// namespace is that of objects that name none: the one of -n, or of Helm, which runs
// post-renderers, or of the kubeconfig, as with kubectl apply.
func (g *globals) namespace() (string, error) {
	if own := cmp.Or(*g.cluster.Namespace, g.HelmNamespace); own != "" {
		return own, nil
	}
	namespace, _, err := g.cluster.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", withHint(fmt.Errorf("could not read the kubeconfig: %w", err),
			"name the namespace with -n, and a readable kubeconfig with --kubeconfig")
	}
	return namespace, nil
}

func (f *webhookFlags) readConfig() (*config.Config, error) {
	env := config.Environment{Prefix: annotations.Prefix(f.prefix)}
	if f.configFile == "" {
		return config.Default(env), nil
	}
	text, err := os.ReadFile(f.configFile)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	cfg, err := config.Parse(text, env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.configFile, err)
	}
	return cfg, nil
}

func (f *webhookFlags) askCluster(ctx context.Context, g *globals, w *preview.Webhook) error {
	client, err := g.cluster.ToRESTConfig()
	if err != nil {
		return withHint(fmt.Errorf("could not load the API client configuration: %w", err),
			"without a cluster, name the configuration with --config FILE")
	}
	name := f.fromCluster
	if name == anyInstallation {
		name = ""
	}
	found, err := installation.Find(ctx, client, name)
	if errors.Is(err, installation.ErrNone) {
		return withHint(err, "name its configuration with --config FILE, or another cluster with --context")
	}
	if err != nil {
		return err
	}
	w.Config, err = config.Parse(found.Config, config.Environment{Prefix: annotations.Prefix(found.Prefix)})
	if err != nil {
		return fmt.Errorf("the configuration of %s/%s: %w", found.Namespace, found.Name, err)
	}
	known := map[string]map[string]string{}
	if f.allNamespaces {
		if known, err = found.AllLabels(ctx); err != nil {
			return err
		}
	}
	w.Serves = f.serves(found.Selector(), func(namespace string) (map[string]string, error) {
		if f.namespaceLabels != nil {
			return f.namespaceLabels, nil
		}
		if _, ok := known[namespace]; !ok {
			if known[namespace], err = found.Labels(ctx, namespace); err != nil {
				return nil, err
			}
		}
		return known[namespace], nil
	})
	return nil
}

// serves reports why a namespace is not served.
func (f *webhookFlags) serves(selector labels.Selector, labelsOf func(string) (map[string]string, error)) func(string) (string, error) {
	return func(namespace string) (string, error) {
		all, err := labelsOf(namespace)
		if err != nil {
			return "", err
		}
		// Every namespace has this one (Kubernetes documentation, "Namespaces").
		set := labels.Merge(labels.Set{corev1.LabelMetadataName: namespace}, all)
		if selector.Matches(set) {
			return "", nil
		}
		return fmt.Sprintf("namespace %q is not served: its labels do not match %s", namespace, selector), nil
	}
}
