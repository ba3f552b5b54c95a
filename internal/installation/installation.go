// Package installation finds the webhook that runs in a cluster, or the policies that do its
// work, and how they are configured.
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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
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

// Installation is a webhook in a cluster, or policies: these have no Deployment.
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

// Find finds the installation of a name, or the only one where the name is empty: a webhook,
// or policies. It needs the right to list Deployments, MutatingWebhookConfigurations and what
// [FindPolicies] lists, and to read the ConfigMap and, for [Installation.Labels], namespaces.
func Find(ctx context.Context, client *rest.Config, name string) (*Installation, error) {
	admission, err := admissionclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create an API client: %w", err)
	}
	webhooks, err := deployments(ctx, client, name)
	if err != nil {
		return nil, err
	}
	policies, err := FindPolicies(ctx, admission)
	if err != nil && (!apierrors.IsForbidden(err) || len(webhooks) == 0) {
		return nil, err
	}
	policies = slices.DeleteFunc(policies, func(p *Policies) bool { return !p.Called(name) })
	if len(policies) == 1 && len(webhooks) == 0 {
		return ofPolicies(client, policies[0])
	}
	if _, err := only(webhooks, policies...); err != nil {
		return nil, err
	}
	i, err := read(ctx, client, &webhooks[0])
	if err != nil {
		return nil, err
	}
	registrations, err := admission.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{LabelSelector: selector + "," +
		instanceLabel + "=" + i.Deployment.Labels[instanceLabel]})
	if err != nil {
		return nil, fmt.Errorf("could not list MutatingWebhookConfigurations: %w", err)
	}
	i.namespaces, err = namespacesOf(registrations.Items, i.Prefix)
	return i, err
}

// ofPolicies is the installation that policies are.
func ofPolicies(client *rest.Config, p *Policies) (*Installation, error) {
	if p.Config == nil {
		return nil, fmt.Errorf("the policies %s do not say their configuration: no MutatingAdmissionPolicyBinding of theirs has the "+
			"annotation %s", p, config.Annotation)
	}
	core, err := coreclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create an API client: %w", err)
	}
	namespaces, err := p.selector()
	if err != nil {
		return nil, err
	}
	return &Installation{
		Namespace: p.Namespace, Name: p.Name, Config: p.Config, Prefix: p.Prefix, core: core, namespaces: namespaces,
	}, nil
}

// Look finds the webhook of a name, or the only one where the name is empty, which need not be
// registered: which namespaces it serves is not known then.
func Look(ctx context.Context, client *rest.Config, name string) (*Installation, error) {
	found, err := deployments(ctx, client, name)
	if err != nil {
		return nil, err
	}
	deployment, err := only(found)
	if err != nil {
		return nil, err
	}
	return read(ctx, client, deployment)
}

// read reads the installation of a Deployment.
func read(ctx context.Context, client *rest.Config, deployment *appsv1.Deployment) (*Installation, error) {
	core, err := coreclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create an API client: %w", err)
	}
	i := &Installation{
		Namespace: deployment.Namespace, Name: deployment.Name, Deployment: deployment, core: core,
		Prefix:  cmp.Or(flagOf(deployment, "annotation-prefix"), annotations.DefaultPrefix),
		Managed: flagOf(deployment, "certificates") == "managed",
	}
	err = i.readConfig(ctx, deployment)
	return i, err
}

// deployments are the webhooks' of a name, or all.
func deployments(ctx context.Context, client *rest.Config, name string) ([]appsv1.Deployment, error) {
	apps, err := appsclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create an API client: %w", err)
	}
	namespace := metav1.NamespaceAll
	if before, after, found := strings.Cut(name, "/"); found {
		namespace, name = before, after
	}
	list, err := apps.Deployments(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("could not list Deployments: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(d appsv1.Deployment) bool { return name != "" && d.Name != name }), nil
}

// only is the one webhook that there is, where there are no policies beside it.
func only(webhooks []appsv1.Deployment, policies ...*Policies) (*appsv1.Deployment, error) {
	names := make([]string, 0, len(webhooks)+len(policies))
	for i := range webhooks {
		names = append(names, webhooks[i].Namespace+"/"+webhooks[i].Name)
	}
	for _, p := range policies {
		names = append(names, p.String())
	}
	switch len(names) {
	case 0:
		return nil, ErrNone
	case 1:
		return &webhooks[0], nil
	default:
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

// Selector selects the namespaces that are served.
func (i *Installation) Selector() labels.Selector { return i.namespaces }
