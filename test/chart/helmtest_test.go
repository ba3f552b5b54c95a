package chart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/helm"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// testNamespace is that in which `helm test` has a pod admitted. It is made of the names of
// release and namespace: nobody else has it by chance.
const testNamespace = "oidc-injector-test-25237bd6"

// Namespaces that the webhook serves, and does not.
const served, unserved = "helm-test-served", "helm-test-unserved"

// TestHelmTest runs `helm test`, with a webhook that runs beside the cluster, and without
// one.
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

// TestHelmTestOfPolicies runs `helm test` in policy mode, where the API server needs nobody.
func TestHelmTestOfPolicies(t *testing.T) {
	program, err := injector.Build(t.Context(), "webhook", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := kube.Namespace(t.Context(), unserved, nil); err != nil {
		t.Fatal(err)
	}
	for _, h := range helms {
		t.Run(h.Name, func(t *testing.T) {
			withNamespace(t)
			gone := helm.NothingIsLeft(t, kube)
			install(t, h, policies)
			kubelet := runTestPods(t, program)
			h.MustRun(t, "test", release, "--timeout=60s")
			if said := kubelet.last(); !strings.Contains(said,
				`✓ dry run: a pod in namespace `+testNamespace+` gets a token for audience "oidc-injector-check"`) {
				t.Errorf("the test says %q", said)
			}
			h.MustRun(t, "uninstall", release, "--wait", "--timeout=60s")
			gone()
			install(t, h, policies, "--set=test.namespace="+unserved)
			if _, err := h.Run(t.Context(), "test", release, "--timeout=60s"); err == nil {
				t.Error("where no policy is for, the test passes")
			}
		})
	}
}

func testHelmTest(t *testing.T, h helm.Helm, webhook *injector.Injector) {
	withNamespace(t)
	gone := helm.NothingIsLeft(t, kube)
	install(t, h)
	sendTo(t, webhook)
	kubelet := runTestPods(t, webhook.Program())

	before := injected(t, webhook)
	h.MustRun(t, "test", release, "--timeout=60s")
	if injected(t, webhook) == before {
		t.Error("the test has passed without the webhook")
	}
	if said := kubelet.last(); !strings.Contains(said,
		`✓ dry run: a pod in namespace `+testNamespace+` gets a token for audience "oidc-injector-check"`) {
		t.Errorf("the test says %q", said)
	}
	h.MustRun(t, "uninstall", release, "--wait", "--timeout=60s")
	gone()

	// In a namespace that is not served nothing is added.
	install(t, h, "--set=test.namespace="+unserved)
	sendTo(t, webhook)
	if _, err := h.Run(t.Context(), "test", release, "--timeout=60s"); err == nil {
		t.Error("without the webhook the test passes")
	}
	if said := kubelet.last(); !strings.Contains(said, "✗ dry run: the webhook was not called: an annotated pod of "+
		"namespace "+unserved) {
		t.Errorf("without the webhook the test says %q", said)
	}
	// Its log is what people look at; its right is nothing that should stay.
	if _, err := kube.Client().CoreV1().Pods(namespace).Get(t.Context(), "oidc-injector-test", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := kube.Client().RbacV1().Roles(unserved).Get(t.Context(), "oidc-injector-test",
		metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the right of the test is still there: %v", err)
	}
}

// noHooks leaves out what no kubelet is here to run.
const noHooks = "--no-hooks"

// install installs the chart for one test.
func install(t *testing.T, h helm.Helm, args ...string) {
	t.Helper()
	h.MustRun(t, append([]string{"install", release, chartDir, noHooks, registry}, args...)...)
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
	configurations := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	installed, err := configurations.Get(t.Context(), release, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(webhook.URL(), "/mutate")
	for i := range installed.Webhooks {
		client := map[string]any{"url": base + *installed.Webhooks[i].ClientConfig.Service.Path, "caBundle": ca}
		patch = append(patch, map[string]any{"op": "replace", "path": fmt.Sprintf("/webhooks/%d/clientConfig", i), "value": client})
	}
	text, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := configurations.Patch(t.Context(), release, types.JSONPatchType, text, metav1.PatchOptions{}); err != nil {
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

// testKubelet runs the pods of `helm test`, as there is no node.
type testKubelet struct {
	binary string

	mu   sync.Mutex
	said string
}

// last is what the last pod said.
func (k *testKubelet) last() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.said
}

// runTestPods runs each pod's program beside the cluster until the end of the test, with the
// token of the pod's ServiceAccount and so with its rights, and tells how it has ended.
func runTestPods(t *testing.T, program string) *testKubelet {
	t.Helper()
	k := &testKubelet{binary: program}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			pods, err := kube.Client().CoreV1().Pods(namespace).
				List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=test", FieldSelector: "status.phase=Pending"})
			if err != nil {
				continue
			}
			for i := range pods.Items {
				k.run(ctx, t, &pods.Items[i])
			}
		}
	}()
	return k
}

func (k *testKubelet) run(ctx context.Context, t *testing.T, pod *corev1.Pod) {
	t.Helper()
	kubeconfig, err := tokenKubeconfig(ctx, pod.Spec.ServiceAccountName, t.TempDir())
	if err != nil {
		t.Error(err)
		return
	}
	out, err := exec.CommandContext(ctx, k.binary, append(pod.Spec.Containers[0].Args, "--timeout=5s",
		"--kubeconfig="+kubeconfig)...).CombinedOutput()
	pod.Status.Phase = corev1.PodSucceeded
	if err != nil {
		pod.Status.Phase = corev1.PodFailed
	}
	k.mu.Lock()
	k.said = string(out)
	k.mu.Unlock()
	if _, err := kube.Client().CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}
