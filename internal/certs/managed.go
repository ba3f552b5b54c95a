package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/certs/rotation"
)

// RotateAnnotation on the Secret asks for another CA, whatever its value.
const RotateAnnotation = "oidc-injector.io/rotate-ca"

// ManagedOptions are those of certificates that the webhook makes itself.
type ManagedOptions struct {
	// Config leads to the API server.
	Config *rest.Config
	// ConfigurationName is that of the MutatingWebhookConfiguration whose
	// caBundles are written.
	ConfigurationName string
	// Namespace and SecretName are those of the Secret with the CA.
	Namespace, SecretName string
	// Names are the DNS names and IP addresses in the serving certificate.
	Names  []string
	Policy rotation.Policy
	// Conditions is told what the match conditions are; it may be nil.
	Conditions Conditions
	Log        *slog.Logger
	Metrics    prometheus.Registerer
}

// Managed makes the serving certificate and serves it from memory. Its CA is
// shared with the other replicas in a Secret, and made known to the API servers
// in the webhook configuration. All replicas do the same; whoever is first has
// done it for all.
type Managed struct {
	options ManagedOptions
	log     *slog.Logger
	metrics managedMetrics
	cluster cluster
	server  *apiServer
	now     func() time.Time
	probe   *SelfProbe
	// repairs bounds how often a caBundle is written back, should somebody else
	// insist on another one.
	repairs *rate.Limiter

	served atomic.Pointer[tls.Certificate]

	// The rest belongs to the one goroutine that runs sync.
	serving *rotation.Serving
	memory  rotation.State
	seen    rotation.Sightings
	inPlace []byte
	meta    metav1.ObjectMeta // labels and annotations of the Secret
}

// NewManaged returns the source of certificates; Run makes it work.
func NewManaged(o ManagedOptions) (*Managed, error) {
	clock := &apiClock{ahead: newAhead(o.Metrics)}
	server, err := newAPIServer(o.Config, clock, o.ConfigurationName, o.Namespace, o.SecretName)
	if err != nil {
		return nil, err
	}
	m := newManaged(o, server, clock.now)
	m.server = server
	return m, nil
}

func newManaged(o ManagedOptions, c cluster, now func() time.Time) *Managed {
	m := &Managed{
		options: o, log: o.Log, metrics: newManagedMetrics(o.Metrics), cluster: c, now: now,
		repairs: rate.NewLimiter(rate.Every(5*time.Second), 10),
	}
	m.probe = newSelfProbe(o.ConfigurationName, m.current, now, o.Log, o.Metrics)
	m.probe.conditions = o.Conditions
	return m
}

// GetCertificate returns the current certificate, for a [tls.Config].
func (m *Managed) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return m.current() }

func (m *Managed) current() (*tls.Certificate, error) {
	certificate := m.served.Load()
	if certificate == nil {
		return nil, ErrNotLoaded
	}
	return certificate, nil
}

// Ready reports whether an API server accepts the certificate.
func (m *Managed) Ready() error { return m.probe.Ready() }

// Run keeps Secret, configuration and certificate in line until the context ends.
func (m *Managed) Run(ctx context.Context) error {
	l := loop{
		log: m.log, failed: m.failed, watches: []startWatch{m.server.watchSecret, m.server.watchConfiguration},
		// Short lifetimes, as in tests, are looked after more often.
		resync: min(time.Minute, m.options.Policy.CertificateDuration/20),
	}
	l.run(ctx, m.sync)
	return nil
}

// failed does without the API server what can be done.
func (m *Managed) failed(error) {
	m.metrics.failures.Inc()
	known := rotation.View{Now: m.now(), Memory: m.memory, Seen: m.seen, Serving: m.serving}
	if ca := m.options.Policy.LastResort(known); ca != nil {
		if err := m.issue(ca); err != nil {
			m.log.Error("serving certificate not renewed", "error", err)
		}
	}
	_ = m.probe.check() // a certificate may have expired meanwhile
}

// sync takes one turn. The configuration is read before the Secret; see
// [rotation.View].
func (m *Managed) sync(ctx context.Context) error {
	c, err := m.cluster.getConfiguration(ctx)
	if err != nil {
		return err
	}
	secret, err := m.cluster.getSecret(ctx)
	if err != nil {
		return err
	}
	m.see(c)
	view := m.view(c, secret)
	plan, err := m.options.Policy.Decide(view)
	if err != nil {
		return err
	}
	if plan.Write != nil {
		if err := m.store(ctx, secret, plan); err != nil {
			return err
		}
		m.tell(plan, view.Stored.Problems)
		return errAgain
	}
	m.remember(secret, view.Stored.State)
	if plan.Issue != nil {
		if err := m.issue(plan.Issue); err != nil {
			return err
		}
	}
	if err := m.publish(ctx, c, plan); err != nil {
		return err
	}
	_ = m.probe.check() // it has said what there is to say
	m.metrics.success.SetToCurrentTime()
	return nil
}

// see notes what the configuration is.
func (m *Managed) see(c *configuration) {
	m.probe.observe(c)
	m.seen = m.seen.After(c.bundles(), m.now())
}

func (m *Managed) view(c *configuration, secret *corev1.Secret) rotation.View {
	v := rotation.View{
		Now: m.now(), Exists: secret != nil, Memory: m.memory, Bundles: c.bundles(), InPlace: m.inPlace, Seen: m.seen, Serving: m.serving,
	}
	if secret != nil {
		v.Stored = rotation.Parse(secret.Data)
		_, v.Requested = secret.Annotations[RotateAnnotation]
	}
	return v
}

// store writes the Secret, on the condition that it is still the one that was
// read.
func (m *Managed) store(ctx context.Context, read *corev1.Secret, plan rotation.Plan) error {
	secret := &corev1.Secret{Type: corev1.SecretTypeOpaque}
	secret.Namespace, secret.Name = m.options.Namespace, m.options.SecretName
	secret.Labels, secret.Annotations = maps.Clone(m.meta.Labels), maps.Clone(m.meta.Annotations)
	if read != nil {
		secret = read.DeepCopy()
	}
	delete(secret.Annotations, RotateAnnotation)
	var err error
	if secret.Data, err = plan.Write.Data(secret.Data); err != nil {
		return err
	}
	if read == nil {
		return m.cluster.createSecret(ctx, secret)
	}
	return m.cluster.updateSecret(ctx, secret)
}

// tell says what was done to the Secret.
func (m *Managed) tell(plan rotation.Plan, problems []error) {
	m.healed(plan.Repairs, "problems", errors.Join(problems...))
	switch plan.Step {
	case rotation.None:
	case rotation.Created:
		m.log.Info("CA created", describe(plan.Write.Current)...)
	case rotation.Started:
		m.log.Info("CA rotation started, the next CA joins the CA bundle", describe(plan.Write.Next)...)
	case rotation.Finished:
		m.metrics.rotations.WithLabelValues(caCertificate).Inc()
		m.log.Info("CA rotated", describe(plan.Write.Current)...)
	}
}

// describe tells which CA it is. The fingerprint is that of
// `openssl x509 -fingerprint -sha256`.
func describe(ca *rotation.CA) []any {
	fingerprint := sha256.Sum256(ca.Certificate.Raw)
	return []any{
		"subject", ca.Certificate.Subject.CommonName, "notAfter", ca.Certificate.NotAfter, "sha256",
		hex.EncodeToString(fingerprint[:]),
	}
}

func (m *Managed) healed(kinds []rotation.Repair, details ...any) {
	for _, kind := range kinds {
		m.metrics.repairs.WithLabelValues(string(kind)).Inc()
		m.log.Warn("damage to certificates repaired", append([]any{"kind", kind}, details...)...)
	}
}

// remember keeps what the Secret holds, for when it is lost.
func (m *Managed) remember(secret *corev1.Secret, state rotation.State) {
	m.memory = state
	m.meta = metav1.ObjectMeta{Labels: secret.Labels, Annotations: secret.Annotations}
	m.metrics.validity.set(caCertificate, rotation.Issued(state.Current.Certificate), state.Current.Certificate)
}

// issue makes a new serving certificate and serves it.
func (m *Managed) issue(ca *rotation.CA) error {
	now := m.now()
	certificate, err := ca.Issue(m.options.Names, now, m.options.Policy.CertificateDuration)
	if err != nil {
		return err
	}
	due := rotation.Due(certificate.Leaf, m.options.Policy.CertificateDuration)
	renewAt := due.Add(-jitter(due.Sub(now) / 20)) // not all replicas in the same moment
	if m.serving != nil {
		m.metrics.rotations.WithLabelValues(servingCertificate).Inc()
	}
	m.serving = &rotation.Serving{Certificate: certificate.Leaf, Issuer: ca.Certificate, RenewAt: renewAt}
	m.served.Store(certificate)
	m.metrics.validity.set(servingCertificate, now, certificate.Leaf)
	m.log.Info("serving certificate issued", "notAfter", certificate.Leaf.NotAfter, "dnsNames", certificate.Leaf.DNSNames,
		"ca", ca.Certificate.Subject.CommonName, "renewal", renewAt)
	return nil
}

var errContested = errors.New("another client keeps overwriting the CA bundle in the webhook configuration: " +
	"see the managers of webhooks[].clientConfig.caBundle in its managedFields")

// publish writes the bundle into the configuration where it is another one.
func (m *Managed) publish(ctx context.Context, c *configuration, plan rotation.Plan) error {
	if c == nil || len(c.hooks) == 0 {
		return nil
	}
	if plan.Bundle == nil {
		m.inPlace = c.hooks[0].bundle
		return nil
	}
	if len(plan.Repairs) > 0 && !m.repairs.Allow() {
		return errContested
	}
	updated, err := m.cluster.applyBundle(ctx, c, plan.Bundle)
	if err != nil {
		return err
	}
	m.healed(plan.Repairs)
	m.log.Info("CA bundle written into the webhook configuration", "webhookConfiguration", m.options.ConfigurationName,
		"certificates", len(m.memory.Certificates()))
	m.inPlace = plan.Bundle
	m.see(updated)
	return nil
}

// ServiceNames are the names by which a Service is called: the API server uses
// the first one.
func ServiceNames(service, namespace string) []string {
	name := service + "." + namespace
	return []string{fmt.Sprintf("%s.svc", name), fmt.Sprintf("%s.svc.cluster.local", name), name}
}
