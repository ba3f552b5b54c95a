package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	b, now := budget{}, time.Now()
	left := func(when time.Time) []int { return []int{b.left("full", when), b.left("other", when)} }
	for i := range eventsPerNamespace {
		b.spend("full", now.Add(time.Duration(i)*time.Second))
	}
	b.spend("other", now.Add(time.Minute))
	b.spend("other", now.Add(time.Minute))
	b.refund("other")
	b.refund("unknown")
	got := [][]int{left(now.Add(time.Minute)), left(now.Add(eventInterval)), left(now.Add(eventInterval + time.Minute))}
	b.expire(now.Add(eventInterval))
	got = append(got, []int{len(b)})
	b.spend("other", now.Add(2*eventInterval)) // another window
	got = append(got, left(now.Add(2*eventInterval)))
	want := [][]int{
		{0, eventsPerNamespace - 1},
		{eventsPerNamespace, eventsPerNamespace - 1},
		{eventsPerNamespace, eventsPerNamespace},
		{1},
		{eventsPerNamespace, eventsPerNamespace - 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}
