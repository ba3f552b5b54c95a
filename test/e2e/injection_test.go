package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestScenario compares the annotated pod with the one that people write by
// hand, both as the API server stores them.
func TestScenario(t *testing.T) {
	ns := namespace(t, "scenario")
	byHand := newPod("by-hand")
	byHand.Spec.Volumes = []corev1.Volume{{Name: "oidc-token", VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
			ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Path: "oidc-token", ExpirationSeconds: new(int64(7200)), Audience: "vault",
			},
		}}},
	}}}
	byHand.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{MountPath: "/var/run/secrets/tokens", Name: "oidc-token"}}
	want, got := create(t, ns, byHand), create(t, ns, newPod("annotated", "audience=vault", "expiration=7200"))

	if diff := cmp.Diff(podtest.Tokens(want), podtest.Tokens(got)); diff != "" {
		t.Errorf("volumes (-by hand +annotated):\n%s", diff)
	}
	mounts := func(p *corev1.Pod) []corev1.VolumeMount {
		var found []corev1.VolumeMount
		for _, m := range p.Spec.Containers[0].VolumeMounts {
			if m.Name == "oidc-token" {
				found = append(found, m)
			}
		}
		return found
	}
	if diff := cmp.Diff(mounts(want), mounts(got)); diff != "" {
		t.Errorf("mounts (-by hand +annotated):\n%s", diff)
	}
	var status struct{ Tokens, Containers []string }
	if err := json.Unmarshal([]byte(got.Annotations[statusAnnotation]), &status); err != nil {
		t.Fatalf("status %q: %v", got.Annotations[statusAnnotation], err)
	}
	if diff := cmp.Diff([][]string{{"default"}, {"app"}}, [][]string{status.Tokens, status.Containers}); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestTokensPerContainer(t *testing.T) {
	ns := namespace(t, "many-tokens")
	pod := newPod("many",
		"audience=vault", "env=VAULT_TOKEN_FILE",
		"audience.aws=sts.amazonaws.com", "expiration.aws=24h", "containers.aws=app", "env.aws=AWS_WEB_IDENTITY_TOKEN_FILE",
		"audience.db=database", "mount-path.db=/var/run/db", "token-file.db=jwt", "skip-containers.db=app")
	always := corev1.ContainerRestartPolicyAlways
	pod.Spec.InitContainers = []corev1.Container{
		{Name: "migrate", Image: "migrate"},
		{Name: "proxy", Image: "proxy", RestartPolicy: &always},
	}
	got := create(t, ns, pod)
	const tokens0 = "/var/run/secrets/tokens"
	want := map[string][]string{
		"app":     {tokens0 + "-aws/oidc-token sts.amazonaws.com 86400", tokens0 + "/oidc-token vault 3600"},
		"migrate": {"/var/run/db/jwt database 3600", tokens0 + "/oidc-token vault 3600"},
		"proxy":   {"/var/run/db/jwt database 3600", tokens0 + "/oidc-token vault 3600"},
	}
	for container, tokenFiles := range want {
		if diff := cmp.Diff(tokenFiles, tokens(got, container)); diff != "" {
			t.Errorf("container %s (-want +got):\n%s", container, diff)
		}
	}
	if got := env(got, "app", "AWS_WEB_IDENTITY_TOKEN_FILE"); got != tokens0+"-aws/oidc-token" {
		t.Errorf("app's variable is %q", got)
	}
	if got := env(got, "migrate", "AWS_WEB_IDENTITY_TOKEN_FILE"); got != "" {
		t.Errorf("migrate has the variable %q of a token that it does not have", got)
	}
}

func TestProfiles(t *testing.T) {
	ns := namespace(t, "profiles")
	vault := create(t, ns, newPod("vault", "profile=vault"))
	if diff := cmp.Diff([]string{"/var/run/secrets/tokens/oidc-token vault 7200"}, tokens(vault, "app")); diff != "" {
		t.Errorf("profile vault (-want +got):\n%s", diff)
	}
	if got := env(vault, "app", "VAULT_TOKEN_FILE"); got != "/var/run/secrets/tokens/oidc-token" {
		t.Errorf("VAULT_TOKEN_FILE is %q", got)
	}
	own := create(t, ns, newPod("own", "profile=vault", "expiration=15m"))
	if diff := cmp.Diff([]string{"/var/run/secrets/tokens/oidc-token vault 900"}, tokens(own, "app")); diff != "" {
		t.Errorf("the pod's own key (-want +got):\n%s", diff)
	}
	clouds := create(t, ns, newPod("clouds", "profile=clouds", "inject.azure=false"))
	if diff := cmp.Diff([]string{"/var/run/secrets/aws/oidc-token sts.amazonaws.com 3600"}, tokens(clouds, "app")); diff != "" {
		t.Errorf("profile clouds without azure (-want +got):\n%s", diff)
	}
}

// TestWindows passes the paths of a Windows pod through the API's validation.
func TestWindows(t *testing.T) {
	ns := namespace(t, "windows")
	pod := newPod("app", "audience=vault", `mount-path=C:\var\run\tokens`, "env=TOKEN_FILE")
	pod.Spec.OS = &corev1.PodOS{Name: corev1.Windows}
	got := create(t, ns, pod)
	if diff := cmp.Diff([]string{`C:\var\run\tokens/oidc-token vault 3600`}, tokens(got, "app")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := env(got, "app", "TOKEN_FILE"); got != `C:\var\run\tokens\oidc-token` {
		t.Errorf("TOKEN_FILE is %q", got)
	}
}

func TestUnlabelledNamespace(t *testing.T) {
	if err := kube.Namespace(t.Context(), "not-opted-in", nil); err != nil {
		t.Fatal(err)
	}
	before := counter(t, "oidc_injector_admissions_total")
	pod := create(t, "not-opted-in", newPod("app", "audience=vault"))
	if len(tokens(pod, "app")) > 0 || pod.Annotations[statusAnnotation] != "" {
		t.Errorf("the pod was injected: %v", tokens(pod, "app"))
	}
	if after := counter(t, "oidc_injector_admissions_total"); after != before {
		t.Errorf("the webhook was called %v times", after-before)
	}
}

func TestUnannotatedPodIsNotSent(t *testing.T) {
	ns := namespace(t, "unannotated")
	before := counter(t, "oidc_injector_admissions_total")
	plain, other := newPod("plain"), newPod("other")
	plain.Annotations, other.Annotations = nil, map[string]string{"example.com/audience": "vault"}
	create(t, ns, plain)
	create(t, ns, other)
	if after := counter(t, "oidc_injector_admissions_total"); after != before {
		t.Errorf("the webhook was called %v times", after-before)
	}
	create(t, ns, newPod("annotated", "audience=vault"))
	if after := counter(t, "oidc_injector_admissions_total"); after <= before {
		t.Error("the counter does not count")
	}
}

func TestOptOut(t *testing.T) {
	ns := namespace(t, "opt-out")
	before := counter(t, "oidc_injector_admissions_total", "outcome", "unchanged", "reason", "opted_out")
	pod := create(t, ns, newPod("app", "inject=false", "audience=vault", "expiration=nonsense"))
	if len(tokens(pod, "app")) > 0 {
		t.Errorf("the pod was injected: %v", tokens(pod, "app"))
	}
	if after := counter(t, "oidc_injector_admissions_total", "outcome", "unchanged", "reason", "opted_out"); after != before+1 {
		t.Errorf("the counter rose by %v, want 1", after-before)
	}
}

func TestDryRun(t *testing.T) {
	ns := namespace(t, "dry-run")
	pods := kube.Client().CoreV1().Pods(ns)
	pod, err := pods.Create(t.Context(), newPod("app", "audience=vault"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/var/run/secrets/tokens/oidc-token vault 3600"}, tokens(pod, "app")); diff != "" {
		t.Errorf("dry run (-want +got):\n%s", diff)
	}
	list, err := pods.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("%d pods after a dry run, error %v", len(list.Items), err)
	}
}

// TestDeployment takes the way that most pods take: a template, validated by
// the API server, of which a controller makes pods without a name.
func TestDeployment(t *testing.T) {
	ns := namespace(t, "deployment")
	labels := map[string]string{"app": "web"}
	template := newPod("", "audience=vault", "expiration=2h")
	template.Labels = labels
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(2)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: template.ObjectMeta, Spec: template.Spec},
		},
	}
	stored, err := kube.Client().AppsV1().Deployments(ns).Create(t.Context(), deployment, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.Spec.Template.Spec.Volumes) > 0 {
		t.Errorf("the template was changed: %v", stored.Spec.Template.Spec.Volumes)
	}
	eventually(t, "two injected pods of the Deployment", func(ctx context.Context) error {
		pods, err := kube.Client().CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items) != 2 {
			return fmt.Errorf("%d pods, error %w", len(pods.Items), err)
		}
		for i := range pods.Items {
			want := []string{"/var/run/secrets/tokens/oidc-token vault 7200"}
			if diff := cmp.Diff(want, tokens(&pods.Items[i], "app")); diff != "" {
				t.Fatalf("pod %s (-want +got):\n%s", pods.Items[i].Name, diff)
			}
		}
		return nil
	})
}
