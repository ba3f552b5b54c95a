package diagnose

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

var errNoCertificate = errors.New("contains no PEM certificates")

// selected says whether API servers ask the webhook about the pod, or apply policies. Where one of
// the two is to inject it, nobody needs to know why the other does not.
func (s *Snapshot) selected() []Step {
	all := s.Webhook.choosers()
	if len(all) > 0 && s.NamespaceUnread {
		return []Step{unknown("namespaceSelector", "the labels of namespace %s are not known", s.Namespace)}
	}
	var steps []Step
	for _, choosers := range all {
		var some []Step
		for i := range choosers {
			some = append(some, s.chosen(&choosers[i])...)
		}
		if !Failed(some) {
			return some
		}
		steps = append(steps, some...)
	}
	return steps
}

func (s *Snapshot) chosen(by *chooser) []Step {
	steps := []Step{
		s.selector("namespaceSelector", by, by.namespace, namespaceLabels(s.Namespace, s.NamespaceLabels)),
		s.selector("objectSelector", by, by.named, s.Pod.Labels),
	}
	for _, c := range by.conditions {
		matched, err := s.Matches(c, s.Pod, s.Namespace)
		name := "matchCondition " + c.Name
		switch {
		case err != nil:
			steps = append(steps, unknown(name, "%v", err))
		case matched:
			steps = append(steps, pass(name, "the pod matches"))
		default:
			steps = append(steps, fail(name, s.annotate(), "false for this pod, which has no annotation %s/… and no binding: %s",
				s.Webhook.Prefix, strings.Join(strings.Fields(c.Expression), " ")))
		}
	}
	return steps
}

// selector evaluates one for the labels of the namespace or of the pod.
func (s *Snapshot) selector(which string, by *chooser, from *metav1.LabelSelector, of map[string]string) Step {
	name := which + by.of
	if from == nil {
		from = &metav1.LabelSelector{} // as the API server does: everything
	}
	selector, err := metav1.LabelSelectorAsSelector(from)
	if err != nil {
		return unknown(name, "%v", err)
	}
	if selector.Matches(labels.Set(of)) {
		if selector.Empty() {
			return pass(name, "selects all")
		}
		return pass(name, "%s", selector)
	}
	requirements, _ := selector.Requirements()
	var missed []string
	changes, possible := map[string]string{}, true
	for _, r := range requirements {
		if r.Matches(labels.Set(of)) {
			continue
		}
		missed = append(missed, r.String())
		change, ok := satisfy(r)
		changes[change], possible = "", possible && ok
	}
	whose, fix := "the pod", s.edit()
	if which == "namespaceSelector" {
		whose, fix = "namespace "+s.Namespace, "kubectl get "+by.object+" --output yaml"
		if possible {
			fix = s.andAgain(fmt.Sprintf("kubectl label namespace %s --overwrite %s", s.Namespace,
				strings.Join(slices.Sorted(maps.Keys(changes)), " ")))
		}
	}
	return fail(name, fix, "%s does not match %s", whose, strings.Join(missed, ", "))
}

// satisfy is a change, as kubectl label takes it, that makes labels match a requirement. It
// is false where there is none, as for a namespace's name.
func satisfy(r labels.Requirement) (string, bool) {
	if r.Key() == corev1.LabelMetadataName {
		return "", false
	}
	switch r.Operator() {
	case selection.In, selection.Equals, selection.DoubleEquals:
		values := slices.Sorted(maps.Keys(r.Values()))
		return r.Key() + "=" + values[0], true
	case selection.Exists:
		return r.Key() + "=true", true
	case selection.NotIn, selection.NotEquals, selection.DoesNotExist:
		return r.Key() + "-", true
	default:
		return "", false
	}
}
