package admission

import (
	"fmt"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/jsonread"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// Object says what an object is that [ReadObject] reads.
type Object struct {
	// Group and Resource are those of the API, such as apps and deployments, and Kind is
	// for people.
	Group, Resource, Kind string
	// Namespace is where it is to be created, and Name may be the beginning of a name.
	Namespace, Name string
}

// ReadObject reads an object in JSON as the webhook reads it in the review of its
// creation. The request has no Pod where the object is neither one nor has a template
// of one.
func ReadObject(raw []byte, of Object, templates podtemplate.Locations) (*Request, error) {
	q := &Request{
		Group: of.Group, Resource: of.Resource, Kind: of.Kind, Namespace: of.Namespace, Name: of.Name,
		Operation: admissionv1.Create,
	}
	r := reviewReader{Reader: jsonread.New(raw), request: q, templates: templates}
	defer r.Close()
	read := r.known(r.Reader)
	r.End()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("could not read the %s: %w", q.kind(), err)
	}
	q.Pod, q.Above = read.pod, read.above
	return q, nil
}

// Preview decides about an object that is created. Of a workload it does what becomes
// of the pods of its template, to the template: operations and errors have the paths
// that they have in the workload. That is what [Decide] does to such a pod, but for the
// pod's name, which only its controller gives.
func Preview(cfg *config.Config, version string, q *Request) Decision {
	if q.Template == "" {
		return Decide(cfg, version, q)
	}
	if q.Pod == nil {
		return Decision{Outcome: Unchanged, Reason: Unsupported}
	}
	d := q.judgeTemplate(cfg, version, q.Pod)
	warnings := q.misplaced(cfg.Parser.Prefix)
	for _, w := range d.Warnings {
		w.Field = q.inTemplateField(w.Field)
		warnings = append(warnings, w)
	}
	d.Warnings = warnings
	d.Errors = q.inTemplate(d.Errors)
	moved := make([]jsonpatch.Operation, 0, len(d.Operations))
	for _, o := range d.Operations {
		o.Path = "/" + strings.ReplaceAll(q.Template, ".", "/") + o.Path
		moved = append(moved, o)
	}
	d.Operations = moved
	return d
}

// Patch is the patch (RFC 6902) in JSON, as the webhook sends it. It is empty where there
// is none.
func (d *Decision) Patch() ([]byte, error) { return appendPatch(nil, d.Operations) }

// Asked is what the annotations of a pod ask for, and the bindings that select it, with
// what is wrong with them. Policy and the rest of the pod have no say in it.
func Asked(cfg *config.Config, q *Request) (annotations.Spec, field.ErrorList) {
	spec, _, errs := cfg.Parser.Parse(q.input(cfg))
	return spec, errs
}
