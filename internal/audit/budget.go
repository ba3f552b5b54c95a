package audit

import "time"

const (
	// eventsPerNamespace is how many Events a namespace gets at most in
	// eventInterval, so that those of one do not keep those of others back.
	eventsPerNamespace = 10
	// eventInterval is how often an owner gets an Event while it has pods that were
	// not injected: the API server keeps them for an hour (kube-apiserver
	// --event-ttl).
	eventInterval = time.Hour
)

// budget counts the Events of each namespace, in windows of eventInterval.
type budget map[string]spent

type spent struct {
	since  time.Time
	events int
}

// left is how many Events a namespace may still get.
func (b budget) left(namespace string, now time.Time) int {
	s, ok := b[namespace]
	if !ok || now.Sub(s.since) >= eventInterval {
		return eventsPerNamespace
	}
	return eventsPerNamespace - s.events
}

// spend takes one of those that are left.
func (b budget) spend(namespace string, now time.Time) {
	s, ok := b[namespace]
	if !ok || now.Sub(s.since) >= eventInterval {
		s = spent{since: now}
	}
	s.events++
	b[namespace] = s
}

// refund gives one back that was not sent.
func (b budget) refund(namespace string) {
	if s, ok := b[namespace]; ok && s.events > 0 {
		s.events--
		b[namespace] = s
	}
}

// expire forgets windows that are over.
func (b budget) expire(now time.Time) {
	for namespace, s := range b {
		if now.Sub(s.since) >= eventInterval {
			delete(b, namespace)
		}
	}
}
