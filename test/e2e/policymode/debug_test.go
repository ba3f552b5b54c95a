package policymode

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestDebugContainers adds the debug containers of the golden files to running pods, which
// were created before anything served their namespaces.
func TestDebugContainers(t *testing.T) {
	inputs, err := filepath.Glob("../../../internal/mutate/testdata/*.old.json")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	labels := map[string]string{"shop-debug-w": injector.EnabledLabel, "shop-debug-p": policyLabel}
	running := map[string]map[string]*corev1.Pod{}
	for namespace := range labels {
		if err := kube.Namespace(t.Context(), namespace, nil); err != nil {
			t.Fatal(err)
		}
		running[namespace] = map[string]*corev1.Pod{}
		for _, input := range inputs {
			name := strings.TrimSuffix(filepath.Base(input), ".old.json")
			pod := readPod(t, input)
			pod.Name, pod.Namespace = name, namespace
			earlier := pod.Spec.EphemeralContainers
			pod.Spec.EphemeralContainers = nil
			created := podtest.Create(t, kube, namespace, pod)
			if created.Spec.EphemeralContainers = earlier; len(earlier) > 0 {
				if created, err = kube.Client().CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), name, created,
					metav1.UpdateOptions{}); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			running[namespace][name] = created
		}
	}
	for namespace, label := range labels {
		patch := []byte(`{"metadata":{"labels":{"` + label + `":"true"}}}`)
		if _, err := kube.Client().CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, patch,
			metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	podtest.Eventually(t, "both to serve", func(ctx context.Context) error {
		for namespace := range labels {
			pod, err := dryRun(ctx, namespace, podtest.New("probe", "audience=vault"))
			if err != nil {
				return err
			}
			if pod.Annotations[podtest.Prefix+"status"] == "" {
				return errors.New("not yet in " + namespace)
			}
		}
		return nil
	})
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".old.json")
		t.Run(name, func(t *testing.T) {
			added := readPod(t, filepath.Join(filepath.Dir(input), name+".pod.json")).Spec.EphemeralContainers
			debug := func(namespace string) ([]corev1.EphemeralContainer, error) {
				pod := running[namespace][name].DeepCopy()
				pod.Spec.EphemeralContainers = added
				got, err := kube.Client().CoreV1().Pods(namespace).UpdateEphemeralContainers(t.Context(), name, pod,
					metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil {
					return nil, err
				}
				return got.Spec.EphemeralContainers, nil
			}
			want, webhookError := debug("shop-debug-w")
			got, policyError := debug("shop-debug-p")
			if (webhookError != nil) != (policyError != nil) {
				t.Fatalf("webhook: %v\npolicy:  %v", webhookError, policyError)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-webhook +policy):\n%s", diff)
			}
		})
	}
}

func readPod(t *testing.T, file string) *corev1.Pod {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(raw, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}
