package chart

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/helm"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// Namespaces that the webhook serves, and does not.
const served, unserved = "helm-test-served", "helm-test-unserved"

// TestHelmTest runs `helm test`, with a webhook that runs beside the cluster, and without
// one. There is no node; the pod of the test is said to have run.
func TestHelmTest(t *testing.T) {
	webhook, err := injector.Start(t.Context(), nil, injector.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := webhook.Stop(); err != nil {
			t.Error(err)
		}
	})
	for namespace, labels := range map[string]map[string]string{served: {injector.EnabledLabel: "true"}, unserved: nil} {
		if err := kube.Namespace(t.Context(), namespace, labels); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range helms {
		t.Run(h.Name, func(t *testing.T) { testHelmTest(t, h, webhook) })
	}
	if err := webhook.Terminate(); err != nil {
		t.Fatal(err)
	}
}

func testHelmTest(t *testing.T, h helm.Helm, webhook *injector.Injector) {
	withNamespace(t)
	gone := helm.NothingIsLeft(t, kube)
	install(t, h)
	sendTo(t, webhook)
	pretendToRunPods(t)

	before := injected(t, webhook)
	h.MustRun(t, "test", release, "--timeout=60s")
	if injected(t, webhook) != before+1 {
		t.Error("the test has passed without the webhook")
	}
	h.MustRun(t, "uninstall", release, "--wait", "--timeout=60s")
	gone()

	// In a namespace that is not served nothing is added, so the pod is not valid.
	install(t, h, "--set=test.namespace="+unserved)
	sendTo(t, webhook)
	_, err := h.Run(t.Context(), "test", release, "--timeout=20s")
	if err == nil || !strings.Contains(err.Error(), `volumeMounts[0].name: Not found: "oidc-token"`) {
		t.Errorf("without the webhook the test says: %v", err)
	}
}

// install installs the chart for one test.
func install(t *testing.T, h helm.Helm, args ...string) {
	t.Helper()
	h.MustRun(t, append([]string{"install", release, chartDir}, args...)...)
	t.Cleanup(func() {
		if _, err := h.Run(context.WithoutCancel(t.Context()), "uninstall", release, "--ignore-not-found"); err != nil {
			t.Error(err)
		}
	})
}

func injected(t *testing.T, webhook *injector.Injector) float64 {
	t.Helper()
	value, err := webhook.Counter(t.Context(), "oidc_injector_admissions_total", "outcome", "mutated")
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// sendTo has the API server call a webhook outside of the cluster, and waits until it does
// in a namespace that is served.
func sendTo(t *testing.T, webhook *injector.Injector) {
	t.Helper()
	ca, err := webhook.CA()
	if err != nil {
		t.Fatal(err)
	}
	var patch []map[string]any
	for _, path := range []string{"/webhooks/0/clientConfig", "/webhooks/1/clientConfig"} {
		patch = append(patch, map[string]any{"op": "replace", "path": path, "value": map[string]any{"url": webhook.URL(), "caBundle": ca}})
	}
	text, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().
		Patch(t.Context(), release, types.JSONPatchType, text, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	podtest.Eventually(t, "the API server to call the webhook", func(ctx context.Context) error {
		created, err := kube.Client().CoreV1().Pods(served).
			Create(ctx, podtest.New("probe", "audience=probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && created.Annotations[podtest.Prefix+"status"] == "" {
			err = errors.New("the pod is not injected")
		}
		return err
	})
}

// pretendToRunPods says of each pod of a test that it has run.
func pretendToRunPods(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			pods, err := kube.Client().CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=test"})
			if err != nil {
				continue
			}
			for i := range pods.Items {
				pod := &pods.Items[i]
				pod.Status.Phase = corev1.PodSucceeded
				_, _ = kube.Client().CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{}) // it may be gone
			}
		}
	}()
}
