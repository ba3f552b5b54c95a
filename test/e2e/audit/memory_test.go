package audit

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/oidc-injector/oidc-injector/internal/audit/audittest"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// many is the size of a large cluster.
const many = 50_000

// managed is what the fields' managers of a common pod take.
var managed = `{"f:metadata":{"f:annotations":{".":{},"f:oidc-injector.io/audience":{}}},"f:spec":{` +
	strings.Repeat(`"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{}}},`,
		12) + `"f:x":{}}}`

// common is a pod of a large cluster; its status says that it was injected, or
// there is none.
func common(i int, status string) *corev1.Pod {
	pod := podtest.New(fmt.Sprintf("web-%d-6f7d8c9b5-x2x4q", i), "audience=vault")
	pod.APIVersion, pod.Kind = "v1", "Pod"
	pod.Namespace = "shop"
	pod.UID = types.UID(fmt.Sprintf("7f0a6c2e-3d5b-4f0e-9a51-%012d", i))
	pod.Labels = map[string]string{"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": "web", "pod-template-hash": "6f7d8c9b5"}
	pod.Annotations["cni.example.com/addresses"] = strings.Repeat("10.0.0.1/24,", 8)
	if status != "" {
		pod.Annotations[podtest.Prefix+"status"] = status
	}
	controls := true
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "ReplicaSet", Name: fmt.Sprintf("web-%d-6f7d8c9b5", i/10),
		UID: types.UID(fmt.Sprintf("owner-%d", i/10)), Controller: &controls,
	}}
	for _, manager := range []string{"kube-controller-manager", "kubelet"} {
		pod.ManagedFields = append(pod.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(managed),
		})
	}
	return pod
}

// memory is what the process takes now and has ever taken, in MiB.
func (r *replica) memory(t *testing.T) (now, most float64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.program.Process.Pid), "status"))
	if err != nil {
		t.Skipf("memory can be measured on Linux only: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		var value float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &value); n == 1 {
			now = value / 1024
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &value); n == 1 {
			most = value / 1024
		}
	}
	return now, most
}

// long leaves a test out of short runs: no release of Kubernetes changes what it
// measures.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("not in short runs")
	}
}

// The audit's memory does not grow with the cluster: not with pods that are in
// order, nor with what others write into their metadata, and to a limit with those
// that were not injected.
func TestMemoryIsBounded(t *testing.T) {
	long(t)
	t.Parallel()
	const fine = `{"version":"v1","tokens":["default"],"containers":["app"]}`
	base := measure(t, "without the audit", load{})
	small := measure(t, "1 000 pods in order", load{pods: 1_000, of: func(i int) *corev1.Pod { return common(i, fine) }})
	large := measure(t, "50 000 pods in order", load{pods: many, of: func(i int) *corev1.Pod { return common(i, fine) }})
	worst := measure(t, "50 000 pods that were not injected",
		load{pods: many, of: func(i int) *corev1.Pod { return common(i, "") }, missed: 10_000})
	heavy := measure(t, "500 pods with an annotation of 60 kB", load{pods: 500, of: annotated(60_000), missed: 500})
	heaviest := measure(t, "500 pods with an annotation of 250 kB", load{pods: 500, of: annotated(250_000), missed: 500})
	for name, limit := range map[string]struct{ got, most float64 }{
		"a large cluster against a small one": {large.most - small.most, 25},
		"a large cluster":                     {large.most - base.most, 40},
		"nothing but pods without tokens":     {worst.most - base.most, 60},
		"large annotations":                   {heavy.most - base.most, 30},
		"the largest annotations":             {heaviest.most - base.most, 30},
	} {
		if limit.got > limit.most {
			t.Errorf("%s costs %.1f MiB, more than %.0f", name, limit.got, limit.most)
		}
	}
}

var pods = flag.Int("pods", 5_000, "how many pods a real cluster has in TestManyPods")

// TestManyPods injects them by the real API server, and has the audit list
// them: not one needs to be read as a whole. For a large cluster: -pods=50000.
func TestManyPods(t *testing.T) {
	long(t)
	in := install(t, "many", clusterRules(), namespaceRules())
	shop := in.served(t, "shop", true)
	a := in.start(t)
	a.awaitLeader(t, 1)
	in.reopen(t, a, shop)
	before := a.mustMetric(t, "oidc_injector_audit_pods_seen_total")
	began := time.Now()
	createPods(t, shop, *pods, func(*corev1.Pod) {})
	a.awaitMetric(t, before+float64(*pods), "oidc_injector_audit_pods_seen_total")
	t.Logf("%d pods were injected and seen in %v", *pods, time.Since(began).Round(time.Second))
	_, aMost := a.memory(t)
	a.signal(t, syscall.SIGTERM) // which hands over

	began = time.Now()
	b := in.start(t)
	b.awaitMetric(t, 1, "oidc_injector_audit_lists_total", "result", "success")
	t.Logf("another replica is there, and has listed them, after %v", time.Since(began).Round(100*time.Millisecond))
	b.awaitMissed(t, counts{})
	if n := b.mustMetric(t, "oidc_injector_audit_checks_total"); n != 0 {
		t.Errorf("%v pods were read as a whole", n)
	}
	now, most := b.memory(t)
	t.Logf("resident %.1f MiB, at most %.1f MiB, and %.1f MiB where they were also injected; processor %.1f s",
		now, most, aMost, b.mustMetric(t, "process_cpu_seconds_total"))
	for _, got := range []float64{most, aMost} {
		if got > 64 {
			t.Errorf("%.1f MiB were resident", got)
		}
	}
}

// createPods creates annotated pods, of ten applications.
func createPods(t *testing.T, namespace string, n int, change func(*corev1.Pod)) {
	t.Helper()
	config := kube.RESTConfig()
	config.QPS = -1 // no limit of the client's own
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error {
			pod := podtest.New(fmt.Sprintf("web-%d", i), "audience=vault")
			pod.Labels = map[string]string{"app.kubernetes.io/name": fmt.Sprintf("web-%d", i%10), "pod-template-hash": "6f7d8c9b5"}
			change(pod)
			_, err := client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// annotated are pods that were not injected and have an annotation of this size.
func annotated(size int) func(int) *corev1.Pod {
	value := strings.Repeat("x", size)
	return func(i int) *corev1.Pod {
		pod := common(i, "")
		pod.Annotations["example.com/large"] = value
		return pod
	}
}

// TestLargeAnnotations has the real API server store them, and the audit list,
// watch and verify the pods.
func TestLargeAnnotations(t *testing.T) {
	long(t)
	t.Parallel()
	for _, size := range []int{60_000, 250_000} {
		watchLargeAnnotations(t, size)
	}
}

func watchLargeAnnotations(t *testing.T, size int) {
	t.Helper()
	const pods = 200 // the stub of TestMemoryIsBounded has 500
	in := install(t, fmt.Sprintf("large-%d", size), clusterRules(), namespaceRules())
	shop := in.served(t, "shop", true) // the door is shut
	a := in.start(t)
	a.awaitLeader(t, 1)
	createPods(t, shop, pods, func(pod *corev1.Pod) {
		pod.Annotations["example.com/large"] = strings.Repeat("x", size)
	})
	a.awaitMissed(t, counts{"not_injected": pods})
	_, watched := a.memory(t)
	a.signal(t, syscall.SIGTERM)

	b := in.start(t) // it finds them by a list
	b.awaitLeader(t, 1)
	b.awaitMissed(t, counts{"not_injected": pods})
	now, listed := b.memory(t)
	t.Logf("%d bytes: resident %.1f MiB; at most %.1f MiB by a watch, %.1f MiB by a list", size, now, watched, listed)
	for _, got := range []float64{watched, listed} {
		if got > 80 {
			t.Errorf("%d bytes: %.1f MiB were resident", size, got)
		}
	}
	if err := kube.Client().CoreV1().Namespaces().Delete(t.Context(), shop, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// usage is in MiB.
type usage struct{ now, most float64 }

// load is what the cluster of a measurement holds, and how many of its pods are
// suspicious and known.
type load struct {
	pods   int
	of     func(i int) *corev1.Pod
	missed float64
}

func measure(t *testing.T, name string, l load) usage {
	t.Helper()
	server, err := audittest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.Namespace("shop", map[string]string{"oidc-injector.io/enabled": "true"})
	server.Bulk(l.pods, l.of)
	server.Fail("get pod", 1_000_000, 503) // what is suspicious stays so, and known
	flags := []string{"--cert-dir=" + t.TempDir(), "--log-format=text"}
	if l.pods > 0 {
		kubeconfig := writeKubeconfig(t, &api.Cluster{Server: server.URL}, &api.AuthInfo{})
		flags = append(flags, "--audit", "--namespace=audit", "--kubeconfig="+kubeconfig)
	}
	r := start(t, flags...)
	began := time.Now()
	if l.pods > 0 {
		for lists := 1.0; lists <= 3; lists++ { // again and again, as after trouble
			podtest.EventuallyWithin(t, 3*time.Minute, "a list", func(ctx context.Context) error {
				n, err := r.metric(ctx, "oidc_injector_audit_lists_total", "result", "success")
				if err == nil && n < lists {
					err = fmt.Errorf("%v lists", n)
				}
				return err
			})
			if lists == 1 {
				t.Logf("%s: listed in %v", name, time.Since(began).Round(100*time.Millisecond))
			}
			server.Forget()
		}
		if got := r.mustMetric(t, "oidc_injector_missed_pods"); got != l.missed {
			t.Errorf("%v pods were not injected, want %v", got, l.missed)
		}
	} else {
		time.Sleep(2 * time.Second)
	}
	var u usage
	u.now, u.most = r.memory(t)
	t.Logf("%s: resident %.1f MiB, at most %.1f MiB, heap %.1f MiB, processor %.1f s",
		name, u.now, u.most, r.mustMetric(t, "go_memstats_heap_inuse_bytes")/(1<<20), r.mustMetric(t, "process_cpu_seconds_total"))
	return u
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
