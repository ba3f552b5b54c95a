package admission

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/validation"
)

// metrics counts admissions. The number of series is bounded, as anybody can send a
// request with any name in it.
type metrics struct {
	admissions *prometheus.CounterVec
	workloads  *prometheus.CounterVec
	findings   *prometheus.CounterVec
	duration   prometheus.Histogram

	mu         sync.Mutex
	namespaces map[string]bool // that findings has
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := &metrics{
		admissions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oidc_injector_admissions_total",
			Help: "Number of admission requests about pods, and of those that were not understood, by outcome and reason.",
		}, []string{"outcome", "reason"}),
		workloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oidc_injector_workload_checks_total",
			Help: "Number of workloads whose pod template was checked, by result: ok, warned or denied.",
		}, []string{"result"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oidc_injector_findings_total",
			Help: "Number of pods and workloads that got warnings or were denied, by their namespace, their kind, outcome and reason. " +
				"The first 1000 namespaces have series of their own, later ones share _other.",
		}, []string{"resource_namespace", "kind", "outcome", "reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "oidc_injector_admission_duration_seconds",
			Help: "Time from the complete request to the complete response, without the network and without waiting for a turn.",
			Buckets: []float64{
				25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3, 1,
			},
		}),
		namespaces: map[string]bool{},
	}
	// They are there from the start, so that rates and alerts work.
	for outcome, reasons := range outcomes {
		for _, reason := range reasons {
			m.admissions.WithLabelValues(string(outcome), string(reason))
		}
	}
	for _, result := range []string{resultOK, resultWarned, resultDenied} {
		m.workloads.WithLabelValues(result)
	}
	registerer.MustRegister(m.admissions, m.workloads, m.findings, m.duration)
	return m
}

// The results of workloads' checks.
const (
	resultOK     = "ok"
	resultWarned = "warned"
	resultDenied = "denied"
)

func (m *metrics) count(outcome Outcome, reason Reason) {
	m.admissions.WithLabelValues(string(outcome), string(reason)).Inc()
}

// decided counts a decision.
func (m *metrics) decided(q *Request, d *Decision) {
	kind, result := "pod", resultOK
	switch {
	case d.Outcome == Denied:
		result = resultDenied
	case len(d.Warnings) > 0:
		result = resultWarned
	}
	if q.Template == "" {
		m.count(d.Outcome, d.Reason)
	} else {
		kind = "workload"
		m.workloads.WithLabelValues(result).Inc()
	}
	if result != resultOK {
		m.findings.WithLabelValues(m.namespace(q.Namespace), kind, string(d.Outcome), string(d.Reason)).Inc()
	}
}

const (
	// maxNamespaces is how many namespaces have series of their own. Those that come
	// later share one.
	maxNamespaces   = 1000
	otherNamespaces = "_other"
)

// namespace is the value of the label for a namespace.
func (m *metrics) namespace(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.namespaces[name]:
		return name
	case len(m.namespaces) == maxNamespaces || len(validation.IsDNS1123Label(name)) > 0:
		return otherNamespaces
	default:
		name = strings.Clone(name) // which is a piece of the request
		m.namespaces[name] = true
		return name
	}
}
