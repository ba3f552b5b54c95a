package diagnose

import (
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// Snapshot is what was read about a pod.
type Snapshot struct {
	// Of is the object that was named, such as pod/app or deployment/app, which is in
	// Namespace.
	Of, Namespace string
	// File is the one with the object, - for the standard input; empty for one of the cluster.
	File            string
	NamespaceLabels map[string]string
	// NamespaceUnread says that the labels are not known.
	NamespaceUnread bool
	// Pod is the pod, or that of the object's template.
	Pod *corev1.Pod
	// Template is the path of the object's template; empty for a pod. Above are the paths of
	// annotations of ours that do not reach it.
	Template string
	Above    []string
	// Live is the pod that runs, or the newest of the object's pods; nil for none.
	Live *corev1.Pod
	// Controller is what makes the pod, such as deployment/app or replicaset/app-1; empty for
	// a pod that somebody made by hand.
	Controller string
	// DryRun is what the API server makes of the pod; nil where it was not asked.
	DryRun *DryRun
	// Events are those of the pod, its controller and what is between them.
	Events []Event
	// ConfigMaps are those of [Snapshot.WantedConfigMaps], by name.
	ConfigMaps map[string]ConfigMap
	Webhook    Webhook
	// Matches evaluates a match condition for the creation of the pod.
	Matches func(c admissionregistrationv1.MatchCondition, pod *corev1.Pod, namespace string) (bool, error)
	Now     time.Time
}

// Webhook is what was read about an installation: a webhook, policies in its place, or both.
type Webhook struct {
	Prefix annotations.Prefix
	// Config is the one in force, or the built-in one.
	Config *config.Config
	// Registration is nil where there is none.
	Registration *Registration
	// Installation is nil where none was found, as where it runs outside of the cluster.
	Installation *Installation
	// Policies are nil where the API shows none.
	Policies *Policies
	// Unread says what could not be read, and why.
	Unread []Unread
}

// Registration is the webhook pods.PREFIX of a MutatingWebhookConfiguration.
type Registration struct {
	// Configuration is the object's name.
	Configuration string
	// Index is that of the webhook in it.
	Index int
	admissionregistrationv1.MutatingWebhook
	// Ready is how many endpoints of its Service are ready; nil where it has a URL, or they
	// were not read.
	Ready *int
}

// Installation is the webhook's Deployment.
type Installation struct {
	Namespace, Name string
	// ConfigMap is the one with the configuration.
	ConfigMap string
	// Release is the Helm release; empty where Helm does not manage it.
	Release string
	// Managed says that the webhook makes its certificates, and writes the caBundle.
	Managed bool
	// Replicas are wanted, and Ready are there.
	Replicas, Ready int32
}

// Unread is something that could not be read.
type Unread struct{ What, Why string }

// DryRun is the answer to the creation of a pod that is not stored.
type DryRun struct {
	// Warnings are those of the answer.
	Warnings []string
	// Injected says that the pod has come back with a status annotation that it did not have.
	Injected bool
	// Lacks says what a pod that was injected has not, of what [CheckSnapshot] had it ask for.
	Lacks []string
	// Reason and Message are those of an error; Message is empty where there was none.
	Reason  metav1.StatusReason
	Message string
}

// ConfigMap says whether one is there.
type ConfigMap struct {
	Found bool
	Keys  []string
	// Unread is why that is not known.
	Unread string
}

// Event is an event of the type Warning.
type Event struct {
	Object, Reason, Message string
	// Container is that of the pod that it is about; empty where it is about the whole.
	Container string
	Count     int32
	Last      time.Time
}
