package audit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the detector. No label holds a name of the cluster. Where
// this replica is not the leader, the gauges are zero.
type metrics struct {
	missed      *prometheus.GaugeVec
	leader      prometheus.Gauge
	namespaces  prometheus.Gauge
	pods        prometheus.Counter
	overflow    prometheus.Counter
	lists       *prometheus.CounterVec
	checks      *prometheus.CounterVec
	events      *prometheus.CounterVec
	lastList    prometheus.Gauge
	lastContact prometheus.Gauge
}

// The values of the labels.
const (
	success    = "success"
	failure    = "failure"
	missed     = "missed"
	notMissed  = "not_missed"
	suppressed = "suppressed"
)

func newMetrics(registerer prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	results := func(name, help string, values ...string) *prometheus.CounterVec {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"result"})
		for _, value := range values {
			vec.WithLabelValues(value) // there from the start, so that rates and alerts work
		}
		return vec
	}
	m := &metrics{
		missed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "oidc_injector_missed_pods",
			Help: "Pods that ask for a token and were not injected, by reason. Only the leader of the audit counts them.",
		}, []string{"reason"}),
		leader:     gauge("oidc_injector_audit_leader", "Whether this replica is the one that does the audit (1) or not (0)."),
		namespaces: gauge("oidc_injector_audit_namespaces", "Namespaces whose pods are audited."),
		pods: counter("oidc_injector_audit_pods_seen_total",
			"Times that a pod's metadata was looked at, in a list or after a change."),
		overflow: counter("oidc_injector_audit_overflow_total",
			"Times that a suspicious pod was left out because too many are known already."),
		lists: results("oidc_injector_audit_lists_total", "Lists of all pods, by result.", success, failure),
		checks: results("oidc_injector_audit_checks_total", "Suspicious pods that were read as a whole, by result.", missed, notMissed,
			failure),
		events: results("oidc_injector_audit_events_total",
			"Events about pods that were not injected; held back ones are suppressed, by result.", success, failure, suppressed),
		lastList: gauge("oidc_injector_audit_last_list_timestamp_seconds",
			"When all pods were last listed, as at the start and after trouble, in seconds since the epoch."),
		lastContact: gauge("oidc_injector_audit_last_contact_timestamp_seconds",
			"When the API server last sent something about pods, which it does every minute, in seconds since the epoch."),
	}
	for _, reason := range reasons {
		m.missed.WithLabelValues(string(reason))
	}
	registerer.MustRegister(m.missed, m.leader, m.namespaces, m.pods, m.overflow, m.lists, m.checks, m.events, m.lastList, m.lastContact)
	return m
}

// contact notes that the API server has answered.
func (m *metrics) contact() { m.lastContact.SetToCurrentTime() }

// listed notes the end of a list.
func (m *metrics) listed(err error) {
	if err != nil {
		m.lists.WithLabelValues(failure).Inc()
		return
	}
	m.lists.WithLabelValues(success).Inc()
	m.lastList.Set(float64(time.Now().Unix()))
}

// stop is called when another replica may be the leader.
func (m *metrics) stop() {
	m.leader.Set(0)
	m.lastList.Set(0)
	m.lastContact.Set(0)
}
