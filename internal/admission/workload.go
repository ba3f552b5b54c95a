package admission

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/jsonread"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/policy"
)

// workloadReader reads the template of a workload's pods, and the annotations above
// it.
type workloadReader struct {
	*jsonread.Reader
	object
}

// read reads the object at a path, where the template is at the rest of the path.
func (r *workloadReader) read(at, rest string) {
	next, rest, _ := strings.Cut(rest, ".")
	r.Object(func(name string) {
		path := strings.TrimPrefix(at+"."+name, ".")
		switch {
		case name == next && rest == "":
			r.pod = mutate.ReadPod(r.Reader)
		case name == next:
			r.read(path, rest)
		case name == "metadata":
			r.metadata(path + ".annotations")
		default:
			r.Skip()
		}
	})
}

func (r *workloadReader) metadata(path string) {
	r.Object(func(name string) {
		if name != "annotations" {
			r.Skip()
			return
		}
		list, _ := mutate.ReadAnnotations(r.Reader)
		r.above = append(r.above, Annotations{Path: path, List: list})
	})
}

// decideWorkload tells the person who applies a workload what the pods of its
// template would be told: by then, only the workload's controller is there to hear
// it. It changes nothing.
func decideWorkload(cfg *config.Config, version string, q *Request) Decision {
	update := q.Operation == admissionv1.Update
	if cfg.Workloads == policy.Off || q.Operation != admissionv1.Create && !update {
		return Decision{Outcome: Unchanged, Reason: Unsupported}
	}
	warnings := q.misplaced(cfg.Parser.Prefix)
	judged := q.judgeTemplate(cfg, version, q.Pod)
	for _, w := range judged.Warnings {
		w.Field, w.Text = q.inTemplateField(w.Field), q.Template+": "+w.Text
		warnings = append(warnings, w)
	}
	errs := judged.Errors
	if update && len(errs) > 0 {
		// What was wrong before must not keep anybody from changing the rest.
		before := q.judgeTemplate(cfg, version, q.OldPod).Errors
		errs = slices.DeleteFunc(slices.Clone(errs), func(e *field.Error) bool {
			return slices.ContainsFunc(before, func(b *field.Error) bool { return b.Error() == e.Error() })
		})
	}
	if cfg.Workloads == policy.Deny && len(errs) > 0 {
		return Decision{
			Outcome: Denied, Reason: judged.Reason, Warnings: warnings, Errors: q.inTemplate(judged.Errors), Bindings: judged.Bindings,
		}
	}
	for _, err := range q.inTemplate(judged.Errors) {
		warnings = append(warnings, finding.Warning{
			Rule: finding.Of(err), Field: err.Field, Text: fmt.Sprintf("pods of this %s will be denied: %s",
				annotations.Shorten(q.kind()), err),
		})
	}
	return Decision{Outcome: Unchanged, Reason: Checked, Warnings: warnings}
}

// judgeTemplate decides about a pod of the template as if it were created.
func (q *Request) judgeTemplate(cfg *config.Config, version string, template *mutate.Pod) Decision {
	if template == nil {
		return Decision{}
	}
	pod := *q
	pod.Pod = template
	return decideCreate(cfg, version, &pod)
}

// inTemplate are errors with the paths that they have in the workload.
func (q *Request) inTemplate(errs field.ErrorList) field.ErrorList {
	moved := make(field.ErrorList, 0, len(errs))
	for _, err := range errs {
		e := *err
		e.Field = q.inTemplateField(e.Field)
		moved = append(moved, &e)
	}
	return moved
}

// inTemplateField is the path that a field of the pod has in the workload.
func (q *Request) inTemplateField(path string) string {
	if path == "" {
		return q.Template
	}
	return q.Template + "." + path
}

// misplaced warns of annotations of ours that stand above the template, where they
// have no effect. Tools that annotate everything put them there, too.
func (q *Request) misplaced(prefix annotations.Prefix) finding.Warnings {
	var template annotations.List
	if q.Pod != nil {
		template = q.Pod.Annotations
	}
	var warnings finding.Warnings
	for _, above := range q.Above {
		for _, a := range above.List {
			if _, below := template.Get(a.Name); below || !prefix.Asks(a.Name) {
				continue
			}
			if len(warnings) == maxMisplaced {
				return warnings
			}
			at := above.Path + "[" + annotations.Shorten(a.Name) + "]"
			warnings = append(warnings, finding.Warning{
				Rule: finding.MisplacedAnnotation, Field: at,
				Text: fmt.Sprintf("%s has no effect: annotations of pods belong into %s.metadata.annotations", at, q.Template),
			})
		}
	}
	return warnings
}

// maxMisplaced bounds the warnings about annotations above the template: an answer
// has room for few.
const maxMisplaced = 20
