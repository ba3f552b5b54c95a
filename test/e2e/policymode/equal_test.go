package policymode

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/mutate/mutatetest"
	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// dryRun creates a pod without storing it, and returns what would be stored, without what
// the API server makes anew for each pod.
func dryRun(ctx context.Context, namespace string, pod *corev1.Pod) (*corev1.Pod, error) {
	pod = pod.DeepCopy()
	pod.Namespace = namespace
	created, err := kube.Client().CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, err
	}
	if pod.Name == "" {
		created.Name = ""
	}
	// Templates of providers have the namespace in them.
	for _, containers := range [][]corev1.Container{created.Spec.InitContainers, created.Spec.Containers} {
		for i := range containers {
			for j := range containers[i].Env {
				e := &containers[i].Env[j]
				e.Value = strings.ReplaceAll(e.Value, namespace, "NAMESPACE")
			}
		}
	}
	created.Namespace = ""
	return podtest.Normalized(created), nil
}

// outcome is what became of a pod.
type outcome int

const (
	// equal pods are stored, and are the same.
	equal outcome = iota
	// deniedByBoth is what webhook and policies refuse.
	deniedByBoth
	// needsWebhook is what the policies refuse in these words: docs/modes.md has the list.
	needsWebhook
	// refusedAnyway is what the API server refuses by itself.
	refusedAnyway
)

// same creates a pod in both namespaces, and compares.
func same(t *testing.T, pod *corev1.Pod) outcome {
	t.Helper()
	want, webhookError := dryRun(t.Context(), byWebhook, pod)
	got, policyError := dryRun(t.Context(), byPolicy, pod)
	byUs := func(err error) bool {
		return strings.Contains(err.Error(), "admission webhook") || strings.Contains(err.Error(), "ValidatingAdmissionPolicy")
	}
	switch {
	case webhookError != nil && policyError != nil && !byUs(policyError): // which comes after the API server's own rules
		return refusedAnyway
	case webhookError != nil && policyError != nil && byUs(webhookError) && byUs(policyError):
		return deniedByBoth
	case webhookError == nil && policyError != nil && strings.Contains(policyError.Error(), "webhook mode"):
		return needsWebhook
	case webhookError != nil || policyError != nil:
		t.Errorf("webhook: %v\npolicy:  %v", webhookError, policyError)
		return deniedByBoth
	}
	if diff := cmp.Diff(podtest.WithoutWarnings(want), podtest.WithoutWarnings(got)); diff != "" {
		t.Errorf("(-webhook +policy):\n%s", diff)
	}
	return equal
}

func TestGoldenPods(t *testing.T) {
	inputs, err := filepath.Glob("../../../internal/mutate/testdata/*.pod.json")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".pod.json")
		if _, err := os.Stat(strings.TrimSuffix(input, ".pod.json") + ".old.json"); err == nil {
			continue // of a running pod
		}
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			var pod corev1.Pod
			if err := json.Unmarshal(raw, &pod); err != nil {
				t.Fatal(err)
			}
			got := same(t, &pod)
			if got == needsWebhook && !strings.Contains(name, "windows") {
				t.Error("the policies refuse it, which the webhook does not")
			}
		})
	}
}

var pods = flag.Uint64("pods", 2000, "how many random pods to create")

// TestRandomPods creates the pods of the property tests.
func TestRandomPods(t *testing.T) {
	denied := compare(t, *pods, random)
	if denied > *pods/2 {
		t.Error("too many are denied to say much")
	}
}

// TestOddPods have volumes, mounts and variables that are nearly those of their tokens.
func TestOddPods(t *testing.T) {
	compare(t, *pods/4, func(seed uint64) (*corev1.Pod, bool) {
		pod, ok := random(seed)
		if ok {
			mutatetest.New(seed).MakeOdd(pod)
		}
		return pod, ok
	})
}

// TestOddAnnotations are at the edges of what is allowed.
func TestOddAnnotations(t *testing.T) {
	compare(t, *pods/4, func(seed uint64) (*corev1.Pod, bool) {
		pod := podtest.New("odd")
		pod.Annotations = mutatetest.New(seed).OddAnnotations(podtest.Prefix)
		return pod, true
	})
}

// TestOddLogins have options at the edges of what is allowed.
func TestOddLogins(t *testing.T) {
	compare(t, *pods/4, func(seed uint64) (*corev1.Pod, bool) {
		pod := podtest.New("odd")
		pod.Annotations = mutatetest.New(seed).OddLogin(podtest.Prefix)
		for _, value := range pod.Annotations {
			if strings.Contains(value, "[::1]") {
				return nil, false // which policies do not read
			}
		}
		return pod, true
	})
}

// compare compares as many pods, and returns how many both deny. What the API server
// refuses for reasons of its own, such as names, says nothing. There is no pod for some
// seeds.
func compare(t *testing.T, count uint64, pod func(seed uint64) (*corev1.Pod, bool)) uint64 {
	t.Helper()
	const shards = 4
	var equals, denied atomic.Uint64
	t.Run("all", func(t *testing.T) {
		for shard := range uint64(shards) {
			t.Run(strconv.FormatUint(shard, 10), func(t *testing.T) {
				t.Parallel()
				for seed := shard; equals.Load()+denied.Load() < count && seed < 20*count; seed += shards {
					p, ok := pod(seed)
					if !ok {
						continue
					}
					switch same(t, p) {
					case equal:
						equals.Add(1)
					case deniedByBoth:
						denied.Add(1)
					case needsWebhook:
						t.Error("the policies refuse it, which the webhook does not")
					case refusedAnyway:
					}
					if t.Failed() {
						t.Fatalf("seed %d: annotations %q", seed, p.Annotations)
					}
				}
			})
		}
	})
	t.Logf("%d are equal, %d denied by both", equals.Load(), denied.Load())
	if equals.Load()+denied.Load() < count || equals.Load() < count/20 {
		t.Error("too few pods were compared, or are stored")
	}
	return denied.Load()
}

// random is a pod of Linux; false where no client could send it.
func random(seed uint64) (*corev1.Pod, bool) {
	r := mutatetest.New(seed)
	pod := &corev1.Pod{}
	if json.Unmarshal(r.Encode(r.Pod()), pod) != nil || pod.Spec.OS != nil {
		return nil, false
	}
	for i := range pod.Spec.Volumes {
		if c := pod.Spec.Volumes[i].ConfigMap; c != nil {
			c.Name = "some"
		}
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			containers[i].Image = "app"
		}
	}
	return pod, true
}

// TestExamplesOfProviders: each provider's example is stored as the webhook stores it.
func TestExamplesOfProviders(t *testing.T) {
	for _, name := range provider.BuiltIn().Names() {
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join("../../../examples/providers", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			_, manifest, _ := bytes.Cut(content, []byte("\n---\n"))
			pod := &corev1.Pod{}
			if err := yaml.UnmarshalStrict(manifest, pod); err != nil {
				t.Fatal(err)
			}
			pod.Spec.ServiceAccountName = "default"
			if got := same(t, pod); got != equal {
				t.Errorf("outcome %d, want %d", got, equal)
			}
		})
	}
}

// TestAddresses are judged by their parts, whatever the way in which they are written.
func TestAddresses(t *testing.T) {
	for annotations, want := range map[string]outcome{
		"profile=remote": equal,
		"profile=login":  equal,
		"kubernetes-server=https://remote.example.com kubernetes-audience=a":    equal,
		"kubernetes-server=https://DENIED.example.com./x kubernetes-audience=a": deniedByBoth,
		"kubernetes-server=http://remote.example.com kubernetes-audience=a":     deniedByBoth,
		"audience=a login=vault login-address=http://VAULT.example.com:8200/a":  equal,
		"audience=a login=vault login-address=http://vault.example.com":         deniedByBoth,
		"audience=a login=vault login-address=https://10.0.0.1":                 deniedByBoth,
		"audience=a login=vault login-address=https://10.0.0.1.example.com":     equal,
		"audience=a login=vault login-address=https://[::1]":                    needsWebhook,
	} {
		if got := same(t, podtest.New("app", strings.Fields(annotations)...)); got != want {
			t.Errorf("%s: outcome %d, want %d", annotations, got, want)
		}
	}
}
