package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// Where admission reviews are answered: those of pods, and those of workloads. What a
// review is about decides, so that the two only tell requests apart for people.
const (
	Path          = "/mutate"
	WorkloadsPath = "/check-workload"
)

// Run serves until the context ends, and then ends in order: readiness goes
// first, then, after the delay, the listener; requests in flight are
// answered. It writes its log to w.
func Run(ctx context.Context, o Options, w io.Writer) error {
	log := newLogger(&o, w)
	registry := newRegistry()
	store, err := config.NewStore(config.StoreOptions{
		Path: o.ConfigFile,
		Environment: config.Environment{
			Prefix:             annotations.Prefix(o.AnnotationPrefix),
			APIServerAudiences: ownAudiences(ownTokenFile),
		},
		Log: log, Metrics: registry,
	})
	if err != nil {
		return err
	}
	clients, err := newClientCA(o.ClientCAFile, log)
	if err != nil {
		return err
	}
	source, err := o.newSource(newRegisteredBindings(store.Current, log, registry).observe, log, registry)
	if err != nil {
		return err
	}
	audit, err := o.newAudit(store, log, registry)
	if err != nil {
		return err
	}
	callers, err := o.newCallers(log, registry)
	if err != nil {
		return err
	}
	ready := newReadiness(&o, source.certificateSource, source.probe, callers)

	hooks := webhook.NewServer(webhook.Options{})
	handler := callers.wrap(ready.closeOnShutdown(admission.NewHandler(admission.Options{
		Config: store.Current, Version: version.Version(), Log: log, Metrics: registry, Memory: memoryOfRequests(debug.SetMemoryLimit(-1)),
	})))
	hooks.Register(Path, handler)
	hooks.Register(WorkloadsPath, handler)
	gatherers := prometheus.Gatherers{registry, ctrlmetrics.Registry}

	log.Info("starting", "version", version.Version(), "annotationPrefix", o.AnnotationPrefix, "config", o.ConfigFile, "certificates",
		o.Certs.Certificates)
	run := runner{log: log}
	run.background(store.Run, followAudiences(ownTokenFile, time.Minute, store, log))
	run.background(source.tasks...)
	run.background(audit...)
	if clients != nil {
		run.background(clients.Run)
	}
	run.background(callers.tasks()...)
	run.background(
		serve("probes", o.HealthProbeBindAddress, ready.probes(), log),
		serve("metrics", o.MetricsBindAddress, metricsHandler(gatherers), log),
	)
	run.foreground(serveHooks(&o, hooks.WebhookMux(), o.tlsConfig(source.certificateSource, clients), log))
	return run.until(ctx, func() {
		ready.stopping.Store(true)
		log.Info("shutting down", "delay", o.ShutdownDelay)
		time.Sleep(o.ShutdownDelay)
	})
}

// newRegistry returns a registry with the metrics of the process itself.
func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "oidc_injector_build_info",
		Help:        "Which version this is; always 1.",
		ConstLabels: prometheus.Labels{"version": version.Version(), "goversion": runtime.Version()},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// metricsHandler serves our metrics beside those of controller-runtime.
func metricsHandler(gatherer prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	return mux
}

// task is a part of the program that runs until its context ends.
type task func(context.Context) error

// runner runs tasks until one fails or the program is told to end. The tasks in
// the background go on until those in the foreground are done: probes and
// metrics are answered while the last admissions are.
type runner struct {
	log   *slog.Logger
	front []task
	back  []task
}

func (r *runner) foreground(tasks ...task) { r.front = append(r.front, tasks...) }
func (r *runner) background(tasks ...task) { r.back = append(r.back, tasks...) }

// until runs the tasks until ctx ends; then it calls windDown before it ends
// the tasks.
func (r *runner) until(ctx context.Context, windDown func()) error {
	// Not derived from ctx: the tasks outlive it by the time of winding down.
	outer, endBack := context.WithCancel(context.WithoutCancel(ctx))
	defer endBack()
	back, backCtx := errgroup.WithContext(outer)
	for _, t := range r.back {
		back.Go(func() error { return t(backCtx) })
	}
	inner, endFront := context.WithCancel(backCtx)
	defer endFront()
	front, frontCtx := errgroup.WithContext(inner)
	for _, t := range r.front {
		front.Go(func() error { return t(frontCtx) })
	}
	front.Go(func() error {
		select {
		case <-ctx.Done():
			windDown()
		case <-frontCtx.Done():
		}
		endFront()
		return nil
	})
	err := front.Wait()
	endBack()
	return errors.Join(err, back.Wait())
}
