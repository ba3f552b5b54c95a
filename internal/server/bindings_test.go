package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/binding"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

func TestRegisteredBindings(t *testing.T) {
	t.Parallel()
	parse := func(text string) *config.Config {
		cfg, err := config.Parse([]byte("apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"+text),
			config.Environment{Prefix: annotations.DefaultPrefix})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	const one = "bindings: [{name: a, namespaces: [shop], serviceAccounts: [app], annotations: {audience: vault}}]"
	bound, other, none := parse(one), parse(strings.Replace(one, "shop", "other", 1)), parse("")
	condition := func(cfg *config.Config) map[string]string {
		return map[string]string{binding.ConditionName: cfg.Bindings.MatchCondition(annotations.DefaultPrefix), "other": "true"}
	}
	current := bound
	var log bytes.Buffer
	r := newRegisteredBindings(func() *config.Config { return current }, slog.New(slog.NewTextHandler(&log, nil)),
		prometheus.NewRegistry())
	for _, step := range []struct {
		what       string
		cfg        *config.Config
		registered map[string]string
		want       float64
		logged     string
	}{
		{"as configured", bound, condition(bound), 1, ""},
		{"folded", bound, map[string]string{binding.ConditionName: strings.ReplaceAll(condition(bound)[binding.ConditionName], " || ",
			" ||\n  ") + "\n"}, 1, ""},
		{"of other bindings", bound, condition(other), 0, "registration and configuration disagree"},
		{"still", bound, condition(other), 0, ""},
		{"of none", bound, condition(none), 0, ""},
		{"without the condition", bound, map[string]string{"other": "true"}, 1, "made of the bindings again"},
		{"a configuration without bindings", none, condition(bound), 1, ""},
	} {
		log.Reset()
		current = step.cfg
		r.observe("pods.oidc-injector.io", step.registered)
		if got := testutil.ToFloat64(r.gauge.WithLabelValues("pods.oidc-injector.io")); got != step.want {
			t.Errorf("%s: %v, want %v", step.what, got, step.want)
		}
		if !strings.Contains(log.String(), step.logged) || step.logged == "" && log.Len() > 0 {
			t.Errorf("%s: log %q, want %q", step.what, &log, step.logged)
		}
	}
	r.observe("workloads.oidc-injector.io", condition(other))
	r.observe("pods.example.com", condition(other))
	if count := testutil.CollectAndCount(r.gauge); count != 1 {
		t.Errorf("%d series", count)
	}
}
