package check

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	discoveryclient "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/installation"
)

// Reader reads what [diagnose] is about. What it may not read is noted there, and is no
// error. It has the clients that it needs: with those of all of Kubernetes the webhook would
// be larger.
type Reader struct {
	Config    *rest.Config
	core      coreclient.CoreV1Interface
	admission admissionclient.AdmissionregistrationV1Interface
	discovery discoveryclient.DiscoveryV1Interface
}

// NewReader returns a reader of a cluster. What its API server warns of is left out, but for
// warnings about a pod that is tried.
func NewReader(client *rest.Config) (*Reader, error) {
	client = rest.CopyConfig(client)
	client.WarningHandler = rest.NoWarnings{}
	core, err := coreclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create the API client: %w", err)
	}
	admission, err := admissionclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create the API client: %w", err)
	}
	discovery, err := discoveryclient.NewForConfig(client)
	if err != nil {
		return nil, fmt.Errorf("could not create the API client: %w", err)
	}
	return &Reader{client, core, admission, discovery}, nil
}

// Which says which webhook of a cluster is meant.
type Which struct {
	// Installation is NAMESPACE/NAME, where a cluster has several.
	Installation string
	// Prefix is that of the annotations; empty for that of the installation.
	Prefix string
	// Config returns the configuration; nil for that of the installation.
	Config func(annotations.Prefix) (*config.Config, error)
	// NoConfig says what to do where it cannot be read; may be empty.
	NoConfig string
}

// Webhook reads the installation, and what registers it: a webhook, policies, or both.
func (r *Reader) Webhook(ctx context.Context, which Which) (*diagnose.Webhook, error) {
	w := &diagnose.Webhook{Prefix: annotations.Prefix(cmp.Or(which.Prefix, annotations.DefaultPrefix))}
	policies, err := r.policies(ctx, w, which)
	if err != nil {
		return nil, err
	}
	found, err := installation.Look(ctx, r.Config, which.Installation)
	switch {
	case err != nil && policies != nil && errors.Is(err, installation.ErrNone):
	case err != nil && which.Installation != "" && policies == nil:
		return nil, err
	case err != nil && (which.Config == nil || !errors.Is(err, installation.ErrNone)):
		w.Unread = append(w.Unread, diagnose.Unread{What: "installation", Why: err.Error()})
	case err == nil:
		w.Installation = describe(found)
	}
	if which.Prefix == "" {
		w.Prefix = prefixOf(found, policies, w.Prefix)
	}
	if err := readConfiguration(w, which, found, policies); err != nil {
		return nil, err
	}
	return w, r.registration(ctx, w)
}

// prefixOf is the prefix of the annotations that what was found reads.
func prefixOf(found *installation.Installation, policies *installation.Policies, otherwise annotations.Prefix) annotations.Prefix {
	switch {
	case found != nil:
		return annotations.Prefix(found.Prefix)
	case policies != nil:
		return annotations.Prefix(policies.Prefix)
	default:
		return otherwise
	}
}

func describe(i *installation.Installation) *diagnose.Installation {
	d := &diagnose.Installation{
		Namespace: i.Namespace, Name: i.Name, ConfigMap: i.ConfigMap, Replicas: 1, // the default of apps/v1
		Ready: i.Deployment.Status.ReadyReplicas, Managed: i.Managed,
	}
	if i.Deployment.Spec.Replicas != nil {
		d.Replicas = *i.Deployment.Spec.Replicas
	}
	if i.Deployment.Labels["app.kubernetes.io/managed-by"] == "Helm" {
		d.Release = i.Deployment.Annotations["meta.helm.sh/release-name"]
	}
	return d
}

// readConfiguration reads the one that was named, or that of the installation, or else the
// built-in one.
func readConfiguration(w *diagnose.Webhook, which Which, found *installation.Installation, policies *installation.Policies) (err error) {
	env := config.Environment{Prefix: w.Prefix}
	if which.Config != nil {
		w.Config, err = which.Config(w.Prefix)
		return err
	}
	w.Config = config.Default(env)
	unread := diagnose.Unread{
		What: diagnose.ConfigurationUnread, Why: "the built-in one is taken instead" + which.NoConfig,
	}
	text, where := []byte(nil), ""
	switch {
	case found != nil:
		text, where = found.Config, fmt.Sprintf("ConfigMap %s/%s", found.Namespace, found.ConfigMap)
	case policies != nil:
		text, where = policies.Config, "the annotation "+config.Annotation
	}
	if text != nil {
		parsed, err := config.Parse(text, env)
		if err == nil {
			w.Config = parsed
			return nil
		}
		unread.Why = fmt.Sprintf("%s: %v", where, err)
	}
	w.Unread = append(w.Unread, unread)
	return nil
}

// registration finds the webhook for pods, whatever its object is called.
func (r *Reader) registration(ctx context.Context, w *diagnose.Webhook) error {
	list, err := r.admission.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		w.Unread = append(w.Unread, diagnose.Unread{What: diagnose.RegistrationsUnread, Why: err.Error()})
		return nil
	}
	if err != nil { // such as a cluster that does not answer
		return fmt.Errorf("could not list MutatingWebhookConfigurations: %w", err)
	}
	for i := range list.Items {
		for index, hook := range list.Items[i].Webhooks {
			if hook.Name == "pods."+string(w.Prefix) {
				w.Registration = &diagnose.Registration{Configuration: list.Items[i].Name, Index: index, MutatingWebhook: hook}
				r.endpoints(ctx, w)
				return nil
			}
		}
	}
	return nil
}

// endpoints counts those of the webhook's Service that are ready.
func (r *Reader) endpoints(ctx context.Context, w *diagnose.Webhook) {
	service := w.Registration.ClientConfig.Service
	if service == nil {
		return
	}
	slicesOf, err := r.discovery.EndpointSlices(service.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + service.Name,
	})
	if err != nil {
		w.Unread = append(w.Unread, diagnose.Unread{What: "endpoints", Why: err.Error()})
		return
	}
	ready := 0
	for i := range slicesOf.Items {
		for _, e := range slicesOf.Items[i].Endpoints {
			// "A nil value should be interpreted as true" (discovery/v1 EndpointConditions.ready).
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready++
			}
		}
	}
	w.Registration.Ready = &ready
}

// Admit has the API server admit a pod without storing it, and returns what has become of it;
// nil where it is not admitted.
func (r *Reader) Admit(ctx context.Context, pod *corev1.Pod, prefix annotations.Prefix) (*corev1.Pod, *diagnose.DryRun) {
	said := &warnings{}
	client := rest.CopyConfig(r.Config)
	client.WarningHandler = said
	pods, err := coreclient.NewForConfig(client)
	if err != nil {
		return nil, &diagnose.DryRun{Message: err.Error()}
	}
	after, err := pods.Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, &diagnose.DryRun{Reason: apierrors.ReasonForError(err), Message: err.Error(), Warnings: said.texts}
	}
	return after, &diagnose.DryRun{
		Injected: json.Valid([]byte(after.Annotations[prefix.Key(annotations.Status, "")])), Warnings: said.texts,
	}
}

// warnings keeps those of an answer.
type warnings struct{ texts []string }

// HandleWarningHeader implements [rest.WarningHandler]. 299 is the only code for
// warnings without a cache (RFC 7234 section 5.5).
func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if code == 299 && text != "" {
		w.texts = append(w.texts, text)
	}
}
