// Package installation finds the webhook that runs in a cluster, and how it is
// configured.
package installation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// The labels that the chart gives its objects.
const (
	nameLabel      = "app.kubernetes.io/name"
	instanceLabel  = "app.kubernetes.io/instance"
	componentLabel = "app.kubernetes.io/component"
)

// selector is what the webhook's Deployment and registration have in common.
var selector = labels.SelectorFromSet(labels.Set{nameLabel: "oidc-injector", componentLabel: "webhook"}).String()

// ErrNone is returned where the cluster has no installation.
var ErrNone = errors.New("the cluster has no installation of oidc-injector")

// Installation is a webhook in a cluster.
type Installation struct {
	Namespace, Name string
	// Config is the InjectorConfig.
	Config []byte
	// ConfigMap is the name of the one that it is in.
	ConfigMap string
	// Prefix is that of its annotations.
	Prefix string
	// Managed says that the webhook makes its own certificates.
	Managed bool
	// Deployment is the webhook's.
	Deployment *appsv1.Deployment
	// namespaces selects those that it serves.
	namespaces labels.Selector
	core       coreclient.CoreV1Interface
}

// Find finds the installation of a name, or the only one where the name is empty. It
// needs the right to list Deployments and MutatingWebhookConfigurations, and to read the
// ConfigMap and, for [Installation.Labels], namespaces.
func Find(ctx context.Context, client *rest.Config, name string) (*Installation, error) {
	i, err := Look(ctx, client, name)
	if err != nil {
		return nil, err
	}
	admission, err := admissionclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create an API client: %w", err)
	}
	registrations, err := admission.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{LabelSelector: selector + "," +
		instanceLabel + "=" + i.Deployment.Labels[instanceLabel]})
	if err != nil {
		return nil, fmt.Errorf("could not list MutatingWebhookConfigurations: %w", err)
	}
	i.namespaces, err = namespacesOf(registrations.Items, i.Prefix)
	return i, err
}

// Look is Find for an installation that need not be registered: which namespaces it serves
// is not known then.
func Look(ctx context.Context, client *rest.Config, name string) (*Installation, error) {
	apps, err := appsclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create an API client: %w", err)
	}
	core, err := coreclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create an API client: %w", err)
	}
	deployment, err := findDeployment(ctx, apps, name)
	if err != nil {
		return nil, err
	}
	i := &Installation{
		Namespace: deployment.Namespace, Name: deployment.Name, Deployment: deployment, core: core,
		Prefix:  cmp.Or(flagOf(deployment, "annotation-prefix"), annotations.DefaultPrefix),
		Managed: flagOf(deployment, "certificates") == "managed",
	}
	err = i.readConfig(ctx, deployment)
	return i, err
}

func findDeployment(ctx context.Context, apps appsclient.AppsV1Interface, name string) (*appsv1.Deployment, error) {
	namespace := metav1.NamespaceAll
	if before, after, found := strings.Cut(name, "/"); found {
		namespace, name = before, after
	}
	list, err := apps.Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("could not list Deployments: %w", err)
	}
	found := slices.DeleteFunc(list.Items, func(d appsv1.Deployment) bool { return name != "" && d.Name != name })
	switch len(found) {
	case 0:
		return nil, ErrNone
	case 1:
		return &found[0], nil
	default:
		names := make([]string, 0, len(found))
		for i := range found {
			names = append(names, found[i].Namespace+"/"+found[i].Name)
		}
		return nil, fmt.Errorf("the cluster has several installations of oidc-injector: name one of %s", strings.Join(names, ", "))
	}
}

// flagOf is the value of a flag that the webhook is started with, or empty.
func flagOf(d *appsv1.Deployment, name string) string {
	for i := range d.Spec.Template.Spec.Containers {
		for _, arg := range d.Spec.Template.Spec.Containers[i].Args {
			if value, found := strings.CutPrefix(arg, "--"+name+"="); found {
				return value
			}
		}
	}
	return ""
}

// readConfig reads the ConfigMap that the Deployment mounts: older ones may yet be
// there.
func (i *Installation) readConfig(ctx context.Context, d *appsv1.Deployment) error {
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.Name != "config" || v.ConfigMap == nil {
			continue
		}
		found, err := i.core.ConfigMaps(d.Namespace).Get(ctx, v.ConfigMap.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("could not read the configuration: %w", err)
		}
		i.Config, i.ConfigMap = []byte(found.Data["config.yaml"]), found.Name
		return nil
	}
	return fmt.Errorf("deployment %s/%s mounts no ConfigMap with the configuration", d.Namespace, d.Name)
}

// namespacesOf is the selector of the webhook for pods.
func namespacesOf(all []admissionregistrationv1.MutatingWebhookConfiguration, prefix string) (labels.Selector, error) {
	for i := range all {
		for j := range all[i].Webhooks {
			if w := &all[i].Webhooks[j]; w.Name == "pods."+prefix {
				selector, err := metav1.LabelSelectorAsSelector(w.NamespaceSelector)
				if err != nil {
					return nil, fmt.Errorf("could not read the webhook's namespaceSelector: %w", err)
				}
				return selector, nil
			}
		}
	}
	return nil, errors.New("the webhook is not registered: no MutatingWebhookConfiguration has pods." + prefix)
}

// Labels are those of a namespace.
func (i *Installation) Labels(ctx context.Context, namespace string) (map[string]string, error) {
	found, err := i.core.Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("could not read namespace %s: %w", namespace, err)
	}
	return found.Labels, nil
}

// AllLabels are those of all namespaces.
func (i *Installation) AllLabels(ctx context.Context) (map[string]map[string]string, error) {
	return Namespaces(ctx, i.core)
}

// pageSize is how many namespaces are read at once.
const pageSize = 500

// Namespaces are all of a cluster, with their labels.
func Namespaces(ctx context.Context, client coreclient.NamespacesGetter) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for page := (metav1.ListOptions{Limit: pageSize}); ; {
		list, err := client.Namespaces().List(ctx, page)
		if err != nil {
			return nil, fmt.Errorf("could not list namespaces: %w", err)
		}
		for j := range list.Items {
			all[list.Items[j].Name] = list.Items[j].Labels
		}
		if page.Continue = list.Continue; page.Continue == "" {
			return all, nil
		}
	}
}

// Selector selects the namespaces that the webhook serves.
func (i *Installation) Selector() labels.Selector { return i.namespaces }
