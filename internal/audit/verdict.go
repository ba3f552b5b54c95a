package audit

import (
	"encoding/json"
	"slices"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// Reason says why a pod lacks what it asks for: a label of the metrics, and the
// reason of the Events.
type Reason string

// The reasons.
const (
	// Unverified pods look as if they were not injected, and wait to be read.
	Unverified Reason = "unverified"
	// NotInjected pods have no status annotation, and lack what they ask for.
	NotInjected Reason = "not_injected"
	// ForeignStatus pods lack what they ask for, and have a status annotation that
	// a client wrote, such as one that was copied into a pod template.
	ForeignStatus Reason = "foreign_status"
	// Incomplete pods were injected, but ask for more than they have: annotations
	// were added later, or their profile was changed.
	Incomplete Reason = "incomplete"
	// Denied pods would not be admitted if they were created now.
	Denied Reason = "denied"
)

// reasons are all of them, in the order of their documentation.
var reasons = []Reason{Unverified, NotInjected, ForeignStatus, Incomplete, Denied}

// suspect judges by its metadata alone whether a pod may lack what it asks for, or is
// given by a binding, and why; it is empty for the many that do not. Bound is true where
// that depends on the pod's ServiceAccount, which the metadata does not say.
func suspect(cfg *config.Config, m *metav1.ObjectMeta) (reason Reason, bound bool) {
	parser := &cfg.Parser
	annotated := parser.Prefix.AsksAny(m.Annotations)
	candidates := cfg.Bindings.MayMatch(m.Namespace, podLabels(m.Labels))
	_, mirror := m.Annotations[corev1.MirrorPodAnnotationKey] // a static pod cannot have ServiceAccount tokens
	if !annotated && len(candidates) == 0 || mirror || m.DeletionTimestamp != nil {
		return "", false
	}
	spec, _, errs := parser.Parse(annotations.Input{
		Annotations: annotations.FromMap(m.Annotations),
		Pod:         provider.Pod{Namespace: m.Namespace, Name: m.Name, ServiceAccountName: "default"},
	})
	asks := len(errs) > 0 || len(spec.Tokens) > 0
	if spec.OptedOut || !asks && len(candidates) == 0 {
		return "", false
	}
	key := parser.Prefix.Key(annotations.Status, "")
	written, present := m.Annotations[key]
	switch {
	case !present:
		return NotInjected, !asks
	case foreign(m.ManagedFields, key):
		return ForeignStatus, !asks
	}
	var s mutate.Status
	switch {
	case json.Unmarshal([]byte(written), &s) != nil:
		return ForeignStatus, !asks
	case len(errs) > 0:
		// It was admitted, with what the annotations asked for then. Annotations
		// or configuration have become invalid since, which is not the pod's loss.
		return "", false
	case !covers(s, spec):
		return Incomplete, false
	case slices.ContainsFunc(candidates, func(name string) bool { return !slices.Contains(s.Bindings, name) }):
		return Incomplete, true
	}
	return "", false
}

// podLabels are those of a pod's metadata.
type podLabels map[string]string

// Get implements [binding.Labels].
func (l podLabels) Get(name string) (string, bool) {
	value, exists := l[name]
	return value, exists
}

// covers reports whether a status names all that is asked for.
func covers(s mutate.Status, spec annotations.Spec) bool {
	for i := range spec.Tokens {
		if !slices.Contains(s.Tokens, spec.Tokens[i].DisplayName()) {
			return false
		}
	}
	for i := range spec.Logins {
		if !slices.Contains(s.Logins, spec.Logins[i].DisplayName()) {
			return false
		}
	}
	return true
}

// foreign reports whether a client wrote the annotation. The API server notes
// which fields a client sets before it calls webhooks (metadata.managedFields,
// apiserver's handlers/create.go), so what ours wrote belongs to nobody.
func foreign(fields []metav1.ManagedFieldsEntry, annotation string) bool {
	for i := range fields {
		if f := fields[i].FieldsV1; f != nil && strings.Contains(f.GetRawString(), `"f:`+annotation+`"`) {
			return true
		}
	}
	return false
}

// confirm decides what the webhook would do with the pod if it were created as it
// is now, which settles the suspicion: empty where it lacks nothing. The keys are
// those of the annotations that a denial is about.
func confirm(cfg *config.Config, version, namespace string, pod *mutate.Pod, suspicion Reason) (reason Reason, keys []string) {
	d := admission.Decide(cfg, version, &admission.Request{
		Resource: "pods", Operation: admissionv1.Create, Name: pod.Name, Namespace: namespace, Pod: pod,
	})
	switch {
	case d.Outcome == admission.Denied && suspicion == Incomplete && d.Reason == admission.Conflict:
		return suspicion, nil // as it has a part already, to which nothing can be added
	case d.Outcome == admission.Denied && suspicion == Incomplete:
		return "", nil // it was admitted once: see suspect
	case d.Outcome == admission.Denied:
		return Denied, deniedKeys(&cfg.Parser, d.Errors)
	case d.Outcome == admission.Mutated && slices.ContainsFunc(d.Operations, matters):
		return suspicion, nil
	default:
		return "", nil
	}
}

// matters reports whether an operation is more than a record: the status of another
// version, or of a client, differs in a pod that has everything.
func matters(o jsonpatch.Operation) bool { return !strings.HasPrefix(o.Path, "/metadata/annotations") }

// deniedKeys are the annotations that errors are about, each once. Nothing else of
// the errors leaves the program: they quote values, and a key of ours may have a
// suffix of any length.
func deniedKeys(parser *annotations.Parser, errs field.ErrorList) []string {
	var keys []string
	for _, err := range errs {
		_, rest, found := strings.Cut(err.Field, "["+string(parser.Prefix)+"/")
		end := strings.IndexAny(rest, ".]")
		if !found || end < 0 || !parser.Known(rest[:end]) {
			continue
		}
		if key := parser.Prefix.Key(rest[:end], ""); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
