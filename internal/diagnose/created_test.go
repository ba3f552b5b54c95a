package diagnose

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// TestAsCreated takes back what was injected, and nothing else, from a copy.
func TestAsCreated(t *testing.T) {
	t.Parallel()
	pod := snapshot(t).Pod
	app := &pod.Spec.Containers[0]
	app.VolumeMounts = append(app.VolumeMounts, corev1.VolumeMount{Name: "oidc-tokens-of-mine", MountPath: "/mine"})
	app.Env = []corev1.EnvVar{{Name: "A", Value: "/var/run/secrets/tokens/oidc-token"}, {Name: "B", Value: "/mine/file"}}
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "oidc-tokens-of-mine"}, corev1.Volume{Name: "oidc-login-ca-vault"})
	pod.Spec.InitContainers = []corev1.Container{{Name: "oidc-login"}, {Name: "oidc-login-vault"}, {Name: "init"}}
	before := pod.DeepCopy()

	want := pod.DeepCopy()
	delete(want.Annotations, status)
	want.Spec.Volumes = want.Spec.Volumes[1:2]
	want.Spec.InitContainers = want.Spec.InitContainers[2:]
	want.Spec.Containers[0].VolumeMounts = want.Spec.Containers[0].VolumeMounts[1:]
	want.Spec.Containers[0].Env = want.Spec.Containers[0].Env[1:]
	if diff := cmp.Diff(want, AsCreated(pod, "oidc-injector.io")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before, pod); diff != "" {
		t.Errorf("the pod itself has changed:\n%s", diff)
	}
	delete(pod.Annotations, status)
	if AsCreated(pod, "oidc-injector.io") != pod {
		t.Error("a pod that was not injected has changed")
	}
}
