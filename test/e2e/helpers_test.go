package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/oidc-injector/oidc-injector/test/injector"
)

const statusAnnotation = "oidc-injector.io/status"

// namespace makes a namespace that is opted in.
func namespace(t *testing.T, name string) string {
	t.Helper()
	if err := kube.Namespace(t.Context(), name, map[string]string{injector.EnabledLabel: "true"}); err != nil {
		t.Fatal(err)
	}
	return name
}

// annotations gives each key of "key=value" our prefix.
func annotations(pairs ...string) map[string]string {
	m := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		m["oidc-injector.io/"+key] = value
	}
	return m
}

// newPod has one container "app" and the given annotations.
func newPod(name string, pairs ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations(pairs...)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
}

func create(t *testing.T, namespace string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	created, err := kube.Client().CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// createError creates a pod that must be refused and returns the error's text.
func createError(t *testing.T, namespace string, pod *corev1.Pod) string {
	t.Helper()
	_, err := kube.Client().CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err == nil {
		t.Fatalf("pod %s was created, want it denied", pod.Name)
	}
	return err.Error()
}

// tokens describes the token files that a container sees, as
// "path audience seconds", in order.
func tokens(pod *corev1.Pod, container string) []string {
	var seen []string
	for _, c := range allContainers(pod) {
		if c.Name != container {
			continue
		}
		for _, m := range c.VolumeMounts {
			seen = append(seen, volumeTokens(pod, m)...)
		}
	}
	slices.Sort(seen)
	return seen
}

func volumeTokens(pod *corev1.Pod, m corev1.VolumeMount) []string {
	var seen []string
	for _, v := range pod.Spec.Volumes {
		if v.Name != m.Name || v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if token := s.ServiceAccountToken; token != nil && token.Audience != "" {
				seen = append(seen, fmt.Sprintf("%s/%s %s %d", m.MountPath, token.Path, token.Audience, *token.ExpirationSeconds))
			}
		}
	}
	return seen
}

func allContainers(pod *corev1.Pod) []corev1.Container {
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	for _, e := range pod.Spec.EphemeralContainers {
		all = append(all, corev1.Container(e.EphemeralContainerCommon))
	}
	return all
}

// env returns the value of a container's variable.
func env(pod *corev1.Pod, container, name string) string {
	for _, c := range allContainers(pod) {
		for _, e := range c.Env {
			if c.Name == container && e.Name == name {
				return e.Value
			}
		}
	}
	return ""
}

// counter reads one of the webhook's counters.
func counter(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	value, err := webhook.Counter(t.Context(), name, labels...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func eventually(t *testing.T, what string, condition func(ctx context.Context) error) {
	t.Helper()
	var last error
	// Not the test's own context, which is over when its cleanups run.
	err := wait.PollUntilContextTimeout(context.WithoutCancel(t.Context()), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = condition(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

// warnings collects the admission warnings that a client gets.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader is called by client-go for each warning.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// clientWithWarnings is a client that remembers its warnings.
func clientWithWarnings(t *testing.T) (kubernetes.Interface, *warnings) {
	t.Helper()
	w := &warnings{}
	config := kube.RESTConfig()
	config.WarningHandler = w
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, w
}
