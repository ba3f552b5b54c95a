package audit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/internal/config"
)

// Whatever comes in whatever order: what is known is bounded, the gauge says what
// is known, and nothing waits that is not known.
func TestTracker(t *testing.T) {
	t.Parallel()
	const limit = 8
	r := &replica{T: t, metrics: prometheus.NewPedanticRegistry()}
	tr := newTracker(limit, newMetrics(r.metrics))
	configs := []*config.Config{configured(t), configured(t)}
	tr.begin(configs[0])
	random := rand.New(rand.NewPCG(3, 4))
	fullOnce := false
	var inHand []check
	var variants [][]*corev1.Pod
	for i := range 12 {
		name := fmt.Sprintf("web-%d", i)
		asking := with(newPod(name, "audience=vault"), func(p *corev1.Pod) { p.Namespace = fmt.Sprintf("ns-%d", i%3) })
		more := with(asking, func(p *corev1.Pod) { p.Annotations[prefix+"audience.aws"] = "sts" })
		variants = append(variants, []*corev1.Pod{asking, more, inject(t, configs[0], "v1", asking)})
	}
	for range 20_000 {
		i, ns := random.IntN(len(variants)), fmt.Sprintf("ns-%d", random.IntN(3))
		switch random.IntN(12) {
		case 0:
			tr.serve(ns)
		case 1:
			tr.leave(ns)
		case 2:
			tr.forget(types.UID(fmt.Sprintf("uid-web-%d", i)))
		case 3:
			tr.begin(configs[random.IntN(2)])
		case 4:
			if random.IntN(10) == 0 {
				tr.end()
			}
		case 5:
			tr.remind(time.Now())
		case 6, 7:
			if c, ok := tr.next(); ok {
				inHand = append(inHand, c)
			}
		case 8:
			if len(inHand) > 0 {
				c := inHand[len(inHand)-1]
				inHand = inHand[:len(inHand)-1]
				if random.IntN(3) == 0 {
					tr.again(&c)
				} else if tr.settle(&c, append(reasons, "")[random.IntN(len(reasons)+1)]) {
					tr.claim(&c, time.Now().Add(-time.Duration(random.IntN(90))*time.Minute))
				}
			}
		default:
			tr.observe(&variants[i][random.IntN(3)].ObjectMeta)
		}
		want := map[string]float64{}
		for _, p := range tr.pods {
			if p.reason != "" {
				want[string(p.reason)]++
			}
		}
		if diff := cmp.Diff(want, r.values("oidc_injector_missed_pods")); diff != "" {
			t.Fatalf("gauge (-want +got):\n%s", diff)
		}
		for uid := range tr.waiting {
			if tr.pods[uid] == nil {
				t.Fatalf("%s waits and is not known", uid)
			}
		}
		if len(tr.pods) > limit || len(tr.announced) > limit {
			t.Fatalf("%d pods, %d owners", len(tr.pods), len(tr.announced))
		}
		fullOnce = fullOnce || len(tr.pods) == limit && tr.overflowed
	}
	if !fullOnce {
		t.Error("it was never full")
	}
	tr.reset()
	if diff := cmp.Diff(counts{}, r.values("oidc_injector_missed_pods")); diff != "" {
		t.Errorf("gauge after the end (-want +got):\n%s", diff)
	}
}

// An Event is due once an hour for each owner, and not lost if it could not be sent.
func TestTrackerEventsDue(t *testing.T) {
	t.Parallel()
	tr := newTracker(10, newMetrics(prometheus.NewPedanticRegistry()))
	tr.begin(configured(t))
	tr.serve("shop")
	for _, name := range []string{"a", "b"} { // of one owner
		tr.observe(&newPod(name, "audience=vault").ObjectMeta)
	}
	now := time.Now()
	var c check
	for range 2 {
		c, _ = tr.next()
		tr.settle(&c, NotInjected)
	}
	due := func(when time.Time) int {
		tr.remind(when)
		n := len(tr.waiting)
		clear(tr.waiting)
		return n
	}
	steps := []int{due(now)} // nobody knows yet: one of the two has to tell
	tr.claim(&c, now)
	steps = append(steps, due(now.Add(59*time.Minute)))
	if tr.claim(&c, now.Add(59*time.Minute)) == granted {
		t.Error("a second Event within the hour")
	}
	steps = append(steps, due(now.Add(eventInterval)))
	tr.claim(&c, now.Add(eventInterval))
	tr.unclaim(&c)
	steps = append(steps, due(now.Add(eventInterval)))
	if diff := cmp.Diff([]int{1, 0, 1, 1}, steps); diff != "" {
		t.Errorf("pods to be looked at again (-want +got):\n%s", diff)
	}
}

// Of the pods of one template that may be bound, one is looked at.
func TestTemplatesAreCleared(t *testing.T) {
	t.Parallel()
	tr := newTracker(10, newMetrics(prometheus.NewPedanticRegistry()))
	cfg := configured(t, bindings)
	tr.begin(cfg)
	tr.serve("shop")
	revision := func(name, hash string) *corev1.Pod {
		return with(newPod(name), func(p *corev1.Pod) { p.Labels["controller-revision-hash"] = hash })
	}
	for _, pod := range []*corev1.Pod{revision("a", "1"), revision("b", "1"), newPod("own", "audience=vault")} {
		tr.observe(&pod.ObjectMeta)
	}
	look := func(reason Reason) string {
		for {
			c, waiting := tr.next()
			if !waiting {
				return "nothing"
			}
			if c.bound != nil {
				tr.settle(&c, reason)
				return c.name
			}
		}
	}
	if first := look(""); first != "a" && first != "b" {
		t.Fatalf("%s is looked at", first)
	}
	later := revision("c", "1")
	tr.observe(&later.ObjectMeta)
	if next := look(""); next != "nothing" || len(tr.pods) != 1 {
		t.Errorf("%s is looked at; %d pods are known", next, len(tr.pods))
	}
	changed := revision("d", "2")
	tr.observe(&changed.ObjectMeta)
	if next := look(NotInjected); next != "d" || tr.pods["uid-d"].reason != NotInjected {
		t.Errorf("%s is looked at", next)
	}
	tr.begin(configured(t, bindings))
	tr.observe(&later.ObjectMeta)
	if next := look(""); next != "c" {
		t.Errorf("with another configuration %s is looked at", next)
	}
}
