package chart

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMetricsExist: alerts and dashboard speak of series that the webhook has.
func TestMetricsExist(t *testing.T) {
	known := map[string]bool{
		// Those of the API server, and of the Prometheus client.
		"apiserver_admission_webhook_rejection_count":            true,
		"apiserver_admission_webhook_fail_open_count":            true,
		"apiserver_admission_webhook_admission_duration_seconds": true,
		"process_resident_memory_bytes":                          true,
		"process_cpu_seconds_total":                              true,
		// Those of kube-state-metrics.
		"kube_deployment_status_replicas_ready": true,
		"kube_deployment_spec_replicas":         true,
	}
	quoted := regexp.MustCompile(`"(oidc_(?:injector|login)_[a-z_]+)"`)
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range quoted.FindAllStringSubmatch(string(text), -1) {
			known[match[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dashboard, err := os.ReadFile(filepath.Join(chartDir, "files", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(dashboard) {
		t.Error("the dashboard is no JSON")
	}
	alerts := render(t, variants["everything"]).at(t, rules+"[*].expr}")
	series := regexp.MustCompile(`\b((oidc_injector|oidc_login|apiserver|process|kube_deployment)_[a-z_]+|ALERTS)\b`)
	found := 0
	for _, name := range series.FindAllString(string(dashboard)+alerts, -1) {
		found++
		if name != "ALERTS" && !known[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("there is no metric %s", name)
		}
	}
	if found < 20 {
		t.Errorf("only %d series were found", found)
	}
}

// TestDashboardQueries: Prometheus understands them, and each says something of a series
// of its kind.
func TestDashboardQueries(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartDir, "files", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "5m", "$cluster", ".*", "$namespace", "oidc-injector", "$job",
		"oidc-injector-metrics")
	series := regexp.MustCompile(`\b((oidc_injector|oidc_login|apiserver|process|kube_deployment)_[a-z_]+|ALERTS)\b`)
	queries := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries++
			of := fmt.Sprintf(`%s{%s,name="pods.oidc-injector.io",error_type="timeout",outcome="denied",le="+Inf",`+
				`deployment="oidc-injector",alertname="OIDCInjectorSlow",alertstate="firing"} 0+1x60`, series.FindString(target.Expr), ours)
			if got := query(t, variables.Replace(target.Expr), now, []string{of}); len(got) == 0 {
				t.Errorf("%s: %s has no result", panel.Title, target.Expr)
			}
		}
	}
	if queries < 15 {
		t.Errorf("only %d queries were found", queries)
	}
}

// TestDashboard as it is, whatever is in it.
func TestDashboard(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(chartDir, "files", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := render(t, "metrics: {dashboard: {enabled: true}}")
	if got := all.at(t, `ConfigMap/oidc-injector-dashboard {.data.oidc-injector\.json}`); got != string(want) {
		t.Error("the ConfigMap has another dashboard")
	}

	// Those of two releases stand side by side.
	all = render(t, "fullnameOverride: second\nannotationPrefix: tokens.example.com\nmetrics: {dashboard: {enabled: true}}")
	text := all.at(t, `ConfigMap/second-dashboard {.data.second\.json}`)
	var dashboard struct{ UID, Title string }
	if err := json.Unmarshal([]byte(text), &dashboard); err != nil || dashboard.UID != "second" || dashboard.Title != "second" {
		t.Errorf("the second one is %+v, %v", dashboard, err)
	}
	if own := `(pods|debugcontainers)\\\\.tokens\\\\.example\\\\.com`; strings.Contains(text, `oidc-injector\\\\.io`) ||
		strings.Count(text, own) != strings.Count(string(want), `(pods|debugcontainers)\\\\.oidc-injector\\\\.io`) {
		t.Error("the second one asks for the first one's webhooks")
	}
}
