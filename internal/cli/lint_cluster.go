package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
	"github.com/oidc-injector/oidc-injector/internal/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/finding"
)

// clusterLinter looks at what runs: everything that makes pods, and pods that nothing of
// that made.
type clusterLinter struct {
	*linter
	client dynamic.Interface
	// kinds are those that are listed, by which it knows what is made by one of them.
	kinds []schema.GroupKind
	// known are controllers of other kinds, one of whose pods had findings: the others have the
	// same.
	known map[types.UID]bool
	// missed are controllers one of whose pods was not injected.
	missed map[types.UID]bool
}

// lintCluster looks at a namespace, or at all where it is empty.
func (l *linter) lintCluster(ctx context.Context, namespace string) error {
	config, err := l.cluster.ToRESTConfig()
	if err != nil {
		return fmt.Errorf("could not load the API client configuration: %w", err)
	}
	mapper, err := l.cluster.ToRESTMapper()
	if err != nil {
		return fmt.Errorf("could not ask the API server for its resources: %w", err)
	}
	c := &clusterLinter{linter: l, known: map[types.UID]bool{}, missed: map[types.UID]bool{}}
	if c.client, err = dynamic.NewForConfig(config); err != nil {
		return fmt.Errorf("could not create an API client: %w", err)
	}
	mappings, err := c.find(mapper)
	if err != nil {
		return err
	}
	for _, m := range mappings {
		if err := c.list(ctx, m, namespace); err != nil {
			return err
		}
	}
	return nil
}

// find finds the resources that have a template of pods, and pods, in this cluster: those of
// the configuration need not be there.
func (c *clusterLinter) find(mapper meta.RESTMapper) ([]*meta.RESTMapping, error) {
	resources := make([]schema.GroupResource, 0, len(c.webhook.Config.PodTemplates)+1)
	for _, l := range c.webhook.Config.PodTemplates {
		resources = append(resources, schema.GroupResource{Group: l.APIGroup, Resource: l.Resource})
	}
	resources = append(resources, schema.GroupResource{Resource: "pods"})
	var found []*meta.RESTMapping
	for _, r := range resources {
		kind, err := mapper.KindFor(r.WithVersion(""))
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("could not ask the API server for its resources: %w", err)
		}
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			return nil, fmt.Errorf("could not ask the API server for its resources: %w", err)
		}
		found = append(found, mapping)
		c.kinds = append(c.kinds, kind.GroupKind())
	}
	return found, nil
}

// pageSize is how many objects are read at once, so that the memory does not grow with the
// cluster.
const pageSize = 100

func (c *clusterLinter) list(ctx context.Context, m *meta.RESTMapping, namespace string) error {
	resource := c.client.Resource(m.Resource).Namespace(namespace)
	for page := (metav1.ListOptions{Limit: pageSize}); ; {
		list, err := resource.List(ctx, page)
		if token, expired := inconsistent(err); expired {
			page.Continue = token
			continue
		}
		if err != nil {
			err = fmt.Errorf("could not list %s: %w", m.Resource.GroupResource(), err)
			if apierrors.IsForbidden(err) {
				err = withHint(err, "you need the right to list %s; or lint files with -f", m.Resource.GroupResource())
			}
			return err
		}
		for i := range list.Items {
			if err := c.object(m, &list.Items[i]); err != nil {
				return err
			}
		}
		if page.Continue = list.GetContinue(); page.Continue == "" {
			return nil
		}
	}
}

// inconsistent is the token by which a list goes on that took longer than the API server
// keeps the state that it began with: what changed meanwhile may be missed (Kubernetes
// documentation, "API concepts").
func inconsistent(err error) (string, bool) {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsResourceExpired(err) || status.ErrStatus.Continue == "" {
		return "", false
	}
	return status.ErrStatus.Continue, true
}

// objectOf is an object as the API server has it.
func objectOf(m *meta.RESTMapping, u *unstructured.Unstructured) (manifest.Object, error) {
	raw, err := u.MarshalJSON()
	if err != nil {
		return manifest.Object{}, fmt.Errorf("could not encode %s: %w", u.GetName(), err)
	}
	kind := m.GroupVersionKind
	return manifest.Object{
		GroupKind: kind.GroupKind(), Version: kind.Version, Resource: m.Resource.Resource, Namespace: u.GetNamespace(), Name: u.GetName(),
		Raw: raw,
	}, nil
}

// lookForMissed reports a pod that runs without what it asks for: it is older than the label, the
// policies or its binding, or the webhook was away. Of a controller's pods one is enough.
func (c *clusterLinter) lookForMissed(m *meta.RESTMapping, u *unstructured.Unstructured, owner *metav1.OwnerReference) error {
	_, has := u.GetAnnotations()[c.webhook.Config.Parser.Prefix.Key(annotations.Status, "")]
	phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
	over := phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed) || u.GetDeletionTimestamp() != nil
	if u.GetKind() != "Pod" || has || over || owner != nil && c.missed[owner.UID] {
		return nil
	}
	o, err := objectOf(m, u)
	if err != nil {
		return err
	}
	a, asked, err := c.webhook.Ask(o)
	if err != nil || !asked || a.Outcome != admission.Mutated {
		return err
	}
	f := newLintFinding(nil, &a, severityWarning, finding.Warning{
		Rule: finding.NotInjected, Text: "the pod asks for tokens and was not injected: create it again",
	})
	added, err := c.add(&f)
	if owner != nil && added {
		c.missed[owner.UID] = true
	}
	return err
}

// object looks at one, unless what made it is looked at.
func (c *clusterLinter) object(m *meta.RESTMapping, u *unstructured.Unstructured) error {
	owner := metav1.GetControllerOf(u)
	if err := c.lookForMissed(m, u, owner); err != nil {
		return err
	}
	if owner != nil {
		group, err := schema.ParseGroupVersion(owner.APIVersion)
		if err == nil && slices.Contains(c.kinds, group.WithKind(owner.Kind).GroupKind()) || c.known[owner.UID] {
			return nil
		}
	}
	if err := c.asCreated(u); err != nil {
		return err
	}
	o, err := objectOf(m, u)
	if err != nil {
		return err
	}
	found, err := c.ask(o, nil)
	if owner != nil && found {
		c.known[owner.UID] = true
	}
	return err
}

// asCreated has a pod be as it was before the webhook injected it.
func (c *clusterLinter) asCreated(u *unstructured.Unstructured) error {
	if u.GetKind() != "Pod" {
		return nil
	}
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &pod); err != nil {
		return fmt.Errorf("could not read pod %s/%s: %w", u.GetNamespace(), u.GetName(), err)
	}
	before := diagnose.AsCreated(&pod, c.webhook.Config.Parser.Prefix)
	if before == &pod {
		return nil
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(before)
	if err != nil {
		return fmt.Errorf("could not read pod %s/%s: %w", u.GetNamespace(), u.GetName(), err)
	}
	object["apiVersion"], object["kind"] = "v1", "Pod"
	u.Object = object
	return nil
}
