package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
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

// newPod has one container "app" and the given annotations.
func newPod(name string, pairs ...string) *corev1.Pod { return podtest.New(name, pairs...) }

func create(t *testing.T, namespace string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	return podtest.Create(t, kube, namespace, pod)
}

// createError creates a pod that must be refused and returns the error's text.
func createError(t *testing.T, namespace string, pod *corev1.Pod) string {
	t.Helper()
	return podtest.CreateError(t, kube, namespace, pod)
}

// tokens describes the token files that a container sees, as
// "path audience seconds", in order.
func tokens(pod *corev1.Pod, container string) []string {
	var seen []string
	for _, c := range podtest.Containers(pod) {
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

// env returns the value of a container's variable.
func env(pod *corev1.Pod, container, name string) string { return podtest.Env(pod, container, name) }

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
	podtest.Eventually(t, what, condition)
}
