package server

import (
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/binding"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// registeredBindings compares the match conditions by which API servers send pods with
// the bindings of the configuration: where they differ, bound pods never come here.
type registeredBindings struct {
	config func() *config.Config
	log    *slog.Logger
	gauge  *prometheus.GaugeVec

	mu      sync.Mutex
	failing map[string]*repeat.Failing // by webhook
}

func newRegisteredBindings(current func() *config.Config, log *slog.Logger, metrics prometheus.Registerer) *registeredBindings {
	r := &registeredBindings{
		config: current, log: log, failing: map[string]*repeat.Failing{},
		gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "oidc_injector_bindings_registered",
			Help: "Whether the match condition of the webhook sends all pods that the configuration binds: 1 or 0.",
		}, []string{"webhook"}),
	}
	metrics.MustRegister(r.gauge)
	return r
}

var errOtherBindings = errors.New(`the match condition "` + binding.ConditionName + `" is not made of the bindings of this ` +
	"configuration: pods that they bind may get no token")

// observe is called with the match conditions of each webhook.
func (r *registeredBindings) observe(webhook string, conditions map[string]string) {
	cfg := r.config()
	if suffix := string(cfg.Parser.Prefix); webhook != "pods."+suffix && webhook != "debugcontainers."+suffix {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	failing := r.failing[webhook]
	if failing == nil {
		failing = &repeat.Failing{}
		r.failing[webhook] = failing
	}
	// Without the condition, all pods come.
	registered, conditional := conditions[binding.ConditionName]
	if cfg.Bindings.Len() == 0 || !conditional ||
		strings.Join(strings.Fields(registered), " ") == cfg.Bindings.MatchCondition(cfg.Parser.Prefix) {
		r.gauge.WithLabelValues(webhook).Set(1)
		if failing.Recovered() {
			r.log.Info("the match condition is made of the bindings again", "webhook", webhook)
		}
		return
	}
	r.gauge.WithLabelValues(webhook).Set(0)
	if failing.With(errOtherBindings) {
		r.log.Warn("registration and configuration disagree", "webhook", webhook, "bindings", cfg.Bindings.Len(), "error", errOtherBindings)
	}
}
