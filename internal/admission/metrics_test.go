package admission_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCountersStartAtZero(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"mutated/injected":           0,
		"unchanged/already_injected": 0, "unchanged/not_requested": 0, "unchanged/opted_out": 0,
		"unchanged/no_container": 0, "unchanged/unsupported": 0, "unchanged/debug_skipped": 0,
		"denied/invalid_annotations": 0, "denied/policy": 0, "denied/conflict": 0, "denied/too_large": 0,
		"failed/not_review": 0, "failed/malformed": 0, "failed/too_large": 0, "failed/overloaded": 0, "failed/panic": 0,
	}
	if diff := cmp.Diff(want, newHook(configured(defaultConfig())).allCounters(t)); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

// The number of time series must not grow with what clients send.
func TestOnlyFindingsNameNamespaces(t *testing.T) {
	t.Parallel()
	h := newHook(configured(withPolicy(t, "{audiences: {denied: [denied]}}")))
	for _, object := range []string{pod("", "audience=vault"), pod("", "audience=denied"), pod("", "audience="), "1", pod("")} {
		h.post(ask{object: object, namespace: marker}.review())
	}
	families, err := h.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if !slices.Contains(got[family.GetName()], label.GetName()) {
					got[family.GetName()] = append(got[family.GetName()], label.GetName())
				}
				if strings.Contains(label.GetValue(), marker) && label.GetName() != "resource_namespace" {
					t.Errorf("%s has label %s", family.GetName(), label)
				}
			}
		}
	}
	want := map[string][]string{
		"oidc_injector_admissions_total":      {"outcome", "reason"},
		"oidc_injector_findings_total":        {"kind", "outcome", "reason", "resource_namespace"},
		"oidc_injector_workload_checks_total": {"result"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if n := len(h.allCounters(t)); n != 16 {
		t.Errorf("%d counters after some requests", n)
	}
}

// A client that is no API server can make up as many namespaces as it likes.
func TestFindingNamespacesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHook(configured(defaultConfig()))
	for i := range 1010 {
		h.admit(t, ask{object: pod("", "audience="), namespace: "ns-" + strconv.Itoa(i)}.review())
	}
	h.admit(t, ask{object: pod("", "audience="), namespace: "No Namespace"}.review())
	h.admit(t, ask{object: pod("", "audience="), namespace: "ns-7"}.review())
	got := map[string]float64{}
	for _, m := range h.family(t, "oidc_injector_findings_total").GetMetric() {
		for _, label := range m.GetLabel() {
			if label.GetName() == "resource_namespace" {
				got[label.GetValue()] += m.GetCounter().GetValue()
			}
		}
	}
	if len(got) != 1001 || got["ns-7"] != 2 || got["_other"] != 11 {
		t.Errorf("%d namespaces, ns-7 %v, _other %v", len(got), got["ns-7"], got["_other"])
	}
}

func TestDurationOfAnsweredReviews(t *testing.T) {
	t.Parallel()
	h := newHook(configured(defaultConfig()))
	h.post([]byte("malformed"))
	h.admit(t, review("CREATE", "", pod("", "audience=vault"), "null"))
	h.admit(t, review("CREATE", "", pod("", "audience="), "null"))
	histogram := h.family(t, "oidc_injector_admission_duration_seconds").GetMetric()[0].GetHistogram()
	if histogram.GetSampleCount() != 2 {
		t.Errorf("%d observations", histogram.GetSampleCount())
	}
	if first := histogram.GetBucket()[0].GetUpperBound(); first != 25e-6 {
		t.Errorf("the first bucket ends at %v s", first)
	}
}
