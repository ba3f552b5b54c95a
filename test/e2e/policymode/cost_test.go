package policymode

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

// modes are what serves the namespaces of TestCost, by their labels; the first one nothing.
var modes = []struct{ name, namespace, label string }{
	{"nothing", "cost-plain", "not-served"},
	{"policies", "cost-policy", policyLabel},
	{"the webhook", "cost-webhook", injector.EnabledLabel},
}

// requests are the pods of TestCost, and the volumes that they get.
var requests = []struct {
	name    string
	pairs   []string
	volumes int
}{
	{"no annotations", nil, 0},
	{"a token", []string{"audience=vault"}, 1},
	{"a token for AWS, by its provider", []string{"aws-role-arn=arn:aws:iam::123456789012:role/app"}, 1},
	{"3 tokens", []string{"audience=vault", "audience.a=a", "audience.b=b"}, 3},
}

// costs are what the creations of one pod have taken in one namespace.
type costs struct {
	took               []time.Duration
	apiServer, webhook time.Duration // time of processors
}

// TestCost measures what each mode adds to the creation of a pod, by dry run and in turns,
// and logs a table: docs/design/measurements.md has the figures. That the pods are as they
// should be is what it tests.
func TestCost(t *testing.T) {
	rounds, batch := 16, 25
	if testing.Short() {
		rounds, batch = 1, 2
	}
	for _, mode := range modes {
		if err := kube.Namespace(t.Context(), mode.namespace, map[string]string{mode.label: "true"}); err != nil {
			t.Fatal(err)
		}
	}
	all := make([][]costs, len(requests))
	for i := range requests {
		all[i] = make([]costs, len(modes))
	}
	for round := range rounds {
		for i := range requests {
			for j := range modes {
				mode := (j + round) % len(modes) // none is always the first one
				all[i][mode].create(t, batch, i, mode)
			}
		}
	}
	t.Logf("medians and 99th percentiles of %d creations; in brackets times those of a namespace that nothing serves\n%s",
		rounds*batch, table(all))
}

// create creates a pod again and again, one after the other.
func (c *costs) create(t *testing.T, count, request, mode int) {
	t.Helper()
	want := requests[request].volumes
	if modes[mode].label == "not-served" {
		want = 0
	}
	pod := podtest.New("cost", requests[request].pairs...)
	apiServer, webhook := cpuTime(t, kube.APIServerPID()), cpuTime(t, hook.PID())
	for range count {
		start := time.Now()
		created, err := kube.Client().CoreV1().Pods(modes[mode].namespace).Create(t.Context(), pod,
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		c.took = append(c.took, time.Since(start))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(tokenVolumes(created)); got != want {
			t.Fatalf("%s, by %s: %d volumes, want %d", requests[request].name, modes[mode].name, got, want)
		}
	}
	c.apiServer += cpuTime(t, kube.APIServerPID()) - apiServer
	c.webhook += cpuTime(t, hook.PID()) - webhook
}

// tokenVolumes are the names of those that have our tokens.
func tokenVolumes(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.Volumes {
		if name := pod.Spec.Volumes[i].Name; strings.HasPrefix(name, "oidc-token") {
			names = append(names, name)
		}
	}
	return names
}

func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	took, err := process.CPUTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	return took
}

// table is one of Markdown.
func table(all [][]costs) string {
	var out strings.Builder
	out.WriteString("| pod | served by | p50 | p99 | API server's CPU | webhook's CPU |\n|---|---|---|---|---|---|\n")
	for i, byMode := range all {
		name := requests[i].name
		for j := range byMode {
			c, plain := &byMode[j], &byMode[0]
			row := []string{
				name, modes[j].name, against(c.percentile(50), plain.percentile(50)), against(c.percentile(99), plain.percentile(99)),
				against(c.each(c.apiServer), plain.each(plain.apiServer)), milliseconds(c.each(c.webhook)),
			}
			out.WriteString("| " + strings.Join(row, " | ") + " |\n")
			name = ""
		}
	}
	return out.String()
}

// each is a creation's part of a sum.
func (c *costs) each(sum time.Duration) time.Duration { return sum / time.Duration(len(c.took)) }

func (c *costs) percentile(p int) time.Duration {
	sorted := slices.Sorted(slices.Values(c.took))
	return sorted[len(sorted)*p/100]
}

// against is a time, and how many times another one that is.
func against(d, plain time.Duration) string {
	if d == plain || plain == 0 {
		return milliseconds(d)
	}
	return fmt.Sprintf("%s (%.2f ×)", milliseconds(d), float64(d)/float64(plain))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
