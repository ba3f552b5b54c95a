package policymode

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/oidc-injector/oidc-injector/test/internal/metrics"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// way is a namespace, and what creates the same pod there.
type way struct {
	name, namespace string
	injects         bool
}

var ways = []way{{"plain", "plain", false}, {"policy", byPolicy, true}, {"webhook", byWebhook, true}}

// TestCost creates the same pods in turns where nothing is injected, where policies do it and
// where the webhook does, and logs what it costs: docs/design/measurements.md has the figures.
// That the pods are as they should be is what it tests.
func TestCost(t *testing.T) {
	if err := kube.Namespace(t.Context(), ways[0].namespace, nil); err != nil {
		t.Fatal(err)
	}
	rounds, blocks := 300, 8
	if testing.Short() {
		rounds, blocks = 5, 1
	}
	for _, kind := range []struct {
		name    string
		pairs   []string
		volumes int
	}{
		{"a token", []string{"audience=vault"}, 1},
		{"a token for AWS", []string{"aws-role-arn=arn:aws:iam::123456789012:role/app"}, 1},
		{"three tokens", []string{"audience=a", "audience.b=b", "env.b=B_TOKEN_FILE", "audience.c=c", "expiration.c=2h"}, 3},
	} {
		pod := podtest.New("cost", kind.pairs...)
		took := make([][]time.Duration, len(ways))
		for range rounds {
			for i, w := range ways {
				start := time.Now()
				w.create(t, pod, kind.volumes)
				took[i] = append(took[i], time.Since(start))
			}
		}
		used := make([]time.Duration, len(ways))
		const perBlock = 60
		for range blocks {
			for i, w := range ways {
				before := apiServerCPU(t)
				for range perBlock {
					w.create(t, pod, kind.volumes)
				}
				used[i] += apiServerCPU(t) - before
			}
		}
		plain := took[0]
		slices.Sort(plain)
		for i, w := range ways {
			slices.Sort(took[i])
			cpu := func(i int) time.Duration { return used[i] / time.Duration(blocks*perBlock) }
			t.Logf("| %s | %s | %s | %s | %s |", kind.name, w.name, compared(percentile(took[i], 50), percentile(plain, 50)),
				compared(percentile(took[i], 99), percentile(plain, 99)), compared(cpu(i), cpu(0)))
		}
	}
}

// compared is a time in milliseconds, and what it is more than another.
func compared(d, than time.Duration) string {
	return fmt.Sprintf("%.2f ms (%+.2f)", milliseconds(d), milliseconds(d-than))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func percentile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100]
}

// create has a pod admitted, and compares how many volumes it has then.
func (w way) create(t *testing.T, pod *corev1.Pod, volumes int) {
	t.Helper()
	created, err := kube.Client().CoreV1().Pods(w.namespace).Create(t.Context(), pod,
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	if !w.injects {
		volumes = 0
	}
	if got := len(podtest.Tokens(created)); got != volumes {
		t.Fatalf("%s: %d tokens instead of %d", w.name, got, volumes)
	}
}

// apiServerCPU is the time that the API server has worked.
func apiServerCPU(t *testing.T) time.Duration {
	t.Helper()
	body, err := kube.Client().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := metrics.Value(body, "process_cpu_seconds_total")
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// TestNothingToKill creates pods in both modes while the webhook's program is killed and
// started again: that denies some of its pods, and none of the policies'.
func TestNothingToKill(t *testing.T) {
	var created, denied [2]atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	defer workers.Wait()
	defer stop()
	for i, w := range ways[1:] {
		client, err := kubernetes.NewForConfig(kube.RESTConfig())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			workers.Go(func() {
				for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
					pod, err := client.CoreV1().Pods(w.namespace).Create(ctx, podtest.New("load", "audience=vault"),
						metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
					switch {
					case ctx.Err() != nil:
					case err != nil:
						denied[i].Add(1)
					case len(podtest.Tokens(pod)) != 1:
						t.Errorf("%s: a pod has %d tokens", w.name, len(podtest.Tokens(pod)))
					default:
						created[i].Add(1)
					}
				}
			})
		}
	}
	const calm = 500 * time.Millisecond
	time.Sleep(calm)
	if err := webhook.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(calm)
	if err := webhook.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(calm)
	stop()
	workers.Wait()
	for i, w := range ways[1:] {
		t.Logf("%s: %d pods created, %d denied", w.name, created[i].Load(), denied[i].Load())
		if created[i].Load() == 0 {
			t.Errorf("%s: no pod was created at all", w.name)
		}
	}
	if denied[0].Load() > 0 || denied[1].Load() == 0 {
		t.Errorf("%d pods were denied by policies, want none, and %d by the webhook, want some", denied[0].Load(), denied[1].Load())
	}
}
