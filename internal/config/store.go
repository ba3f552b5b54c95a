package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/filewatch"
)

// Store holds the current configuration. Readers never wait and never see half
// of a change.
type Store struct {
	current atomic.Pointer[Config]

	path     string
	initial  []byte
	interval time.Duration
	log      *slog.Logger

	mu  sync.Mutex // of what the configuration is made of
	env Environment
	// good is the file in force.
	good []byte

	reloads     *prometheus.CounterVec
	lastSuccess prometheus.Gauge
	lastResult  prometheus.Gauge
}

// StoreOptions are the dependencies of a Store.
type StoreOptions struct {
	// Path is the configuration file; empty means the built-in defaults.
	Path string
	// Environment completes each configuration.
	Environment Environment
	// Interval is how often the file is looked at; filewatch.Interval where zero.
	Interval time.Duration
	// Log gets a line for each reload.
	Log *slog.Logger
	// Metrics gets the reload metrics.
	Metrics prometheus.Registerer
}

// NewStore loads the configuration. A file that is missing or wrong is an error
// here, at the start, when somebody is looking; later it is not (see Run).
func NewStore(o StoreOptions) (*Store, error) {
	s := &Store{path: o.Path, env: o.Environment, interval: o.Interval, log: o.Log}
	if s.interval == 0 {
		s.interval = filewatch.Interval
	}
	s.registerMetrics(o.Metrics)
	if s.path == "" {
		s.accept(nil, Default(s.env))
		return s, nil
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("could not read the configuration: %w", err)
	}
	config, err := Parse(data, s.env)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	s.initial = data
	s.accept(data, config)
	return s, nil
}

// Current returns the configuration in force.
func (s *Store) Current() *Config { return s.current.Load() }

// Run follows the file until the context ends. A file that becomes wrong or
// goes away leaves the last good configuration in force, and says so in the log
// and in the metrics.
func (s *Store) Run(ctx context.Context) error {
	if s.path == "" {
		<-ctx.Done()
		return nil
	}
	filewatch.Follow(ctx, s.path, s.interval, s.initial, s.reload)
	return nil
}

// maxOwnAudiences bounds the audiences that AddAPIServerAudiences collects.
const maxOwnAudiences = 100

// AddAPIServerAudiences adds audiences of the API server to those of the environment,
// and reports whether any is new. Earlier ones stay: while an issuer is replaced, an API
// server accepts the old ones, too.
func (s *Store) AddAPIServerAudiences(audiences []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.env.APIServerAudiences)
	for _, audience := range audiences {
		if !slices.Contains(all, audience) && len(all) < maxOwnAudiences {
			all = append(all, audience)
		}
	}
	if len(all) == len(s.env.APIServerAudiences) {
		return false
	}
	s.env.APIServerAudiences = all
	config := Default(s.env)
	if s.path != "" {
		var err error
		if config, err = Parse(s.good, s.env); err != nil {
			return false // it was accepted before, and the environment has no part in that
		}
	}
	s.current.Store(config)
	return true
}

func (s *Store) reload(data []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		var config *Config
		if config, err = Parse(data, s.env); err == nil {
			s.accept(data, config)
			s.reloads.WithLabelValues("success").Inc()
			s.log.Info("configuration reloaded", "path", s.path)
			return
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("the file is gone")
	}
	s.reloads.WithLabelValues("failure").Inc()
	s.lastResult.Set(0)
	s.log.Error("configuration not reloaded, the previous one stays in force", "path", s.path, "error", err)
}

func (s *Store) accept(data []byte, config *Config) {
	s.good = data
	s.current.Store(config)
	s.lastResult.Set(1)
	s.lastSuccess.SetToCurrentTime()
	for _, note := range config.Bindings.Notes() {
		s.log.Warn("policy forbids what a binding gives", "path", s.path, "note", note)
	}
}

func (s *Store) registerMetrics(registerer prometheus.Registerer) {
	s.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "oidc_injector_config_reloads_total",
		Help: "Number of times that the configuration file changed, by result.",
	}, []string{"result"})
	s.lastResult = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "oidc_injector_config_last_reload_successful",
		Help: "Whether the configuration in force is that of the file (1) or an earlier one (0).",
	})
	s.lastSuccess = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "oidc_injector_config_last_reload_success_timestamp_seconds",
		Help: "When the configuration in force was loaded, in seconds since the epoch.",
	})
	for _, result := range []string{"success", "failure"} {
		s.reloads.WithLabelValues(result) // a counter that is there from the start can be alerted on
	}
	registerer.MustRegister(s.reloads, s.lastResult, s.lastSuccess)
}
