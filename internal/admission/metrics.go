package admission

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts admissions. No label holds a name of the cluster: their number
// is fixed.
type metrics struct {
	admissions *prometheus.CounterVec
	duration   prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		admissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oidc_injector_admissions_total",
			Help: "Number of admission requests, by outcome and reason.",
		}, []string{"outcome", "reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "oidc_injector_admission_duration_seconds",
			Help: "Time from the complete request to the complete response, without the network.",
			Buckets: []float64{
				25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3, 1,
			},
		}),
	}
	for outcome, reasons := range outcomes {
		for _, reason := range reasons {
			m.admissions.WithLabelValues(string(outcome), string(reason)) // there from the start, so that rates and alerts work
		}
	}
	registerer.MustRegister(m.admissions, m.duration)
	return m
}

func (m *metrics) count(outcome Outcome, reason Reason) {
	m.admissions.WithLabelValues(string(outcome), string(reason)).Inc()
}
