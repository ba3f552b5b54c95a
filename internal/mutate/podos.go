package mutate

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// isOSLabel reports whether a node label holds the node's operating system.
// Kubernetes sets the beta one, too, on all nodes that it knows it of.
func isOSLabel(label string) bool {
	return label == corev1.LabelOSStable || label == "beta.kubernetes.io/os"
}

// affinity finds out whether the required node affinity lets the pod run on
// Windows alone. Its terms are alternatives, so each of them has to; a term
// without requirements matches no node (core/v1 NodeSelectorTerm).
func (r *podReader) affinity() {
	const required = "requiredDuringSchedulingIgnoredDuringExecution"
	r.member("nodeAffinity", func() {
		r.member(required, func() {
			r.member("nodeSelectorTerms", func() {
				terms, windows := 0, 0
				r.Array(func(int) {
					requirements, onlyWindows := r.selectorTerm()
					if requirements > 0 {
						terms++
					}
					if onlyWindows {
						windows++
					}
				})
				r.selectsWindows = r.selectsWindows || terms > 0 && terms == windows
			})
		})
	})
}

// member calls read for the member of an object that has the name.
func (r *podReader) member(name string, read func()) {
	r.Object(func(other string) {
		if other == name {
			read()
		} else {
			r.Skip()
		}
	})
}

// selectorTerm reads a NodeSelectorTerm: how many requirements it has, all of which
// must hold, and whether one of them admits Windows nodes only.
func (r *podReader) selectorTerm() (requirements int, windows bool) {
	r.Object(func(name string) {
		switch name {
		case "matchExpressions":
			r.Array(func(int) { requirements++; windows = r.selectorExpression() || windows })
		case "matchFields":
			r.Array(func(int) { requirements++; r.Skip() })
		default:
			r.Skip()
		}
	})
	return requirements, windows
}

// selectorExpression reads a NodeSelectorRequirement and reports whether it
// admits Windows nodes only. The label has no other values than these two.
func (r *podReader) selectorExpression() bool {
	var key, operator string
	values, linux, windows := 0, 0, 0
	r.Object(func(name string) {
		switch name {
		case "key":
			key = r.String()
		case "operator":
			operator = r.String()
		case "values":
			r.Array(func(int) {
				values++
				switch r.String() {
				case string(corev1.Linux):
					linux++
				case string(annotations.Windows):
					windows++
				}
			})
		default:
			r.Skip()
		}
	})
	switch corev1.NodeSelectorOperator(operator) {
	case corev1.NodeSelectorOpIn:
		return isOSLabel(key) && values > 0 && values == windows
	case corev1.NodeSelectorOpNotIn:
		return isOSLabel(key) && linux > 0 && windows == 0
	default:
		return false
	}
}
