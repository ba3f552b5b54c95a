package certs

import (
	"crypto/x509"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/certs/rotation"
)

// The values of the label certificate.
const (
	servingCertificate = "serving"
	caCertificate      = "ca"
)

// validity tells of the certificates in use when their life began and when it ends:
// whether one should long have been replaced depends on both.
type validity struct {
	issued, expiry *prometheus.GaugeVec
}

func newValidity(metrics prometheus.Registerer) validity {
	l := validity{
		issued: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "oidc_injector_certificate_issued_timestamp_seconds",
			Help: "When a certificate in use was made, or begins to be valid where it comes from a file, in seconds since the epoch.",
		}, []string{"certificate"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "oidc_injector_certificate_expiration_timestamp_seconds",
			Help: "When a certificate in use expires, in seconds since the epoch.",
		}, []string{"certificate"}),
	}
	metrics.MustRegister(l.issued, l.expiry)
	return l
}

func (l validity) set(certificate string, issued time.Time, c *x509.Certificate) {
	l.issued.WithLabelValues(certificate).Set(float64(issued.Unix()))
	l.expiry.WithLabelValues(certificate).Set(float64(c.NotAfter.Unix()))
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
	validity  validity
	rotations *prometheus.CounterVec
	repairs   *prometheus.CounterVec
	failures  prometheus.Counter
	success   prometheus.Gauge
}

func newManagedMetrics(registerer prometheus.Registerer) managedMetrics {
	m := managedMetrics{
		validity: newValidity(registerer),
		rotations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oidc_injector_certificate_rotations_total",
			Help: "Certificates that were replaced by their successor; a CA is counted by the replica that replaced it.",
		}, []string{"certificate"}),
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oidc_injector_certificate_repairs_total",
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
	for _, kind := range rotation.Repairs {
		m.repairs.WithLabelValues(string(kind))
	}
	registerer.MustRegister(m.rotations, m.repairs, m.failures, m.success)
	return m
}
