package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/check"
	"github.com/oidc-injector/oidc-injector/internal/cli/condition"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/diagnose"
)

// clusterReader reads what [diagnose] is about.
type clusterReader struct {
	*check.Reader
	kubernetes.Interface
}

func (g *globals) clusterReader() (*clusterReader, error) {
	config, err := g.cluster.ToRESTConfig()
	if err != nil {
		return nil, withHint(fmt.Errorf("could not load the API client configuration: %w", err),
			"name a cluster with --kubeconfig or --context")
	}
	r, err := check.NewReader(config)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(r.Config)
	if err != nil {
		return nil, fmt.Errorf("could not create the API client: %w", err)
	}
	return &clusterReader{r, client}, nil
}

// clusterWebhook returns a reader of the cluster, and what it has read of the webhook.
func (g *globals) clusterWebhook(ctx context.Context, f *clusterWebhookFlags) (*clusterReader, *diagnose.Webhook, error) {
	r, err := g.clusterReader()
	if err != nil {
		return nil, nil, err
	}
	webhook, err := r.Webhook(ctx, f.which())
	return r, webhook, err
}

// which is the webhook that the flags mean.
func (f *clusterWebhookFlags) which() check.Which {
	which := check.Which{Installation: f.installation, Prefix: f.prefix, NoConfig: "; name it with --config FILE"}
	if f.configFile != "" {
		which.Config = func(prefix annotations.Prefix) (*config.Config, error) {
			flags := webhookFlags{configFile: f.configFile, prefix: string(prefix)}
			return flags.readConfig()
		}
	}
	return which
}

// snapshot reads what is about a pod.
func (r *clusterReader) snapshot(ctx context.Context, t *target, w *diagnose.Webhook, now time.Time) *diagnose.Snapshot {
	s := &diagnose.Snapshot{Of: t.of, Namespace: t.pod.Namespace, Pod: t.pod, Matches: condition.Matches, Now: now}
	s.Template = t.template
	for _, a := range t.above {
		if w.Prefix.AsksAny(a.all) {
			s.Above = append(s.Above, a.path)
		}
	}
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
	if t.live {
		return t.pod, nil
	}
	return newestPod(ctx, r, t, func(*corev1.Pod) bool { return true })
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
	_, answer := r.Admit(ctx, pod, prefix)
	return answer
}
