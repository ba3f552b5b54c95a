package audit

import (
	"context"
	"fmt"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/audit/audittest"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard()) // the leader election writes to it
	m.Run()
}

var quick = timing{
	lease: 600 * time.Millisecond, renew: 400 * time.Millisecond, retry: 50 * time.Millisecond,
	firstRetry: 5 * time.Millisecond, remind: 20 * time.Millisecond,
}

// patient has a lease that a replica can renew in time on a machine that is busy.
var patient = timing{
	lease: 3 * time.Second, renew: 2 * time.Second, retry: quick.retry, firstRetry: quick.firstRetry, remind: quick.remind,
}

// replica is an audit under test.
type replica struct {
	*testing.T

	server  *audittest.Server
	config  atomic.Pointer[config.Config]
	metrics *prometheus.Registry
	log     *testutil.Log
	auditor *Auditor
	stop    func()
}

func server(t *testing.T) *audittest.Server {
	t.Helper()
	s, err := audittest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Namespace("shop", map[string]string{"oidc-injector.io/enabled": "true"})
	s.Namespace("other", nil)
	return s
}

func start(t *testing.T, s *audittest.Server, identity string, limit int) *replica {
	t.Helper()
	return startWith(t, s, identity, limit, quick)
}

func startWith(t *testing.T, s *audittest.Server, identity string, limit int, times timing) *replica {
	t.Helper()
	r := &replica{T: t, server: s, metrics: prometheus.NewPedanticRegistry(), log: &testutil.Log{}}
	r.config.Store(configured(t))
	auditor, err := newAuditor(Options{
		REST: &rest.Config{Host: s.URL}, Namespace: "security", LeaseName: "oidc-injector-audit", Identity: identity,
		NamespaceSelector: "oidc-injector.io/enabled=true", Prefix: annotations.DefaultPrefix, Config: r.config.Load, Version: "v1",
		Log: r.log.Logger(), Metrics: r.metrics,
	}, times, limit)
	if err != nil {
		t.Fatal(err)
	}
	r.auditor = auditor
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- auditor.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ended <- nil
	}
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("log:\n%s", r.log)
		}
	})
	return r
}

// values are the values of a metric other than zero, by its label.
func (r *replica) values(name string) map[string]float64 {
	r.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			label := ""
			for _, pair := range m.GetLabel() {
				label = pair.GetValue()
			}
			if v := m.GetGauge().GetValue() + m.GetCounter().GetValue(); v != 0 && family.GetName() == name {
				values[label] = v
			}
		}
	}
	return values
}

// await waits until a metric has these values, and no others but zero.
func (r *replica) await(name string, want map[string]float64) {
	r.Helper()
	var got map[string]float64
	defer func() {
		if diff := cmp.Diff(want, got); diff != "" {
			r.Errorf("%s (-want +got):\n%s\nlog:\n%s", name, diff, r.log)
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if got = r.values(name); cmp.Equal(want, got) {
			return
		}
	}
}

func (r *replica) awaitMissed(want map[string]float64) {
	r.Helper()
	r.await("oidc_injector_missed_pods", want)
}

type counts = map[string]float64

func TestMissedPods(t *testing.T) {
	t.Parallel()
	s := server(t)
	cfg := configured(t)
	s.Pod(newPod("plain"))
	s.Pod(inject(t, cfg, "v1", newPod("fine", "audience=vault")))
	s.Pod(newPod("missed", "audience=vault"))
	s.Pod(with(newPod("done", "audience=vault"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }))
	s.Pod(with(newPod("unlabelled", "audience=vault"), func(p *corev1.Pod) { p.Namespace = "other" }))
	r := start(t, s, "a", 100)
	r.awaitMissed(counts{"not_injected": 1})
	r.await("oidc_injector_audit_leader", counts{"": 1})
	r.await("oidc_injector_audit_namespaces", counts{"": 1})

	// Changes are heard of: of a new pod, of one that has ended, of one that is gone.
	s.Pod(newPod("later", "audience=forbidden"))
	s.Pod(newPod("later still", "audience=vault"))
	r.awaitMissed(counts{"not_injected": 2, "denied": 1})
	s.Pod(with(newPod("later still", "audience=vault"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }))
	s.Delete("shop", "later")
	r.awaitMissed(counts{"not_injected": 1})

	// One that is created again, and injected this time.
	s.Delete("shop", "missed")
	s.Pod(with(inject(t, cfg, "v1", newPod("missed", "audience=vault")), func(p *corev1.Pod) { p.UID = "another" }))
	r.awaitMissed(counts{})

	// Labels come and go.
	s.Namespace("other", map[string]string{"oidc-injector.io/enabled": "true"})
	r.awaitMissed(counts{"not_injected": 1})
	s.Namespace("other", map[string]string{"oidc-injector.io/enabled": "false"})
	r.awaitMissed(counts{})
	if lists := s.Calls("list pods"); lists != 1 {
		t.Errorf("all pods were listed %d times", lists)
	}
	// Only suspicious pods were read.
	if gets := s.Calls("get pod"); gets != 4 {
		t.Errorf("%d pods were read", gets)
	}
	for _, word := range []string{"vault", "forbidden"} {
		if r.log.Has(word) {
			t.Errorf("the log quotes a pod: %s\n%s", word, r.log)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.ReplicaSet("shop", "web-5d4f8c", "web", map[string]string{"app": "web"})
	for i := range 5 {
		s.Pod(newPod(fmt.Sprintf("web-%d", i), "audience=vault")) // of one owner
	}
	s.Pod(with(newPod("bare", "audience=forbidden"), func(p *corev1.Pod) { p.OwnerReferences = nil }))
	r := start(t, s, "replica-a", 100)
	r.awaitMissed(counts{"not_injected": 5, "denied": 1})
	r.await("oidc_injector_audit_events_total", counts{"success": 2})
	time.Sleep(5 * quick.remind) // nobody is told twice
	got := map[string]string{}
	for _, e := range s.Events() {
		got[fmt.Sprintf("%s %s/%s/%s %s %s %s", e.Regarding.Kind, e.Namespace, e.Regarding.Namespace, e.Regarding.Name, e.Regarding.UID,
			e.Type, e.Reason)] = regexp.MustCompile(`web-[0-4]`).ReplaceAllString(e.Note, "web-N")
		if e.ReportingInstance != "replica-a" || e.ReportingController != "oidc-injector.io/audit" || e.EventTime.IsZero() {
			t.Errorf("event %+v", e)
		}
		if (e.Related != nil) != (e.Regarding.Kind != "Pod") {
			t.Errorf("related to %v", e.Related)
		}
	}
	want := map[string]string{
		"ReplicaSet shop/shop/web-5d4f8c web Warning NotInjected": "Pod web-N requests tokens but was not injected: the webhook was not " +
			"called when the pod was created, because it was unavailable or the namespace was not labeled yet. " +
			"To inject it, create it again, for example by a restart of its workload.",
		"Pod shop/shop/bare uid-bare Warning Denied": "Pod bare was created without the webhook, which would deny it because of " +
			"oidc-injector.io/audience. " +
			"A server-side dry run of its creation shows the denial. " +
			"Correct it, and create it again, for example by a restart of its workload.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A cluster full of pods that were not injected gets no storm of Events, and in the
// end all that it needs.
func TestEventLimit(t *testing.T) {
	t.Parallel()
	s := server(t)
	const namespaces = eventBurst + 5
	for i := range namespaces {
		namespace := fmt.Sprintf("ns-%d", i)
		s.Namespace(namespace, map[string]string{"oidc-injector.io/enabled": "true"})
		s.Pod(with(newPod("bare", "audience=vault"), func(p *corev1.Pod) {
			p.OwnerReferences, p.Namespace, p.UID = nil, namespace, types.UID(namespace)
		}))
	}
	r := start(t, s, "a", 100)
	r.awaitMissed(counts{"not_injected": namespaces})
	testutil.Eventually(t, "the first Event after the burst", func() bool { return len(s.Events()) == eventBurst+1 })
	if r.values("oidc_injector_audit_events_total")[suppressed] == 0 {
		t.Error("none was held back")
	}
}

// A namespace full of them does not use up the Events of another one, nor is it read
// again and again.
func TestEventLimitPerNamespace(t *testing.T) {
	t.Parallel()
	s := server(t)
	const bare = 5 * eventsPerNamespace
	for i := range bare {
		s.Pod(with(newPod(fmt.Sprintf("bare-%d", i), "audience=vault"), func(p *corev1.Pod) { p.OwnerReferences = nil }))
	}
	r := start(t, s, "a", 1000)
	r.awaitMissed(counts{"not_injected": bare})
	r.await("oidc_injector_audit_events_total", counts{"success": eventsPerNamespace, "suppressed": bare - eventsPerNamespace})
	s.Namespace("other", map[string]string{"oidc-injector.io/enabled": "true"})
	s.Pod(with(newPod("web", "audience=vault"), func(p *corev1.Pod) { p.OwnerReferences, p.Namespace = nil, "other" }))
	r.await("oidc_injector_audit_events_total", counts{"success": eventsPerNamespace + 1, "suppressed": bare - eventsPerNamespace})
	if gets := s.Calls("get pod"); gets != bare+1 {
		t.Errorf("%d pods were read", gets)
	}
}

func TestAPIServerErrors(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.Fail("apply lease", 2, 503)
	s.Fail("list namespaces", 2, 503)
	s.Fail("list pods", 2, 503)
	s.Fail("watch pods", 2, 503)
	s.Fail("get pod", 2, 503)
	s.Fail("list pods of a namespace", 1, 503)
	s.Pod(newPod("first", "audience=vault"))
	s.Pod(with(newPod("labelled later", "audience=vault"), func(p *corev1.Pod) { p.Namespace = "other" }))
	r := start(t, s, "a", 100)
	r.awaitMissed(counts{"not_injected": 1})
	r.await("oidc_injector_audit_lists_total", counts{"failure": 2, "success": 1})
	s.Pod(newPod("second", "audience=vault"))
	r.awaitMissed(counts{"not_injected": 2})

	// A watch that ends goes on where it was.
	s.Bookmark()
	for range 3 {
		s.EndWatches()
		s.Delete("shop", "second")
		r.awaitMissed(counts{"not_injected": 1})
		s.Pod(newPod("second", "audience=vault"))
		r.awaitMissed(counts{"not_injected": 2})
	}
	r.await("oidc_injector_audit_lists_total", counts{"failure": 2, "success": 1})

	// One that cannot begins anew, and notices what it has not heard.
	s.Delete("shop", "first")
	s.Forget()
	r.awaitMissed(counts{"not_injected": 1})
	testutil.Eventually(t, "a second list", func() bool { return r.values("oidc_injector_audit_lists_total")[success] >= 2 })

	// Where the pods of a new namespace cannot be listed, all are.
	s.Namespace("other", map[string]string{"oidc-injector.io/enabled": "true"})
	r.awaitMissed(counts{"not_injected": 2})
	if r.values("oidc_injector_audit_checks_total")[failure] != 2 {
		t.Errorf("checks: %v", r.values("oidc_injector_audit_checks_total"))
	}
}

func TestFindingsLimit(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.Fail("get pod", 1_000_000, 503) // nothing is settled
	for i := range 50 {
		s.Pod(newPod(fmt.Sprintf("web-%d", i), "audience=vault"))
	}
	r := start(t, s, "a", 10)
	r.awaitMissed(counts{"unverified": 10})
	r.await("oidc_injector_audit_overflow_total", counts{"": 40})

	// As soon as there is room, the others are found.
	known := 0
	for i := range 50 {
		name := fmt.Sprintf("web-%d", i)
		r.auditor.tracker.mu.Lock()
		_, tracked := r.auditor.tracker.pods[types.UID("uid-"+name)]
		r.auditor.tracker.mu.Unlock()
		if tracked {
			s.Delete("shop", name)
			known++
		}
		if known == 10 {
			break
		}
	}
	testutil.Eventually(t, "a second list", func() bool { return r.values("oidc_injector_audit_lists_total")[success] >= 2 })
	testutil.Eventually(t, "enough are known again", func() bool { return r.values("oidc_injector_missed_pods")["unverified"] >= 5 })
}

// TestConfigurationChange: pods are judged anew.
func TestConfigurationChange(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.Pod(newPod("web", "audience=other"))
	s.Pod(inject(t, configured(t), "v1", newPod("by-profile", "profile=both")))
	r := start(t, s, "a", 100)
	r.awaitMissed(counts{"not_injected": 1})
	next := configured(t)
	next.Parser.Profiles["both"]["audience.gcp"] = "sts2"
	next.Policy = configured(t, `maxExpiration: 2h`).Policy
	r.config.Store(next)
	s.Bookmark() // which a real one sends each minute
	r.awaitMissed(counts{"not_injected": 1, "incomplete": 1})
}

func TestOneLeader(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.Pod(newPod("web", "audience=vault"))
	a := startWith(t, s, "a", 100, patient)
	a.awaitMissed(counts{"not_injected": 1})
	b := startWith(t, s, "b", 100, patient)
	time.Sleep(patient.lease)
	b.awaitMissed(counts{})
	b.await("oidc_injector_audit_leader", counts{})
	a.stop()
	a.awaitMissed(counts{})
	for _, name := range []string{"leader", "namespaces", "last_list_timestamp_seconds", "last_contact_timestamp_seconds"} {
		a.await("oidc_injector_audit_"+name, counts{})
	}
	b.awaitMissed(counts{"not_injected": 1})

	// A leader that cannot renew its lease is none any more, and may be one again.
	s.Fail("update lease", 1_000_000, 503)
	b.await("oidc_injector_audit_leader", counts{})
	b.awaitMissed(counts{})
	s.Fail("update lease", 0, 0)
	b.awaitMissed(counts{"not_injected": 1})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	newMetrics(registry)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	series := 0
	for _, family := range families {
		series += len(family.GetMetric())
	}
	if series != 5+1+1+1+1+2+3+3+1+1 {
		t.Errorf("%d series from the start", series)
	}
}
