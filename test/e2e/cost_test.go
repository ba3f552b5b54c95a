package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestCost measures how much later a pod is created that the webhook
// is called for, and logs it: docs/design/measurements.md has the figures. That the pods are
// as they should be is what it tests.
func TestCost(t *testing.T) {
	ns := namespace(t, "cost")
	rounds := 300
	if testing.Short() {
		rounds = 3
	}
	kinds := []struct {
		name    string
		pairs   []string
		volumes int
	}{
		{"not called", nil, 0},
		{"called, nothing to do", []string{"inject=false"}, 0},
		{"a token, 3 operations", []string{"audience=vault"}, 1},
		{"30 tokens, 61 operations", manyTokens(30), 30},
	}
	took := make([][]time.Duration, len(kinds))
	for round := range rounds {
		for i, kind := range kinds {
			pod := newPod(fmt.Sprintf("cost-%d-%d", round, i), kind.pairs...)
			start := time.Now()
			created, err := kube.Client().CoreV1().Pods(ns).Create(t.Context(), pod,
				metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			took[i] = append(took[i], time.Since(start))
			if err != nil {
				t.Fatal(err)
			}
			if got := len(podtest.Tokens(created)); got != kind.volumes {
				t.Fatalf("%s: %d volumes instead of %d", kind.name, got, kind.volumes)
			}
		}
	}
	first := time.Duration(0)
	for i, kind := range kinds {
		slices.Sort(took[i])
		median := took[i][len(took[i])/2]
		if i == 0 {
			first = median
		}
		t.Logf("%-26s median %6.2f ms, quartiles %.2f to %.2f ms, %+.2f ms", kind.name,
			milliseconds(median), milliseconds(took[i][len(took[i])/4]), milliseconds(took[i][len(took[i])*3/4]),
			milliseconds(median-first))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func manyTokens(count int) []string {
	pairs := make([]string, 0, count)
	for i := range count {
		pairs = append(pairs, fmt.Sprintf("audience.t%d=a%d", i, i))
	}
	return pairs
}
