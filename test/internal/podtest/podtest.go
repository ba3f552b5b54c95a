// Package podtest is what end-to-end tests have in common that create pods and
// look at what became of them.
package podtest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/oidc-injector/oidc-injector/test/cluster"
)

// Prefix is that of our annotations.
const Prefix = "oidc-injector.io/"

// Annotations gives each key of "key=value" our prefix.
func Annotations(pairs ...string) map[string]string {
	m := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		m[Prefix+key] = value
	}
	return m
}

// New is a pod with one container "app" and the given annotations.
func New(name string, pairs ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: Annotations(pairs...)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
}

// Create creates a pod, and returns it as the API server stores it.
func Create(t *testing.T, kube *cluster.Cluster, namespace string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	created, err := kube.Client().CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// CreateError creates a pod that must be refused and returns the error's text.
func CreateError(t *testing.T, kube *cluster.Cluster, namespace string, pod *corev1.Pod) string {
	t.Helper()
	_, err := kube.Client().CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err == nil {
		t.Fatalf("pod %s was created, want it denied", pod.Name)
	}
	return err.Error()
}

// Containers are those of all kinds.
func Containers(pod *corev1.Pod) []corev1.Container {
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for _, e := range pod.Spec.EphemeralContainers {
		all = append(all, corev1.Container(e.EphemeralContainerCommon))
	}
	return all
}

// Tokens are the volumes of a pod that have our tokens.
func Tokens(pod *corev1.Pod) []corev1.Volume {
	var found []corev1.Volume
	for _, v := range pod.Spec.Volumes {
		if strings.HasPrefix(v.Name, "oidc-token") {
			found = append(found, v)
		}
	}
	return found
}

// Env returns the value of a container's variable.
func Env(pod *corev1.Pod, container, name string) string {
	for _, c := range Containers(pod) {
		for _, e := range c.Env {
			if c.Name == container && e.Name == name {
				return e.Value
			}
		}
	}
	return ""
}

// Eventually waits until a condition has no error, for a minute at most.
func Eventually(t *testing.T, what string, condition func(ctx context.Context) error) {
	t.Helper()
	EventuallyWithin(t, time.Minute, what, condition)
}

// EventuallyWithin waits until a condition has no error.
func EventuallyWithin(t *testing.T, most time.Duration, what string, condition func(ctx context.Context) error) {
	t.Helper()
	var last error
	// Not the test's own context, which is over when its cleanups run.
	err := wait.PollUntilContextTimeout(context.WithoutCancel(t.Context()), 100*time.Millisecond, most, true,
		func(ctx context.Context) (bool, error) {
			last = condition(ctx)
			return last == nil, nil
		})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

// Warnings collects the admission warnings that a client gets.
type Warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader is called by client-go for each warning.
func (w *Warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// Texts are the warnings so far, in order of the alphabet.
func (w *Warnings) Texts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(slices.Values(w.texts))
}

// ClientWithWarnings is a client that remembers its warnings.
func ClientWithWarnings(t *testing.T, kube *cluster.Cluster) (kubernetes.Interface, *Warnings) {
	t.Helper()
	w := &Warnings{}
	config := kube.RESTConfig()
	config.WarningHandler = w
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, w
}
