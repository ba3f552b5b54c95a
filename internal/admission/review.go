package admission

import (
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/jsonread"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// Request is the part of an AdmissionRequest (admission.k8s.io/v1) that decides.
type Request struct {
	UID         string
	Group       string
	Resource    string
	SubResource string
	Name        string
	Namespace   string
	Operation   admissionv1.Operation
	DryRun      bool
	// Kind is that of the object, for people.
	Kind string
	// Pod and OldPod are the objects, where the request is about pods, and the
	// templates of their pods, where it is about workloads; nil where it has none.
	Pod, OldPod *mutate.Pod
	// Template is the path of the template in a workload, such as spec.template, and
	// empty in requests about pods.
	Template string
	// Above are the annotations of the workload itself, and of what is between it and
	// its template.
	Above []Annotations
}

// Annotations are those of an object, which stand at a path in a workload.
type Annotations struct {
	Path string
	List annotations.List
}

// errNotAReview is the answer to well-formed JSON that is no AdmissionReview.
var errNotAReview = errors.New("this is not an AdmissionReview with a request: expected apiVersion admission.k8s.io/v1, kind " +
	"AdmissionReview and request.uid")

// ReadReview reads an AdmissionReview in JSON. The pod in it is read in the same
// pass: a general decoder goes over it three times, which would be most of an
// admission (docs/design/reading-reviews.md).
//
// Templates are where workloads have the templates of their pods.
//
// The request's strings are pieces of the body, which must not be written to
// again (jsonread.New). Errors say where the document is wrong, and quote
// nothing of it.
func ReadReview(body []byte, templates podtemplate.Locations) (*Request, error) {
	r := reviewReader{Reader: jsonread.New(body), request: &Request{}, templates: templates}
	defer r.Close()
	r.review()
	r.End()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("could not read the AdmissionReview: %w", err)
	}
	q := r.request
	if r.lateObject != "" {
		if err := r.late(r.lateObject, func(o object) { q.Pod, q.Above = o.pod, o.above }); err != nil {
			return nil, err
		}
	}
	if r.lateOldObject != "" {
		if err := r.late(r.lateOldObject, func(o object) { q.OldPod = o.pod }); err != nil {
			return nil, err
		}
	}
	if r.apiVersion != admissionv1.SchemeGroupVersion.String() || r.kind != "AdmissionReview" || q.UID == "" || len(q.UID) > maxUID {
		return nil, errNotAReview
	}
	return q, nil
}

// maxUID is the longest request.uid, in bytes, as the answer repeats it. API
// servers send 36 bytes.
const maxUID = 256

type reviewReader struct {
	*jsonread.Reader
	apiVersion, kind string
	request          *Request
	templates        podtemplate.Locations

	lateObject, lateOldObject string
}

func (r *reviewReader) review() {
	r.Object(func(name string) {
		switch name {
		case "apiVersion":
			r.apiVersion = r.String()
		case "kind":
			r.kind = r.String()
		case "request":
			r.admissionRequest()
		default:
			r.Skip()
		}
	})
}

func (r *reviewReader) admissionRequest() {
	q := r.request
	r.Object(func(name string) {
		switch name {
		case "uid":
			q.UID = r.String()
		case "kind":
			r.objectKind()
		case "resource":
			r.resource()
		case "subResource":
			q.SubResource = r.String()
		case "name":
			q.Name = r.String()
		case "namespace":
			q.Namespace = r.String()
		case "operation":
			q.Operation = admissionv1.Operation(r.String())
		case "dryRun":
			q.DryRun = r.Bool()
		case "object":
			o := r.object(&r.lateObject)
			q.Pod, q.Above = o.pod, o.above
		case "oldObject":
			q.OldPod = r.object(&r.lateOldObject).pod
		default:
			r.Skip()
		}
	})
}

func (r *reviewReader) objectKind() {
	r.Object(func(name string) {
		if name == "kind" {
			r.request.Kind = r.String()
		} else {
			r.Skip()
		}
	})
}

func (r *reviewReader) resource() {
	r.Object(func(name string) {
		switch name {
		case "group":
			r.request.Group = r.String()
		case "resource":
			r.request.Resource = r.String()
		default:
			r.Skip()
		}
	})
}

// object is what is read of one: the pod, or the template of pods and the annotations
// above it.
type object struct {
	pod   *mutate.Pod
	above []Annotations
}

// object reads a Pod, or an object with the template of one. Those of other kinds may
// have any shape and are passed over.
func (r *reviewReader) object(late *string) object {
	switch {
	case r.Null():
		r.Skip()
	case r.request.Resource == "":
		// The API server says what the object is before the object (the order
		// of AdmissionRequest's fields). Others may not: see then.
		*late = r.Raw(r.Skip)
	default:
		return r.known(r.Reader)
	}
	return object{}
}

// late reads an object that came before it was known what it is.
func (r *reviewReader) late(raw string, keep func(object)) error {
	reader := jsonread.NewString(raw)
	defer reader.Close()
	read := r.known(reader)
	reader.End()
	if err := reader.Err(); err != nil {
		return fmt.Errorf("could not read the object: %w", err)
	}
	keep(read)
	return nil
}

// known reads an object of which it is known what it is.
func (r *reviewReader) known(from *jsonread.Reader) object {
	q := r.request
	if q.aboutPods() {
		return object{pod: mutate.ReadPod(from)}
	}
	if q.SubResource == "" {
		q.Template = r.templates.Find(q.Group, q.Resource)
	}
	if q.Template == "" {
		from.Skip()
		return object{}
	}
	// Custom resources may have another shape than their kind's configuration says.
	// That is nobody's mistake but theirs: they have no template then.
	w := workloadReader{Reader: jsonread.NewString(from.Raw(from.Skip))}
	defer w.Close()
	w.read("", q.Template)
	if w.Err() != nil {
		return object{}
	}
	return w.object
}

// aboutPods reports whether the object is a Pod: on the resource itself, and on
// the subresources whose updates carry the whole pod.
func (q *Request) aboutPods() bool {
	return q.Group == "" && q.Resource == "pods" && (q.SubResource == "" || q.SubResource == ephemeralContainers)
}

const ephemeralContainers = "ephemeralcontainers"
