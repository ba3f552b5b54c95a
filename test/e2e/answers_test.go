package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestDenialHasAllErrors shows the texts that people see.
func TestDenialHasAllErrors(t *testing.T) {
	ns := namespace(t, "denials")
	pod := newPod("app", "audience=", "expiration=5m", "mount-path=secrets", "env=1ST", "file-mode=0888")
	_, err := kube.Client().CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsInvalid(err) {
		t.Fatalf("got error %v, want one of reason Invalid", err)
	}
	const at = "metadata.annotations[oidc-injector.io/"
	var got []string
	for _, cause := range status.ErrStatus.Details.Causes {
		got = append(got, strings.TrimPrefix(cause.Field, at)+" "+cause.Message)
	}
	want := []string{
		`audience] Invalid value: "": the audience must not be empty`,
		`env] Invalid value: "1ST": must be the name of an environment variable: letters, digits and '_', not starting with a digit, ` +
			`such as VAULT_TOKEN_FILE`,
		`expiration] Invalid value: "5m": must be whole seconds (7200) or a Go duration (2h), from 600 to 172800 seconds`,
		`file-mode] Invalid value: "0888": must be an octal mode from 0004 to 0777 that lets somebody read, such as 0440`,
		`mount-path] Invalid value: "secrets": must be an absolute path, such as /var/run/secrets/tokens`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(err.Error(), `admission webhook "pods.oidc-injector.io" denied the request: [`) {
		t.Errorf("the error begins otherwise: %v", err)
	}
}

func TestDenialInKubectl(t *testing.T) {
	ns := namespace(t, "kubectl-denial")
	_, err := kube.KubectlWithInput(t.Context(), strings.NewReader(`{"apiVersion":"v1","kind":"Pod",
		"metadata":{"name":"app","annotations":{"oidc-injector.io/audience":"vault","oidc-injector.io/expiration":"forever"}},
		"spec":{"containers":[{"name":"app","image":"app"}]}}`), "--namespace="+ns, "create", "--filename=-")
	if err == nil {
		t.Fatal("the pod was created")
	}
	for _, want := range []string{
		`The Pod "app" is invalid`,
		`metadata.annotations[oidc-injector.io/expiration]: Invalid value: "forever": must be whole seconds (7200) or a Go duration (2h)`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("kubectl does not say %q: %v", want, err)
		}
	}
}

func TestConflictErrorHasBothSides(t *testing.T) {
	ns := namespace(t, "conflicts")
	pod := newPod("app", "audience=vault", "env=TOKEN")
	pod.Spec.Volumes = []corev1.Volume{{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "cache", MountPath: "/var/run/secrets/tokens"}}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "TOKEN", Value: "other"}}
	got := createError(t, ns, pod)
	for _, want := range []string{
		`volume "cache"`, "oidc-injector.io/audience", "spec.containers[0].volumeMounts[0].mountPath",
		"spec.containers[0].env[0].name", "oidc-injector.io/env",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in: %s", want, got)
		}
	}
}

func TestPolicy(t *testing.T) {
	free, strict := namespace(t, "free"), namespace(t, "strict-payments")
	create(t, free, newPod("any", "audience=anything"))
	create(t, strict, newPod("allowed", "audience=https://a.example.com"))
	for _, test := range []struct{ namespace, audience, want string }{
		{free, "forbidden-fruit", `the injector's policy denies this audience in namespace "free"`},
		{strict, "anything", `the injector's policy allows in namespace "strict-payments": vault, https://*.example.com`},
		{free, "https://kubernetes.default.svc", "this is an audience of the API server itself"},
	} {
		if got := createError(t, test.namespace, newPod("denied", "audience="+test.audience)); !strings.Contains(got, test.want) {
			t.Errorf("audience %s: got %q, want it to say %q", test.audience, got, test.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	ns := namespace(t, "warnings")
	client, seen := podtest.ClientWithWarnings(t, kube)
	pod := newPod("app", "audience=vault", "expiraton=2h", "skip-containers=porxy", "file-mode=0400")
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: new(int64(1000))}
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "proxy", Image: "proxy"})
	if _, err := client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`unknown annotation "oidc-injector.io/expiraton": did you mean oidc-injector.io/expiration?`,
		`container "app" may not be able to read /var/run/secrets/tokens: it runs as user 1000, and the file has mode 0400, user 0 and ` +
			`group 0; set fsGroup or oidc-injector.io/file-mode`,
		`container "proxy" may not be able to read /var/run/secrets/tokens: it runs as the user of its image, and the file has mode 0400,` +
			` user 0 and group 0; set fsGroup or oidc-injector.io/file-mode`,
		`oidc-injector.io/skip-containers: the pod has no container "porxy"`,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, seen.Texts()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// TestConfigurationReload changes the policy of the running webhook, then breaks
// the file, which must leave the last good one in force.
func TestConfigurationReload(t *testing.T) {
	ns := namespace(t, "reload")
	t.Cleanup(func() {
		if err := webhook.SetConfig(config); err != nil {
			t.Error(err)
		}
		waitForConfig(t, 1, func(context.Context) error { return allowed(t, ns, "reloaded-denied") })
	})
	if err := webhook.SetConfig(strings.Replace(config, "forbidden-*", "reloaded-*", 1)); err != nil {
		t.Fatal(err)
	}
	denied := func(context.Context) error {
		if allowed(t, ns, "reloaded-denied") == nil {
			return errors.New("the audience is allowed")
		}
		return nil
	}
	waitForConfig(t, 1, denied)
	failures := counter(t, "oidc_injector_config_reloads_total", "result", "failure")
	if err := webhook.SetConfig("policy: [broken"); err != nil {
		t.Fatal(err)
	}
	waitForConfig(t, 0, denied)
	if after := counter(t, "oidc_injector_config_reloads_total", "result", "failure"); after != failures+1 {
		t.Errorf("failures rose by %v, want 1", after-failures)
	}
	if !strings.Contains(webhook.Log(), "configuration not reloaded, the previous one stays in force") {
		t.Error("the log does not tell of the broken file")
	}
}

// waitForConfig waits until the gauge and the behaviour are as expected.
func waitForConfig(t *testing.T, successful float64, behaves func(context.Context) error) {
	t.Helper()
	eventually(t, "reload of the configuration", func(ctx context.Context) error {
		got, err := webhook.Counter(ctx, "oidc_injector_config_last_reload_successful")
		if err != nil || got != successful {
			return fmt.Errorf("last_reload_successful is %v, error %w", got, err)
		}
		return behaves(ctx)
	})
}

// allowed tells, by a dry run, whether an audience is allowed.
func allowed(t *testing.T, ns, audience string) error {
	t.Helper()
	_, err := kube.Client().CoreV1().Pods(ns).Create(context.WithoutCancel(t.Context()), newPod("dry", "audience="+audience),
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
