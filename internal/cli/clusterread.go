package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/cli/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/cli/installation"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// clusterReader reads what [diagnose] is about. What it may not read is noted there, and is
// no error.
type clusterReader struct {
	config *rest.Config
	kubernetes.Interface
}

func (g *globals) clusterReader() (*clusterReader, error) {
	config, err := g.cluster.ToRESTConfig()
	if err != nil {
		return nil, withHint(fmt.Errorf("could not load the API client configuration: %w", err),
			"name a cluster with --kubeconfig or --context")
	}
	// What the API server warns of is not about the calling of this program.
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("could not create an API client: %w", err)
	}
	return &clusterReader{config, client}, nil
}

// clusterWebhook returns a reader of the cluster, and what it has read of the webhook.
func (g *globals) clusterWebhook(ctx context.Context, f *clusterWebhookFlags) (*clusterReader, *diagnose.Webhook, error) {
	r, err := g.clusterReader()
	if err != nil {
		return nil, nil, err
	}
	webhook, err := r.webhook(ctx, f)
	return r, webhook, err
}

// webhook reads the installation and its registration.
func (r *clusterReader) webhook(ctx context.Context, f *clusterWebhookFlags) (*diagnose.Webhook, error) {
	w := &diagnose.Webhook{Prefix: annotations.Prefix(cmp.Or(f.prefix, annotations.DefaultPrefix))}
	found, err := installation.Look(ctx, r.config, f.installation)
	switch {
	case err != nil && f.installation != "":
		return nil, err
	case err != nil && (f.configFile == "" || !errors.Is(err, installation.ErrNone)):
		w.Unread = append(w.Unread, diagnose.Unread{What: "installation", Why: err.Error()})
	case err == nil:
		w.Prefix = annotations.Prefix(cmp.Or(f.prefix, found.Prefix))
		w.Installation = describeInstallation(found)
	}
	if err := readConfiguration(w, f, found); err != nil {
		return nil, err
	}
	return w, r.registration(ctx, w)
}

func describeInstallation(i *installation.Installation) *diagnose.Installation {
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

// readConfiguration reads that of the flags, or of the installation, or else the built-in one.
func readConfiguration(w *diagnose.Webhook, f *clusterWebhookFlags, found *installation.Installation) error {
	env := config.Environment{Prefix: w.Prefix}
	w.Config = config.Default(env)
	if f.configFile != "" {
		flags := webhookFlags{configFile: f.configFile, prefix: string(w.Prefix)}
		var err error
		w.Config, err = flags.readConfig()
		return err
	}
	if found == nil || found.Config == nil {
		w.Unread = append(w.Unread, diagnose.Unread{
			What: "configuration",
			Why:  "the built-in one is taken for the webhook's; name it with --config FILE",
		})
		return nil
	}
	parsed, err := config.Parse(found.Config, env)
	if err != nil {
		w.Unread = append(w.Unread, diagnose.Unread{What: "configuration", Why: fmt.Sprintf("ConfigMap %s/%s: %v", found.Namespace,
			found.ConfigMap, err)})
		return nil
	}
	w.Config = parsed
	return nil
}

// registration finds the webhook for pods, whatever its object is called.
func (r *clusterReader) registration(ctx context.Context, w *diagnose.Webhook) error {
	list, err := r.AdmissionregistrationV1().MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
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
func (r *clusterReader) endpoints(ctx context.Context, w *diagnose.Webhook) {
	service := w.Registration.ClientConfig.Service
	if service == nil {
		return
	}
	slicesOf, err := r.DiscoveryV1().EndpointSlices(service.Namespace).List(ctx, metav1.ListOptions{
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

// snapshot reads what is about a pod.
func (r *clusterReader) snapshot(ctx context.Context, t *target, w *diagnose.Webhook, now time.Time) *diagnose.Snapshot {
	s := &diagnose.Snapshot{Of: t.of, Namespace: t.pod.Namespace, Pod: t.pod, Now: now}
	unread := func(what string, err error) {
		if err != nil {
			w.Unread = append(w.Unread, diagnose.Unread{What: what, Why: err.Error()})
		}
	}
	namespace, err := r.CoreV1().Namespaces().Get(ctx, s.Namespace, metav1.GetOptions{})
	unread("namespace", err)
	s.NamespaceUnread = err != nil
	if err == nil {
		s.NamespaceLabels = namespace.Labels
	}
	s.Live, err = r.live(ctx, t)
	unread("pods", err)
	involved := []string{nameOf(t.of)}
	if s.Live != nil {
		s.Controller, involved = r.controller(ctx, s.Live, append(involved, s.Live.Name))
	}
	s.Events, err = r.events(ctx, s.Namespace, involved, s.Live)
	unread("events", err)
	s.DryRun = r.dryRun(ctx, t.pod, nameOf(t.of), w.Prefix)
	s.Webhook = *w
	s.ConfigMaps = r.configMaps(ctx, s.Namespace, s.WantedConfigMaps())
	return s
}

func (r *clusterReader) configMaps(ctx context.Context, namespace string, names []string) map[string]diagnose.ConfigMap {
	all := map[string]diagnose.ConfigMap{}
	for _, name := range names {
		found, err := r.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			all[name] = diagnose.ConfigMap{}
		case err != nil:
			all[name] = diagnose.ConfigMap{Unread: err.Error()}
		default:
			keys := slices.Concat(slices.Collect(maps.Keys(found.Data)), slices.Collect(maps.Keys(found.BinaryData)))
			all[name] = diagnose.ConfigMap{Found: true, Keys: keys}
		}
	}
	return all
}

func nameOf(object string) string {
	_, name, _ := strings.Cut(object, "/")
	return name
}

// live is the pod itself, or the newest one of a workload; nil for none.
func (r *clusterReader) live(ctx context.Context, t *target) (*corev1.Pod, error) {
	if t.live || t.selector == nil {
		if t.live {
			return t.pod, nil
		}
		return nil, nil //nolint:nilnil // there is no pod, as in a file
	}
	list, err := r.CoreV1().Pods(t.pod.Namespace).List(ctx, metav1.ListOptions{LabelSelector: t.selector.String()})
	if err != nil {
		return nil, err
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if len(pods) == 0 {
		return nil, nil //nolint:nilnil // as above
	}
	newest := slices.MaxFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return &newest, nil
}

// controller climbs from a pod to what a person made, and collects the names in between.
func (r *clusterReader) controller(ctx context.Context, pod *corev1.Pod, names []string) (found string, involved []string) {
	for owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind != "Node"; { // which static pods have
		found, names = strings.ToLower(owner.Kind)+"/"+owner.Name, append(names, owner.Name)
		var object metav1.Object
		var err error
		switch owner.Kind {
		case "ReplicaSet":
			object, err = r.AppsV1().ReplicaSets(pod.Namespace).Get(ctx, owner.Name, metav1.GetOptions{})
		case "Job":
			object, err = r.BatchV1().Jobs(pod.Namespace).Get(ctx, owner.Name, metav1.GetOptions{})
		}
		if object == nil || err != nil {
			break
		}
		owner = metav1.GetControllerOf(object)
	}
	return found, names
}

// maxEvents is how many events of a namespace are read.
const maxEvents = 1000

// events are the warnings about objects of these names, and of ReplicaSets of theirs. Of pods
// they are those of the one that runs, and not of another one that had its name.
func (r *clusterReader) events(ctx context.Context, namespace string, of []string, live *corev1.Pod) ([]diagnose.Event, error) {
	list, err := r.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "type=" + corev1.EventTypeWarning,
		Limit:         maxEvents,
	})
	if err != nil {
		return nil, err
	}
	var events []diagnose.Event
	for i := range list.Items {
		e := &list.Items[i]
		about := e.InvolvedObject
		ofReplicaSet := about.Kind == "ReplicaSet" && slices.ContainsFunc(of, func(n string) bool {
			return strings.HasPrefix(about.Name,
				n+"-")
		})
		if !slices.Contains(of, about.Name) && !ofReplicaSet {
			continue
		}
		if about.Kind == "Pod" && live != nil && about.Name == live.Name && about.UID != live.UID {
			continue
		}
		last := e.LastTimestamp.Time
		for _, t := range []time.Time{e.EventTime.Time, e.CreationTimestamp.Time} {
			if last.IsZero() {
				last = t
			}
		}
		events = append(events, diagnose.Event{
			Object: strings.ToLower(about.Kind) + "/" + about.Name, Container: containerOf(about.FieldPath), Reason: e.Reason,
			Message: strings.TrimSpace(e.Message), Count: e.Count, Last: last,
		})
	}
	return events, nil
}

// containerOf is the container that the kubelet means by the field of a pod, such as
// spec.initContainers{oidc-login} (k8s.io/kubernetes pkg/kubelet/container GenerateContainerRef).
func containerOf(fieldPath string) string {
	_, after, _ := strings.Cut(fieldPath, "{")
	name, _, _ := strings.Cut(after, "}")
	return name
}

// dryRun has the API server admit a pod like this one, under a name of its own.
func (r *clusterReader) dryRun(ctx context.Context, like *corev1.Pod, name string, prefix annotations.Prefix) *diagnose.DryRun {
	like = diagnose.AsCreated(like, prefix)
	pod := &corev1.Pod{Spec: *like.Spec.DeepCopy(), ObjectMeta: metav1.ObjectMeta{
		GenerateName: strings.TrimSuffix(name, "-") + "-", Namespace: like.Namespace, Labels: like.Labels, Annotations: like.Annotations,
	}}
	pod.Spec.NodeName = "" // or else the node has to be there
	pod.Spec.EphemeralContainers = nil
	after, err := r.CoreV1().Pods(like.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return &diagnose.DryRun{Reason: apierrors.ReasonForError(err), Message: err.Error()}
	}
	return &diagnose.DryRun{Injected: json.Valid([]byte(after.Annotations[prefix.Key(annotations.Status, "")]))}
}
