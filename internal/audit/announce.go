package audit

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

const (
	// eventsPerMinute and eventBurst bound the Events of all namespaces.
	eventsPerMinute = 30
	eventBurst      = 20
	// maxNote is the longest text of an Event (events.k8s.io/v1 Event.note).
	maxNote = 1024
	// reporter is who Events come from.
	reporter = "oidc-injector.io/audit"
)

// announcer creates Events about pods that were not injected. It is no recorder
// of client-go: that one retries in the background without reporting when it gives
// up, and counts series, of which there are none where an owner gets one Event an
// hour.
type announcer struct {
	events   eventsclient.EventsGetter
	owners   *verifier
	tracker  *tracker
	metrics  *metrics
	log      *slog.Logger
	limit    *rate.Limiter
	prefix   annotations.Prefix
	instance string
}

// announce creates the Event about a pod's owner, or the pod, unless there is one,
// or there are too many: then it is created later (tracker.remind). The keys are
// those of the annotations that a denial is about.
func (a *announcer) announce(ctx context.Context, c *check, labels map[string]string, reason Reason, keys []string) {
	if !a.claim(c) {
		return
	}
	if c.owner.controller != nil {
		owned, err := a.owners.owns(ctx, c.owner, c.namespace, labels)
		if err != nil {
			a.fail(c, err)
			return
		}
		if !owned {
			a.tracker.unclaim(c)
			a.tracker.disown(c)
			if !a.claim(c) {
				return
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	event := a.event(c, reason, keys, time.Now())
	a.log.Info("pod not injected", "namespace", c.namespace, "kind", event.Regarding.Kind, "name", event.Regarding.Name, "reason", reason)
	if _, err := a.events.Events(c.namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
		a.fail(c, err)
		return
	}
	a.metrics.events.WithLabelValues(success).Inc()
}

// claim reports whether the Event may be created now.
func (a *announcer) claim(c *check) bool {
	switch a.tracker.claim(c, time.Now()) {
	case notDue:
		return false
	case granted:
		if a.limit.Allow() {
			return true
		}
		a.tracker.unclaim(c)
	case overBudget:
	}
	a.metrics.events.WithLabelValues(suppressed).Inc()
	return false
}

// fail notes that the Event could not be created.
func (a *announcer) fail(c *check, err error) {
	a.metrics.events.WithLabelValues(failure).Inc()
	a.tracker.unclaim(c)
	a.log.Warn("event not created", "error", err)
}

func (a *announcer) event(c *check, reason Reason, keys []string, now time.Time) *eventsv1.Event {
	pod := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: c.namespace, Name: c.name, UID: c.uid}
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{GenerateName: "oidc-injector-audit-", Namespace: c.namespace},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: reporter,
		ReportingInstance:   a.instance,
		Action:              "Audit",
		Reason:              camelCase(reason),
		Type:                corev1.EventTypeWarning,
		Regarding:           pod,
		Note:                a.note(c, reason, keys),
	}
	if o := c.owner; o.controller != nil {
		event.Regarding = corev1.ObjectReference{APIVersion: o.apiVersion, Kind: o.kind, Namespace: c.namespace, Name: o.name, UID: o.uid}
		event.Related = &pod
	}
	return event
}

// camelCase is how Events write reasons.
func camelCase(reason Reason) string {
	var b strings.Builder
	for word := range strings.SplitSeq(string(reason), "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// note says what is wrong and what to do. It quotes no annotation: Events have
// other readers than pods.
func (a *announcer) note(c *check, reason Reason, keys []string) string {
	const again = "create it again, for example by a restart of its workload"
	var text string
	switch reason {
	case ForeignStatus:
		text = fmt.Sprintf("Pod %s lacks what its annotations request, although its annotation %s, which only the webhook should write, "+
			"says otherwise. Remove that annotation from the pod template, and %s.", c.name, a.prefix.Key(annotations.Status, ""), again)
	case Incomplete:
		text = fmt.Sprintf("Pod %s requests more than it has: its annotations, their profile or a binding have changed since it was "+
			"created. To inject the rest, %s.", c.name, again)
	case Denied:
		because := ""
		if len(keys) > 0 {
			because = " because of " + strings.Join(keys, ", ")
		}
		text = fmt.Sprintf("Pod %s was created without the webhook, which would deny it%s. A server-side dry run of its creation "+
			"shows the denial. Correct it, and %s.", c.name, because, again)
	default:
		text = fmt.Sprintf("Pod %s requests tokens but was not injected: the webhook was not called when the pod was created, "+
			"because it was unavailable or the namespace was not labeled yet. To inject it, %s.", c.name, again)
	}
	const ellipsis = "…"
	return truncate.String(text, maxNote-len(ellipsis))
}
