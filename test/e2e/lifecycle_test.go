package e2e

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestReinvocation registers a second webhook, called after ours, that adds a
// container. The API server then calls ours again, and the new container must
// get what the others have, without anything twice.
func TestReinvocation(t *testing.T) {
	ns := namespace(t, "reinvocation")
	podtest.RegisterContainerAdder(t, kube, ns)
	before := counter(t, "oidc_injector_admissions_total", "outcome", "mutated")
	pod := create(t, ns, newPod("app", "audience=vault", "env=TOKEN_FILE"))
	want := []string{"/var/run/secrets/tokens/oidc-token vault 3600"}
	for _, container := range []string{"app", "added"} {
		if diff := cmp.Diff(want, tokens(pod, container)); diff != "" {
			t.Errorf("container %s (-want +got):\n%s", container, diff)
		}
		if got := env(pod, container, "TOKEN_FILE"); got != "/var/run/secrets/tokens/oidc-token" {
			t.Errorf("container %s has TOKEN_FILE=%q", container, got)
		}
	}
	if len(podtest.Tokens(pod)) != 1 {
		t.Errorf("%d volumes, want 1", len(podtest.Tokens(pod)))
	}
	if !strings.Contains(pod.Annotations[statusAnnotation], `"containers":["app","added"]`) {
		t.Errorf("status is %s", pod.Annotations[statusAnnotation])
	}
	if after := counter(t, "oidc_injector_admissions_total", "outcome", "mutated"); after != before+2 {
		t.Errorf("our webhook patched %v times, want 2", after-before)
	}
}

// TestDebugContainer adds ephemeral containers as kubectl debug does.
func TestDebugContainer(t *testing.T) {
	ns := namespace(t, "debug")
	template := newPod("app", "audience=vault", "env=TOKEN_FILE", "audience.db=database", "mount-path.db=/var/run/db",
		"containers.db=worker")
	template.Spec.Containers = append(template.Spec.Containers, corev1.Container{Name: "worker", Image: "worker"})
	pod := create(t, ns, template)
	for _, test := range []struct {
		name, target string
		want         []string
	}{
		{"debug-any", "", []string{"/var/run/secrets/tokens/oidc-token vault 3600"}},
		{"debug-app", "app", []string{"/var/run/secrets/tokens/oidc-token vault 3600"}},
		{"debug-worker", "worker", []string{"/var/run/db/oidc-token database 3600", "/var/run/secrets/tokens/oidc-token vault 3600"}},
	} {
		pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: test.name, Image: "busybox"},
			TargetContainerName:      test.target,
		})
		updated, err := kube.Client().CoreV1().Pods(ns).UpdateEphemeralContainers(t.Context(), pod.Name, pod, metav1.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, tokens(updated, test.name)); diff != "" {
			t.Errorf("container %s (-want +got):\n%s", test.name, diff)
		}
		if got := env(updated, test.name, "TOKEN_FILE"); got != "/var/run/secrets/tokens/oidc-token" {
			t.Errorf("container %s has TOKEN_FILE=%q", test.name, got)
		}
		pod = updated
	}
}

// TestDebugContainerOfUninjectedPod debugs a pod that was created before its
// namespace was opted in.
func TestDebugContainerOfUninjectedPod(t *testing.T) {
	if err := kube.Namespace(t.Context(), "late", nil); err != nil {
		t.Fatal(err)
	}
	pod := create(t, "late", newPod("app", "audience=vault"))
	label := []byte(`{"metadata":{"labels":{"oidc-injector.io/enabled":"true"}}}`)
	if _, err := kube.Client().CoreV1().Namespaces().Patch(t.Context(), "late", "application/merge-patch+json", label,
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	client, seen := podtest.ClientWithWarnings(t, kube)
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name:  "debug",
		Image: "busybox",
	}}}
	eventually(t, "the label in force", func(ctx context.Context) error {
		_, err := client.CoreV1().Pods("late").UpdateEphemeralContainers(ctx, pod.Name, pod,
			metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			t.Fatal(err)
		}
		if len(seen.Texts()) == 0 {
			return errors.New("no warning yet")
		}
		return nil
	})
	want := `debug container "debug" gets no token: the pod was created without a volume for it, and the volumes of a running pod ` +
		`cannot change`
	if seen.Texts()[0] != want {
		t.Errorf("warning is %q, want %q", seen.Texts()[0], want)
	}
}

// TestAPIServerRestart checks that nothing of ours depends on a connection or a
// cache that an API server's restart ends.
func TestAPIServerRestart(t *testing.T) {
	ns := namespace(t, "restart")
	create(t, ns, newPod("before", "audience=vault"))
	if err := kube.RestartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an injected pod after the restart", func(ctx context.Context) error {
		pod, err := kube.Client().CoreV1().Pods(ns).Create(ctx, newPod("after", "audience=vault"), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		// From the first pod on: no moment in which pods pass uninjected.
		if diff := cmp.Diff([]string{"/var/run/secrets/tokens/oidc-token vault 3600"}, tokens(pod, "app")); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		return nil
	})
}

// TestWebhookDown ends the webhook: annotated pods must be denied then, never
// admitted without their token, and all others must not notice.
func TestWebhookDown(t *testing.T) {
	ns := namespace(t, "down")
	if err := webhook.Terminate(); err != nil {
		t.Fatalf("the webhook did not end in order: %v", err)
	}
	got := createError(t, ns, newPod("annotated", "audience=vault"))
	if want := `failed calling webhook "pods.oidc-injector.io"`; !strings.Contains(got, want) {
		t.Errorf("got %q, want it to say %q", got, want)
	}
	create(t, ns, newPod("unannotated"))
	if err := webhook.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	create(t, ns, newPod("annotated", "audience=vault"))
}
