// Package audit finds pods that ask for tokens by their annotations and were
// never injected: created while the webhook was unavailable and its failure policy
// Ignore, or before their namespace was labeled.
//
// One replica, the leader, lists and watches the metadata of pods, judges each
// of them at once and keeps only the suspicious ones, up to a limit. Those are
// read as a whole, and decided on by the very function that answers admission
// reviews. Of what others write, no more is read at a time than a few megabytes,
// and no value of an annotation is kept. docs/audit.md is for its users.
package audit

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// maxTracked bounds the suspicious pods that are known at a time.
const maxTracked = 10_000

// unfinished leaves out pods that have ended, which need no token any more. It
// is the only thing of a pod's status that can be asked for without reading it.
const unfinished = "status.phase!=Succeeded,status.phase!=Failed"

// Options are the dependencies of an audit.
type Options struct {
	// REST is the API client configuration.
	REST *rest.Config
	// Namespace and LeaseName name the Lease by which the leader is elected,
	// Identity this replica in it.
	Namespace, LeaseName, Identity string
	// NamespaceSelector is that of the webhook configuration, as text; PodSelector
	// is its object selector, or empty.
	NamespaceSelector, PodSelector string
	// Prefix is that of the annotations.
	Prefix annotations.Prefix
	// Config returns the configuration in force.
	Config func() *config.Config
	// Version is the program's version.
	Version string
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// timing is what tests make shorter.
type timing struct {
	lease, renew, retry time.Duration // of the leader election
	firstRetry          time.Duration
	remind              time.Duration
}

// The audit can wait: a lease of half a minute asks the API server twelve times a
// minute, and not thirty times.
var usual = timing{
	lease: 30 * time.Second, renew: 20 * time.Second, retry: 5 * time.Second, firstRetry: time.Second, remind: remindEvery,
}

// Auditor is the part of a replica that does the audit when it is the leader.
type Auditor struct {
	options  Options
	timing   timing
	metrics  *metrics
	tracker  *tracker
	metadata metadata.Interface
	core     rest.Interface // of the core group
	events   eventsclient.EventsGetter
	lock     resourcelock.Interface
	leading  chan struct{} // holds one while this replica does the audit
}

// New prepares an audit. It does not call the API server yet.
func New(o Options) (*Auditor, error) { return newAuditor(o, usual, maxTracked) }

func newAuditor(o Options, t timing, limit int) (*Auditor, error) {
	a := &Auditor{options: o, timing: t, metrics: newMetrics(o.Metrics), leading: make(chan struct{}, 1)}
	a.tracker = newTracker(limit, a.metrics)
	if err := a.connect(); err != nil {
		return nil, fmt.Errorf("could not prepare the audit: %w", err)
	}
	return a, nil
}

func (a *Auditor) connect() error {
	config := rest.CopyConfig(a.options.REST)
	config.QPS, config.Burst = 20, 40 // each client has a limit of its own
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	if a.metadata, err = metadata.NewForConfigAndClient(config, client); err != nil {
		return err
	}
	core, err := coreclient.NewForConfigAndClient(config, client)
	if err != nil {
		return err
	}
	a.core = core.RESTClient()
	if a.events, err = eventsclient.NewForConfigAndClient(config, client); err != nil {
		return err
	}
	leases, err := coordinationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return err
	}
	a.lock = &lock{LeaseLock: resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: a.options.Namespace, Name: a.options.LeaseName},
		Client:     leases,
		LockConfig: resourcelock.ResourceLockConfig{Identity: a.options.Identity},
	}}
	return nil
}

// Run does the audit whenever this replica is the leader, until the context
// ends. No failure of the audit ends the program: admission does not depend on it.
func (a *Auditor) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: a.lock, Name: a.options.LeaseName, ReleaseOnCancel: true,
			LeaseDuration: a.timing.lease, RenewDeadline: a.timing.renew, RetryPeriod: a.timing.retry,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: a.lead, OnStoppedLeading: func() {}},
		})
		if err != nil {
			return fmt.Errorf("could not prepare the election of the audit's leader: %w", err)
		}
		elector.Run(ctx)
		a.leading <- struct{}{} // it has ended when this goes: the elector does not wait for it
		<-a.leading
		repeat.Sleep(ctx, a.timing.firstRetry)
	}
	return nil
}

// lead does the audit until the context ends, which is when another replica may
// be the leader.
func (a *Auditor) lead(ctx context.Context) {
	a.leading <- struct{}{}
	defer func() { <-a.leading }()
	if ctx.Err() != nil {
		return
	}
	a.options.Log.Info("audit started", "namespaceSelector", a.options.NamespaceSelector)
	a.metrics.leader.Set(1)
	defer a.options.Log.Info("audit ended")
	defer a.metrics.stop()
	defer a.tracker.reset()

	pods := a.podSink()
	known := &namespaces{tracker: a.tracker, pods: pods, ready: make(chan struct{})}
	looker := a.looker()
	var all sync.WaitGroup
	all.Go(func() { a.source("namespaces", a.options.NamespaceSelector).follow(ctx, known) })
	all.Go(func() {
		select {
		case <-ctx.Done():
		case <-known.ready:
			pods.follow(ctx, pods)
		}
	})
	all.Go(func() { looker.run(ctx) })
	all.Wait()
}

func (a *Auditor) source(resource, labels string) *source {
	return &source{
		kind: resource, lists: newPager(a.core, resource),
		watches: a.metadata.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}),
		labels:  labels, log: a.options.Log, retry: a.timing.firstRetry,
	}
}

func (a *Auditor) podSink() *pods {
	woken := make(chan struct{}, 1)
	s := a.source("pods", a.options.PodSelector)
	s.fields, s.wake, s.listed = unfinished, woken, a.metrics.listed
	return &pods{source: s, tracker: a.tracker, config: a.options.Config, metrics: a.metrics, woken: woken}
}

func (a *Auditor) looker() *looker {
	return &looker{
		pods: a.core, tracker: a.tracker, version: a.options.Version, metrics: a.metrics, log: a.options.Log,
		limit: rate.NewLimiter(looksPerSecond, looksPerSecond), remind: a.timing.remind, retry: a.timing.firstRetry,
		troubles: rate.Sometimes{First: 1, Interval: 10 * time.Minute},
		announcer: &announcer{
			events: a.events, owners: newVerifier(a.core, a.options.Log), tracker: a.tracker, metrics: a.metrics, log: a.options.Log,
			limit: rate.NewLimiter(rate.Every(time.Minute/eventsPerMinute), eventBurst), prefix: a.options.Prefix,
			instance: a.options.Identity,
		},
	}
}
