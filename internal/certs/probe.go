package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// probeGrace is for how long a webhook that was ready stays so although an API
// server would not accept its certificate. What is wrong is then wrong for all
// replicas, and mostly repaired within a moment; without any replica that is
// ready, the moment would last until the API server has heard of one again.
const probeGrace = 10 * time.Second

var (
	errNotRead         = errors.New("the webhook configuration could not be read yet")
	errNoConfiguration = errors.New("the webhook configuration does not exist")
)

// SelfProbe reports whether an API server accepts the serving certificate: whether
// it verifies against the caBundle of each webhook of the configuration, by the
// name that the API server calls that webhook by.
type SelfProbe struct {
	name   string
	source func() (*tls.Certificate, error)
	now    func() time.Time
	log    *slog.Logger
	// conditions is told what the match conditions of a webhook are; it may be nil.
	conditions Conditions
	up         prometheus.Gauge
	last       prometheus.Gauge

	mu        sync.Mutex
	hooks     []hook
	trouble   error // why the hooks are not known
	succeeded bool  // at least once
	failing   time.Time
	unproven  repeat.Failing
}

// Conditions is called with the match conditions of each webhook of the configuration, by
// their names, whenever the configuration is read.
type Conditions func(webhook string, conditions map[string]string)

func newSelfProbe(name string, source func() (*tls.Certificate, error), now func() time.Time, log *slog.Logger,
	metrics prometheus.Registerer,
) *SelfProbe {
	p := &SelfProbe{
		name: name, source: source, now: now, log: log, trouble: errNotRead,
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oidc_injector_certificate_self_probe_success",
			Help: "Whether the serving certificate verifies against the CA bundle in the webhook configuration: 1 or 0.",
		}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oidc_injector_certificate_self_probe_last_success_timestamp_seconds",
			Help: "When the serving certificate verified last, in seconds since the epoch.",
		}),
	}
	metrics.MustRegister(p.up, p.last)
	return p
}

// observe takes what the configuration is now; nil where there is none.
func (p *SelfProbe) observe(c *configuration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c == nil || len(c.hooks) == 0 {
		p.hooks, p.trouble = nil, errNoConfiguration
		return
	}
	p.hooks, p.trouble = c.hooks, nil
	if p.conditions == nil {
		return
	}
	for _, h := range c.hooks {
		p.conditions(h.name, h.conditions)
	}
}

// check probes, and says so where the outcome is another one than before.
func (p *SelfProbe) check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.probe()
	if err == nil {
		p.failing = time.Time{}
		p.up.Set(1)
		p.last.SetToCurrentTime()
		if p.unproven.Recovered() || !p.succeeded {
			p.log.Info("an API server accepts the serving certificate", "webhookConfiguration", p.name)
		}
		p.succeeded = true
		return nil
	}
	if p.failing.IsZero() {
		p.failing = p.now()
	}
	p.up.Set(0)
	if p.unproven.With(err) {
		p.log.Warn("an API server would not accept the serving certificate", "webhookConfiguration", p.name, "error", err)
	}
	return err
}

func (p *SelfProbe) probe() error {
	if p.trouble != nil {
		return p.trouble
	}
	certificate, err := p.source()
	if err != nil {
		return err
	}
	for _, h := range p.hooks {
		if err := h.verify(certificate, p.now()); err != nil {
			return fmt.Errorf("webhook %s: %w", h.name, err)
		}
	}
	return nil
}

// verify does what an API server does with the certificate that it is shown.
func (h hook) verify(certificate *tls.Certificate, now time.Time) error {
	if len(h.bundle) == 0 {
		return errors.New("its caBundle is empty")
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(h.bundle) {
		return errors.New("its caBundle holds no certificate")
	}
	for _, der := range certificate.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			intermediates.AddCert(c)
		}
	}
	_, err := certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: h.host, CurrentTime: now})
	if err != nil {
		return fmt.Errorf("its caBundle does not verify the serving certificate for %s: %w", h.host, err)
	}
	return nil
}

// Ready reports whether the webhook is to get requests, as far as certificates are
// concerned.
func (p *SelfProbe) Ready() error {
	err := p.check()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case p.succeeded && errors.Is(err, errNoConfiguration):
		return nil // nobody is told to call us; and we are ready for when somebody is
	case p.succeeded && p.now().Sub(p.failing) < probeGrace:
		return nil
	default:
		return fmt.Errorf("self-probe of MutatingWebhookConfiguration %s: %w", p.name, err)
	}
}

// ProbeOptions are those of a self-probe of a certificate that others make.
type ProbeOptions struct {
	Config            *rest.Config
	ConfigurationName string
	Source            func() (*tls.Certificate, error)
	Conditions        Conditions
	Log               *slog.Logger
	Metrics           prometheus.Registerer
}

// Probe runs a self-probe beside a source of certificates.
type Probe struct {
	*SelfProbe
	server *apiServer
}

// NewProbe returns the probe; Run makes it read the configuration.
func NewProbe(o ProbeOptions) (*Probe, error) {
	clock := &apiClock{ahead: newAhead(o.Metrics)}
	server, err := newAPIServer(o.Config, clock, o.ConfigurationName, "", "")
	if err != nil {
		return nil, err
	}
	probe := newSelfProbe(o.ConfigurationName, o.Source, clock.now, o.Log, o.Metrics)
	probe.conditions = o.Conditions
	return &Probe{SelfProbe: probe, server: server}, nil
}

// Run follows the configuration until the context ends.
func (p *Probe) Run(ctx context.Context) error {
	l := loop{log: p.log, resync: 30 * time.Second, watches: []startWatch{p.server.watchConfiguration}}
	l.run(ctx, func(ctx context.Context) error {
		c, err := p.server.getConfiguration(ctx)
		if err != nil {
			return err
		}
		p.observe(c)
		_ = p.check() // it has said what there is to say
		return nil
	})
	return nil
}
