package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/certs/rotation"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// probing is a self-probe with a clock of its own.
type probing struct {
	*SelfProbe
	log     *testutil.Log
	metrics *prometheus.Registry
	time    time.Time
	cert    *tls.Certificate
	ca      *rotation.CA
}

func newProbing(t *testing.T) *probing {
	t.Helper()
	p := &probing{log: &testutil.Log{}, metrics: prometheus.NewRegistry(), time: simStart}
	p.ca = mustCA(t)
	p.SelfProbe = newSelfProbe("injector", func() (*tls.Certificate, error) {
		if p.cert == nil {
			return nil, ErrNotLoaded
		}
		return p.cert, nil
	}, func() time.Time { return p.time }, p.log.Logger(), p.metrics)
	return p
}

func mustCA(t *testing.T) *rotation.CA {
	t.Helper()
	ca, err := rotation.NewCA(simStart, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func (p *probing) issue(t *testing.T, name string) {
	t.Helper()
	var err error
	if p.cert, err = p.ca.Issue([]string{name}, simStart, time.Hour); err != nil {
		t.Fatal(err)
	}
}

func bundleOf(ca *rotation.CA) []byte { return rotation.State{Current: ca}.Bundle() }

func (p *probing) expect(t *testing.T, what, want string) {
	t.Helper()
	got := ""
	if err := p.Ready(); err != nil {
		got = err.Error()
	}
	if (want == "") != (got == "") || !strings.Contains(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestSelfProbe(t *testing.T) {
	t.Parallel()
	p := newProbing(t)
	hooks := func(bundles ...[]byte) *configuration {
		c := &configuration{}
		for _, b := range bundles {
			c.hooks = append(c.hooks, hook{name: "pods", host: "a.b.svc", bundle: b})
		}
		return c
	}
	const prefix = "self-probe of MutatingWebhookConfiguration injector: "
	p.expect(t, "at the start", prefix+"the webhook configuration could not be read yet")
	p.observe(nil)
	p.expect(t, "no configuration", prefix+"the webhook configuration does not exist")
	p.observe(hooks())
	p.expect(t, "no webhook in it", prefix+"the webhook configuration does not exist")
	p.observe(hooks(nil))
	p.expect(t, "no certificate", prefix+"no serving certificate is loaded yet")
	p.issue(t, "a.b.svc")
	p.expect(t, "no bundle", prefix+"webhook pods: its caBundle is empty")
	p.observe(hooks([]byte("x")))
	p.expect(t, "garbage", prefix+"webhook pods: its caBundle holds no certificate")
	p.observe(hooks(bundleOf(p.ca), bundleOf(mustCA(t))))
	p.expect(t, "another CA", prefix+"webhook pods: its caBundle does not verify the serving certificate for a.b.svc: x509: certificate "+
		"signed by unknown authority")
	p.observe(hooks(bundleOf(p.ca), append(bundleOf(mustCA(t)), bundleOf(p.ca)...)))
	p.expect(t, "all is well", "")
	values := gathered(t, p.metrics)
	if values["oidc_injector_certificate_self_probe_success"][0] != 1 ||
		values["oidc_injector_certificate_self_probe_last_success_timestamp_seconds"][0] < 1e9 {
		t.Errorf("metrics %v", values)
	}

	p.issue(t, "another.name.svc")
	p.expect(t, "a moment", "")
	if gathered(t, p.metrics)["oidc_injector_certificate_self_probe_success"][0] != 0 {
		t.Error("the metric does not say at once that something is wrong")
	}
	p.time = p.time.Add(probeGrace)
	p.expect(t, "another name", prefix+"webhook pods: its caBundle does not verify the serving certificate for a.b.svc: x509: "+
		"certificate is valid for another.name.svc, not a.b.svc")
	p.observe(nil)
	p.expect(t, "nobody calls", "")
	p.issue(t, "a.b.svc")
	p.observe(hooks(bundleOf(p.ca)))
	p.expect(t, "all is well again", "")
	p.time = simStart.Add(2 * time.Hour)
	p.expect(t, "a moment", "")
	p.time = p.time.Add(probeGrace)
	p.expect(t, "it has expired", "certificate has expired or is not yet valid")
	if n := strings.Count(p.log.String(), "an API server accepts the serving certificate"); n != 2 {
		t.Errorf("the log says %d times that all is well:\n%s", n, p.log)
	}
}

func TestHostOf(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]admissionregistrationv1.WebhookClientConfig{
		"a.b.svc":     {Service: &admissionregistrationv1.ServiceReference{Name: "a", Namespace: "b"}},
		"example.com": {URL: new("https://example.com:8443/mutate")},
		"192.0.2.1":   {URL: new("https://192.0.2.1/")},
		"2001:db8::1": {URL: new("https://[2001:db8::1]:443/")},
		"":            {URL: new("https://[::/")},
	} {
		if got := hostOf(c); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
	if got := hostOf(admissionregistrationv1.WebhookClientConfig{}); got != "" {
		t.Errorf("neither: %q", got)
	}
}

// stubborn is a cluster in which somebody overwrites the bundle at once.
type stubborn struct {
	secret  *corev1.Secret
	applied int
}

func (s *stubborn) getConfiguration(context.Context) (*configuration, error) {
	return &configuration{hooks: []hook{{name: "pods", host: "a.b.svc", bundle: []byte("x")}}}, nil
}
func (s *stubborn) getSecret(context.Context) (*corev1.Secret, error)  { return s.secret, nil }
func (s *stubborn) updateSecret(context.Context, *corev1.Secret) error { return nil }
func (s *stubborn) createSecret(_ context.Context, secret *corev1.Secret) error {
	s.secret = secret
	return nil
}

func (s *stubborn) applyBundle(_ context.Context, _ *configuration, bundle []byte) (*configuration, error) {
	s.applied++
	return &configuration{hooks: []hook{{name: "pods", host: "a.b.svc", bundle: bundle}}}, nil
}

func newManagedOf(t *testing.T, c cluster) (m *Managed, log *testutil.Log, metrics *prometheus.Registry) {
	t.Helper()
	log, metrics = &testutil.Log{}, prometheus.NewRegistry()
	return newManaged(ManagedOptions{
		Names: []string{"a.b.svc"}, Namespace: "b", SecretName: "ca", ConfigurationName: "injector",
		Policy: rotation.Policy{CADuration: 24 * time.Hour, CertificateDuration: time.Hour},
		Log:    slog.New(slog.NewTextHandler(log, nil)), Metrics: metrics,
	}, c, func() time.Time { return simStart }), log, metrics
}

// TestBundleContested: somebody who insists on another bundle does not have us write without end.
func TestBundleContested(t *testing.T) {
	t.Parallel()
	s := &stubborn{}
	m, log, _ := newManagedOf(t, s)
	var err error
	for range 30 {
		err = m.sync(t.Context())
	}
	if s.applied > 12 || err == nil || !strings.HasPrefix(err.Error(), "another client keeps overwriting the CA bundle") {
		t.Errorf("written %d times, error %v", s.applied, err)
	}
	if !log.Has(`msg="damage to certificates repaired" kind=ca_bundle_overwritten`) || log.Has("PRIVATE") {
		t.Errorf("log:\n%s", log)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m, _, metrics := newManagedOf(t, &stubborn{})
	newAhead(metrics)
	for range 2 {
		_ = m.sync(t.Context())
	}
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
	for name, series := range map[string]int{
		"oidc_injector_certificate_expiration_timestamp_seconds":              2,
		"oidc_injector_certificate_issued_timestamp_seconds":                  2,
		"oidc_injector_certificate_rotations_total":                           2,
		"oidc_injector_certificate_repairs_total":                             len(rotation.Repairs),
		"oidc_injector_certificate_sync_failures_total":                       1,
		"oidc_injector_certificate_last_sync_success_timestamp_seconds":       1,
		"oidc_injector_certificate_self_probe_success":                        1,
		"oidc_injector_certificate_self_probe_last_success_timestamp_seconds": 1,
		"oidc_injector_clock_ahead_seconds":                                   1,
	} {
		if got := len(gathered(t, metrics)[name]); got != series {
			t.Errorf("%s: %d series, want %d", name, got, series)
		}
	}
}

// TestConditions: the match conditions of each webhook are told whenever the configuration
// is read.
func TestConditions(t *testing.T) {
	t.Parallel()
	p := newProbing(t)
	got := map[string]map[string]string{}
	p.conditions = func(webhook string, conditions map[string]string) { got[webhook] = conditions }
	p.observe(nil)
	p.observe(summary(&admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []admissionregistrationv1.MutatingWebhook{
		{Name: "a", MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "x", Expression: "1"}, {Name: "y", Expression: "2"}}},
		{Name: "b"},
	}}))
	want := map[string]map[string]string{"a": {"x": "1", "y": "2"}, "b": {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}
