package audit

import (
	"hash/maphash"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/internal/config"
)

// tracker keeps what is suspicious, and nothing of all other pods: its size is
// bounded, whatever the cluster's is.
type tracker struct {
	limit   int
	metrics *metrics
	// wake signals that a pod is waiting.
	wake chan struct{}
	seed maphash.Seed

	mu         sync.Mutex
	config     *config.Config
	namespaces map[string]bool // those that are served
	pods       map[types.UID]*tracked
	waiting    map[types.UID]bool    // those to be looked at
	cleared    map[template]bool     // those whose pods no binding is about
	announced  map[subject]time.Time // whom there has been an Event about
	budget     budget
	round      int  // counts the lists
	overflowed bool // since the last list began
}

// tracked is a suspicious pod.
type tracked struct {
	namespace, name string
	owner           owner
	suspicion       Reason
	// bound is what the pod was made from, where the suspicion depends on its
	// ServiceAccount alone, and nil otherwise: as one such pod is, all are.
	bound *template
	// reason is the finding: Unverified at first, empty where there is nothing.
	reason Reason
	// sum is a checksum of our annotations, which changes with them.
	sum   uint64
	round int
}

// template is what a controller makes pods from: the controller, and its revision where it
// may change the template (apps/v1 ControllerRevision).
type template struct {
	namespace string
	owner     types.UID
	revision  string
}

func templateOf(m *metav1.ObjectMeta) *template {
	ref := metav1.GetControllerOfNoCopy(m)
	if revision := m.Labels[appsv1.ControllerRevisionHashLabelKey]; ref != nil && len(ref.UID) <= maxUID {
		return &template{m.Namespace, ref.UID, revision}
	}
	return nil
}

// check is a pod to be looked at.
type check struct {
	tracked

	uid types.UID
}

func newTracker(limit int, m *metrics) *tracker {
	return &tracker{
		limit: limit, metrics: m, wake: make(chan struct{}, 1), seed: maphash.MakeSeed(),
		namespaces: map[string]bool{}, cleared: map[template]bool{}, pods: map[types.UID]*tracked{}, waiting: map[types.UID]bool{},
		announced: map[subject]time.Time{},
		budget:    budget{},
	}
}

// serve adds a namespace, and reports whether it is a new one.
func (t *tracker) serve(namespace string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.namespaces[namespace] {
		return false
	}
	t.namespaces[namespace] = true
	t.metrics.namespaces.Set(float64(len(t.namespaces)))
	return true
}

// leave takes a namespace away, and all that is known of its pods.
func (t *tracker) leave(namespace string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.namespaces, namespace)
	t.metrics.namespaces.Set(float64(len(t.namespaces)))
	for uid, p := range t.pods {
		if p.namespace == namespace {
			t.remove(uid, p)
		}
	}
}

// served are the namespaces.
func (t *tracker) served() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := make([]string, 0, len(t.namespaces))
	for name := range t.namespaces {
		names = append(names, name)
	}
	return names
}

// begin starts a list of all pods, to be judged by this configuration: with
// another one, what was found before has to be looked at again.
func (t *tracker) begin(cfg *config.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.round++
	t.overflowed = false
	if t.config == cfg {
		return
	}
	t.config = cfg
	t.seed = maphash.MakeSeed() // no sum is what it was
	clear(t.cleared)
}

// end forgets the pods that were not in the list.
func (t *tracker) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for uid, p := range t.pods {
		if p.round != t.round {
			t.remove(uid, p)
		}
	}
}

// outdated reports whether all pods have to be listed again: the configuration is
// another one, or there is room for what there was none for.
func (t *tracker) outdated(cfg *config.Config) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.config != cfg || t.overflowed && len(t.pods) < t.limit/2
}

// observe judges a pod by its metadata.
func (t *tracker) observe(m *metav1.ObjectMeta) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.namespaces[m.Namespace] {
		return
	}
	t.metrics.pods.Inc()
	p, known := t.pods[m.UID]
	suspicion, bound := suspect(t.config, m)
	var from *template
	if bound {
		from = templateOf(m)
	}
	if suspicion == "" || from != nil && t.cleared[*from] {
		if known {
			t.remove(m.UID, p)
		}
		return
	}
	sum := t.sum(m.Annotations)
	switch {
	case known && p.sum == sum && p.suspicion == suspicion:
		p.round = t.round
		return
	case known:
		t.remove(m.UID, p)
	case len(t.pods) >= t.limit:
		t.overflowed = true
		t.metrics.overflow.Inc()
		return
	}
	t.add(m, &tracked{suspicion: suspicion, bound: from, sum: sum})
}

func (t *tracker) add(m *metav1.ObjectMeta, p *tracked) {
	p.namespace, p.name, p.owner, p.reason, p.round = m.Namespace, m.Name, claimedOwner(m), Unverified, t.round
	t.pods[m.UID] = p
	t.metrics.missed.WithLabelValues(string(Unverified)).Inc()
	t.enqueue(m.UID)
}

// sum is of our annotations, in any order.
func (t *tracker) sum(all map[string]string) uint64 {
	var sum uint64
	for name, value := range all {
		if t.config.Parser.Prefix.Owns(name) {
			sum += maphash.Comparable(t.seed, [2]string{name, value})
		}
	}
	return sum
}

// forget drops a pod that is gone, or done.
func (t *tracker) forget(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, known := t.pods[uid]; known {
		t.remove(uid, p)
	}
}

// reset forgets everything.
func (t *tracker) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for uid, p := range t.pods {
		t.remove(uid, p)
	}
	clear(t.namespaces)
	clear(t.announced)
	clear(t.budget)
	clear(t.cleared)
	t.config, t.overflowed = nil, false
	t.metrics.namespaces.Set(0)
}

func (t *tracker) remove(uid types.UID, p *tracked) {
	t.count(p, "")
	delete(t.pods, uid)
	delete(t.waiting, uid)
}

// count moves a pod from one reason to another.
func (t *tracker) count(p *tracked, to Reason) {
	if p.reason != "" {
		t.metrics.missed.WithLabelValues(string(p.reason)).Dec()
	}
	if to != "" {
		t.metrics.missed.WithLabelValues(string(to)).Inc()
	}
	p.reason = to
}

func (t *tracker) enqueue(uid types.UID) {
	t.waiting[uid] = true
	select {
	case t.wake <- struct{}{}:
	default: // it is awake already
	}
}

// next is a pod to be looked at, if there is one.
func (t *tracker) next() (check, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for uid := range t.waiting {
		delete(t.waiting, uid)
		return check{uid: uid, tracked: *t.pods[uid]}, true
	}
	return check{}, false
}

// again puts a pod back that could not be looked at.
func (t *tracker) again(c *check) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.pods[c.uid]; known {
		t.enqueue(c.uid)
	}
}

// settle notes the finding, and reports whether it still holds: it does not if
// the pod has changed or gone meanwhile.
func (t *tracker) settle(c *check, reason Reason) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, known := t.pods[c.uid]
	if !known || p.sum != c.sum {
		return false
	}
	if p.bound != nil && reason == "" {
		t.clear(*p.bound)
		t.remove(c.uid, p)
		return true
	}
	t.count(p, reason)
	return true
}

// clear forgets the pods of a template: those that are there, and those to come. One that
// has too little by an annotation of its own is none of them.
func (t *tracker) clear(of template) {
	if len(t.cleared) >= t.limit {
		clear(t.cleared) // they are looked at once more
	}
	t.cleared[of] = true
	for uid, p := range t.pods {
		if p.bound != nil && *p.bound == of && t.waiting[uid] {
			t.remove(uid, p)
		}
	}
}

// configuration is the one that pods are judged by.
func (t *tracker) configuration() *config.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.config
}

// subject is the object that an Event is about: the controller of a pod, or the
// pod itself. The UID alone is what a pod claims, so a claim does not reach beyond
// the pod's namespace.
type subject struct {
	namespace string
	uid       types.UID
}

func (p *tracked) subject(uid types.UID) subject {
	if p.owner.controller != nil {
		uid = p.owner.uid
	}
	return subject{p.namespace, uid}
}

// claim is the answer to whether an Event may be created now.
type claim int

const (
	// granted is noted as if the Event were there.
	granted claim = iota
	// notDue: there is one already.
	notDue
	// overBudget: the namespace has had too many.
	overBudget
)

// claim takes the right to create the Event about a pod.
func (t *tracker) claim(c *check, now time.Time) claim {
	t.mu.Lock()
	defer t.mu.Unlock()
	about := c.subject(c.uid)
	last, done := t.announced[about]
	switch {
	case done && now.Sub(last) < eventInterval, !done && len(t.announced) >= t.limit:
		return notDue
	case t.budget.left(c.namespace, now) <= 0:
		return overBudget
	}
	t.announced[about] = now
	t.budget.spend(c.namespace, now)
	return granted
}

// unclaim gives the right back.
func (t *tracker) unclaim(c *check) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.announced, c.subject(c.uid))
	t.budget.refund(c.namespace)
}

// disown notes that a pod has no controller that an Event may name.
func (t *tracker) disown(c *check) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, known := t.pods[c.uid]; known && p.sum == c.sum {
		p.owner = owner{}
	}
	c.owner = owner{}
}

// remind enqueues pods that lack an Event, or whose Event the API server is about
// to drop: one pod of each owner, and no more than their namespace has budget for.
func (t *tracker) remind(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for about, last := range t.announced {
		if now.Sub(last) >= eventInterval {
			delete(t.announced, about)
		}
	}
	t.budget.expire(now)
	due, left := map[subject]bool{}, map[string]int{}
	for uid, p := range t.pods {
		if p.reason == "" || p.reason == Unverified {
			continue
		}
		about := p.subject(uid)
		if _, announced := t.announced[about]; announced || due[about] {
			continue
		}
		room, known := left[p.namespace]
		if !known {
			room = t.budget.left(p.namespace, now)
		}
		left[p.namespace] = room - 1
		if room <= 0 {
			continue
		}
		due[about] = true
		t.enqueue(uid)
	}
}
