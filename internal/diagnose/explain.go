package diagnose

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
)

// Explanation is why a pod was or was not injected.
type Explanation struct {
	Of        string `json:"of"`
	Namespace string `json:"namespace"`
	// Steps are in the order of causes.
	Steps []Step `json:"steps"`
	// Fix is one command for the first of the causes; empty where there is no cross, or a name
	// could not stand in a command.
	Fix string `json:"fix,omitempty"`
}

// Explain says it from what was read.
func Explain(s *Snapshot) Explanation {
	status, text := s.status()
	decision, err := s.decide(AsCreated(s.Pod, s.Webhook.Prefix), status.Version)
	selected, injected := s.selected(), s.DryRun != nil && s.DryRun.Injected
	var dryRun []Step
	if (s.Webhook.Known() || injected) && !Failed(selected) && err == nil {
		dryRun = s.dryRun(decision)
	}
	steps := s.Webhook.injects(injected, dryRun, func() []Step { return s.Webhook.registered(s.Now) })
	steps = append(steps, groups(group("selection", selected), group("request", s.request(decision, err)))...)
	steps = append(steps, groups(
		group("pod", s.injected(status, text, Failed(steps))), group("files", s.files()), group("objects", s.objects(decision)),
		group("login", s.logins(decision)),
		group("events", s.events()), group("not read", s.Webhook.unread()),
	)...)
	if !s.sayable() {
		return Explanation{Of: s.Of, Namespace: s.Namespace, Steps: withoutFixes(steps)}
	}
	e := Explanation{Of: s.Of, Namespace: s.Namespace, Steps: steps}
	if Failed(steps) {
		describe := fmt.Sprintf("kubectl describe %s --namespace %s", s.Of, s.Namespace)
		if s.File != "" { // what is not there cannot be described
			describe = s.edit()
		}
		e.Fix = cmp.Or(firstFix(steps), describe)
	}
	return e
}

// decide has the webhook's code decide about the creation of a pod.
func (s *Snapshot) decide(pod *corev1.Pod, version string) (admission.Decision, error) {
	raw, err := json.Marshal(pod)
	if err != nil {
		return admission.Decision{}, fmt.Errorf("could not encode the pod: %w", err)
	}
	q, err := admission.ReadObject(raw, admission.Object{
		Resource: "pods", Kind: "Pod", Namespace: s.Namespace, Name: cmp.Or(pod.Name, pod.GenerateName),
	}, s.Webhook.Config.PodTemplates)
	if err != nil {
		return admission.Decision{}, fmt.Errorf("could not read the pod: %w", err)
	}
	return admission.Decide(s.Webhook.Config, version, q), nil
}

// request says what the pod asks for, and whether it may.
func (s *Snapshot) request(d admission.Decision, err error) []Step {
	if err != nil {
		return []Step{unknown("decision", "%v", err)}
	}
	prefix := s.Webhook.Prefix
	var steps []Step
	for _, e := range d.Errors {
		steps = append(steps, fail(e.Field, s.correct(e.Field), "%s", e.ErrorBody()))
	}
	for _, w := range d.Warnings {
		steps = append(steps, warn("warning", "", "%s", w))
	}
	switch {
	case d.Outcome == admission.Denied:
		steps = append(steps, fail("decision", "", "denied (%s)", d.Reason))
	case d.Reason == admission.OptedOut:
		steps = append(steps, fail("decision", s.change(prefix.Key(annotations.Inject, "")+"-"), `the pod opts out with %s: "false"`,
			prefix.Key(annotations.Inject, "")))
	case d.Reason == admission.NotRequested && len(s.Above) > 0:
		steps = append(steps, fail("decision", s.correct(""), "%s have no effect: annotations of pods belong into %s.metadata.annotations",
			strings.Join(s.Above, " and "), s.Template))
	case d.Reason == admission.NotRequested:
		steps = append(steps, fail("decision", s.annotate(), "neither an annotation nor a binding asks for a token"))
	case d.Outcome != admission.Mutated && d.Reason != admission.AlreadyInjected:
		steps = append(steps, fail("decision", "", "nothing is injected (%s)", d.Reason))
	default:
		detail := fmt.Sprintf("tokens %s; logins %s; containers %s", names(d.Tokens,
			func(t annotations.Token) string { return t.DisplayName() }),
			names(d.Logins, func(l annotations.Login) string { return l.DisplayName() }), list(d.Containers))
		if len(d.Bindings) > 0 {
			detail += "; bindings " + list(d.Bindings)
		}
		steps = append(steps, pass("decision", "%s", detail))
	}
	return steps
}

func names[T any](all []T, name func(T) string) string {
	texts := make([]string, 0, len(all))
	for i := range all {
		texts = append(texts, name(all[i]))
	}
	return list(texts)
}

func list(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// injects reports whether a pod that asks for this has a status afterwards.
func injects(d admission.Decision) bool {
	return d.Outcome == admission.Mutated || d.Reason == admission.AlreadyInjected
}

// dryRun compares what the API server does with what the webhook's code says.
func (s *Snapshot) dryRun(d admission.Decision) []Step {
	const name = "dry run"
	r := s.DryRun
	switch {
	case r == nil:
		return nil
	case r.Message != "":
		return []Step{s.refused(name, r, d)}
	case r.Injected && injects(d):
		return []Step{pass(name, "%s", s.Webhook.says(answers, "the policies inject"))}
	case r.Injected:
		return []Step{unknown(name, "%s a pod that %s should not by the configuration that was read",
			s.Webhook.says(answers+", and injects", "the policies inject"), s.Webhook.says("it", "they"))}
	case (injects(d) || d.Outcome == admission.Denied) && s.Webhook.byPolicies():
		return []Step{fail(name, s.Webhook.Policies.again(), "the API server admits the pod as it is: the policies are not in force")}
	case injects(d), d.Outcome == admission.Denied:
		return []Step{fail(name, s.Webhook.restart(),
			"the API server admits the pod without an answer of the webhook, as failurePolicy %s allows",
			failurePolicy(s.Webhook.Registration))}
	default:
		return []Step{pass(name, "the API server admits the pod, and nothing is injected")}
	}
}

// refused is about a pod that the API server does not admit.
func (s *Snapshot) refused(name string, r *DryRun, d admission.Decision) Step {
	switch {
	case r.Reason == metav1.StatusReasonInternalError && !s.Webhook.byPolicies():
		// API servers answer so where a webhook with the failurePolicy Fail does not.
		if strings.Contains(r.Message, "x509: ") { // as crypto/x509 has it in its errors
			return fail(name, s.Webhook.trust(), "the API server cannot verify the webhook by the caBundle: %s", r.Message)
		}
		return fail(name, s.Webhook.restart(), "the API server cannot call the webhook: %s", r.Message)
	case d.Outcome == admission.Denied:
		return pass(name, "the API server denies the pod, too")
	case r.Reason == metav1.StatusReasonInvalid && s.Webhook.byPolicies():
		// What the webhook would do, and policies cannot, or the pod is invalid by itself.
		return fail(name, s.edit(), "the API server denies the pod: %s", r.Message)
	default:
		return unknown(name, "the API server does not admit the pod: %s", r.Message)
	}
}

// status is that of the pod that runs, and its text.
func (s *Snapshot) status() (mutate.Status, string) {
	var status mutate.Status
	if s.Live == nil {
		return status, ""
	}
	text := s.Live.Annotations[s.Webhook.Prefix.Key(annotations.Status, "")]
	_ = json.Unmarshal([]byte(text), &status) // injected says where it is none
	return status, text
}

// injected says what the pod that runs has.
func (s *Snapshot) injected(status mutate.Status, text string, failed bool) []Step {
	key := s.Webhook.Prefix.Key(annotations.Status, "")
	name := "status"
	switch {
	case s.Live == nil:
		return []Step{unknown(name, "%s has no pod in the cluster", s.Of)}
	case text == "" && failed:
		return []Step{fail(name, "", "pod %s has no annotation %s: it was not injected", s.Live.Name, key)}
	case text == "":
		return []Step{fail(name, s.again(), "pod %s has no annotation %s: when it was created, %s ago, something was not yet as it is now",
			s.Live.Name, key, age(s))}
	case status.Version == "":
		return []Step{fail(name, s.again(), "pod %s: annotation %s is of another program", s.Live.Name, key)}
	}
	steps := make([]Step, 0, 1+len(status.Warnings))
	for _, w := range status.Warnings {
		steps = append(steps, warn("warning", "", "%s", w))
	}
	what := fmt.Sprintf("pod %s, by %s: tokens %s; logins %s; containers %s", s.Live.Name, status.Version,
		list(status.Tokens), list(status.Logins), list(status.Containers))
	if len(status.Containers) == 0 {
		return append(steps, fail(name, "", "%s", what))
	}
	if s.changed(status.Version) && !failed {
		steps = append(steps, warn("changed", s.again(), "annotations or configuration have changed since: a new pod gets something else"))
	}
	return append(steps, pass(name, "%s", what))
}

// changed reports whether a pod that was injected would get something else today.
func (s *Snapshot) changed(version string) bool {
	if s.Pod != s.Live {
		return false
	}
	d, err := s.decide(s.Live, version)
	return err == nil && d.Reason != admission.AlreadyInjected
}

// files says who can read the tokens.
func (s *Snapshot) files() []Step {
	if s.Live == nil {
		return nil
	}
	raw, err := json.Marshal(s.Live)
	if err != nil {
		return nil
	}
	pod, err := mutate.ParsePod(raw)
	if err != nil {
		return []Step{unknown("pod", "%v", err)}
	}
	var steps []Step
	for _, f := range pod.TokenFiles() {
		name := f.Volume + "/" + f.File
		what := fmt.Sprintf("audience %q, mode %04o, user %d, group %d; readable to %s", f.Audience, f.Mode, f.Owner, f.Group,
			list(f.Readers))
		if pod.OS == annotations.Windows {
			what = fmt.Sprintf("audience %q; readable to %s", f.Audience, list(f.Readers))
		}
		if len(f.Doubtful) > 0 {
			steps = append(steps, warn(name, "", "%s; %s may not be able to read it: set fsGroup or %s", what, list(f.Doubtful),
				s.Webhook.Prefix.Key(annotations.FileMode, "")))
			continue
		}
		steps = append(steps, pass(name, "%s", what))
	}
	return steps
}

// shownEvents is how many events are shown, the newest ones.
const shownEvents = 5

func (s *Snapshot) events() []Step {
	events := slices.SortedFunc(slices.Values(s.Events), func(a, b Event) int { return b.Last.Compare(a.Last) })
	steps := make([]Step, 0, shownEvents)
	for _, e := range events[:min(len(events), shownEvents)] {
		steps = append(steps, warn(e.Object, "", "%s, %d times, %s ago: %s", e.Reason, max(e.Count, 1), roughly(s.Now, e.Last),
			shorten(e.Message)))
	}
	return steps
}

// shorten keeps the beginning of what others wrote.
func shorten(text string) string {
	const most = 400
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
