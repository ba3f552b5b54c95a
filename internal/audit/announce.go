package audit

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

const (
	// eventInterval is how often an owner gets an Event while it has missed pods:
	// the API server keeps them for an hour (kube-apiserver --event-ttl).
	eventInterval = time.Hour
	// eventsPerMinute and eventBurst bound the Events of all owners.
	eventsPerMinute = 30
	eventBurst      = 20
	// maxNote is the longest text of an Event (events.k8s.io/v1 Event.note).
	maxNote = 1024
	// reporter is who Events come from.
	reporter = "oidc-injector.io/audit"
)

// announcer creates Events about missed pods. It is no recorder of client-go:
// that one keeps trying in the background and tells nobody when it gives up, and
// counts series, of which there are none where an owner gets one Event an hour.
type announcer struct {
	events   eventsclient.EventsGetter
	tracker  *tracker
	metrics  *metrics
	log      *slog.Logger
	limit    *rate.Limiter
	prefix   annotations.Prefix
	instance string
}

// announce creates the Event about a pod's owner, unless it has one, or there
// are too many: then it gets one later (tracker.remind).
func (a *announcer) announce(ctx context.Context, c *check, reason Reason, text string) {
	now := time.Now()
	if !a.tracker.claim(c, now) {
		return
	}
	if !a.limit.Allow() {
		a.metrics.events.WithLabelValues(suppressed).Inc()
		a.tracker.unclaim(c)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	event := a.event(c, reason, text, now)
	a.log.Info("a pod was missed", "namespace", c.namespace, "kind", event.Regarding.Kind, "name", event.Regarding.Name, "reason", reason)
	if _, err := a.events.Events(c.namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
		a.metrics.events.WithLabelValues(failure).Inc()
		a.tracker.unclaim(c)
		a.log.Warn("event not created", "error", err)
		return
	}
	a.metrics.events.WithLabelValues(success).Inc()
}

func (a *announcer) event(c *check, reason Reason, text string, now time.Time) *eventsv1.Event {
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
		Note:                a.note(c, reason, text),
	}
	if o := c.owner; o.UID != "" {
		event.Regarding = corev1.ObjectReference{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: c.namespace, Name: o.Name, UID: o.UID}
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

// note says what is wrong and what to do.
func (a *announcer) note(c *check, reason Reason, text string) string {
	again := "create it again"
	if c.owner.UID != "" {
		again = "delete it, or restart its workload, so that it is created again"
	}
	status := a.prefix.Key(annotations.Status, "")
	switch reason {
	case ForeignStatus:
		return clip(fmt.Sprintf("Pod %s lacks what its annotations ask for, although its annotation %s, which only the webhook should write, "+
			"says otherwise. Remove that annotation from where the pod is made, and %s.", c.name, status, again))
	case Incomplete:
		return clip(fmt.Sprintf("Pod %s asks for more than it has: its annotations or their profile have changed since it was created. "+
			"To give it the rest, %s.", c.name, again))
	case Denied:
		return clip(fmt.Sprintf("Pod %s was created without the webhook, which would deny it. Correct it, and %s. The denial: %s", c.name, again, text))
	default:
		return clip(fmt.Sprintf("Pod %s asks for tokens and has none: the webhook was not called when it was created, because it was away, "+
			"or the namespace was not labelled yet. To give it its tokens, %s.", c.name, again))
	}
}

// clip shortens a text to what an Event can hold.
func clip(text string) string {
	if len(text) <= maxNote {
		return text
	}
	const more = " …"
	text = text[:maxNote-len(more)]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + more
}
