package certs

import (
	"crypto/x509"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/certs/rotation"
)

// The values of the label certificate.
const (
	servingCertificate = "serving"
	caCertificate      = "ca"
)

func newExpiry(metrics prometheus.Registerer) *prometheus.GaugeVec {
	expiry := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "oidc_injector_certificate_expiration_timestamp_seconds",
		Help: "When a certificate in use expires, in seconds since the epoch.",
	}, []string{"certificate"})
	metrics.MustRegister(expiry)
	return expiry
}

func setExpiry(expiry *prometheus.GaugeVec, certificate string, c *x509.Certificate) {
	expiry.WithLabelValues(certificate).Set(float64(c.NotAfter.Unix()))
}

func newAhead(metrics prometheus.Registerer) prometheus.Gauge {
	ahead := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "oidc_injector_clock_ahead_seconds",
		Help: "By how much the clock of this machine is ahead of the API server's, negative where it is behind.",
	})
	metrics.MustRegister(ahead)
	return ahead
}

// managedMetrics are those of certificates that the webhook makes itself.
type managedMetrics struct {
	expiry    *prometheus.GaugeVec
	rotations *prometheus.CounterVec
	heals     *prometheus.CounterVec
	failures  prometheus.Counter
	success   prometheus.Gauge
}

func newManagedMetrics(registerer prometheus.Registerer) managedMetrics {
	m := managedMetrics{
		expiry: newExpiry(registerer),
		rotations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oidc_injector_certificate_rotations_total",
			Help: "Certificates that were replaced by their successor; a CA is counted by the replica that replaced it.",
		}, []string{"certificate"}),
		heals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oidc_injector_certificate_heals_total",
			Help: "Damage to certificates that was repaired, by its kind, counted by the replica that repaired it.",
		}, []string{"kind"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "oidc_injector_certificate_sync_failures_total",
			Help: "Failed attempts to bring Secret, webhook configuration and serving certificate in line.",
		}),
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oidc_injector_certificate_last_sync_success_timestamp_seconds",
			Help: "When Secret, webhook configuration and serving certificate were in line last, in seconds since the epoch.",
		}),
	}
	for _, certificate := range []string{servingCertificate, caCertificate} {
		m.rotations.WithLabelValues(certificate)
	}
	for _, kind := range rotation.Heals {
		m.heals.WithLabelValues(string(kind))
	}
	registerer.MustRegister(m.rotations, m.heals, m.failures, m.success)
	return m
}
