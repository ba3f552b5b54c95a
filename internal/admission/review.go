package admission

import (
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/oidc-injector/oidc-injector/internal/jsonread"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
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
	// Pod and OldPod are the objects, where the request is about pods; nil
	// where it has none.
	Pod, OldPod *mutate.Pod
}

// errNotAReview is the answer to well-formed JSON that is no AdmissionReview.
var errNotAReview = errors.New("this is not an AdmissionReview with a request: expected apiVersion admission.k8s.io/v1, kind AdmissionReview and request.uid")

// ReadReview reads an AdmissionReview in JSON. The pod in it is read in the same
// pass: a general decoder goes over it three times, which would be most of an
// admission (docs/design/reading-reviews.md).
//
// The request's strings are pieces of the body, which must not be written to
// again (jsonread.New). Errors say where the document is wrong, and quote
// nothing of it.
func ReadReview(body []byte) (*Request, error) {
	r := reviewReader{Reader: jsonread.New(body), request: &Request{}}
	defer r.Close()
	r.review()
	r.End()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("could not read the AdmissionReview: %w", err)
	}
	q := r.request
	if err := errors.Join(q.readLate(&q.Pod, r.lateObject), q.readLate(&q.OldPod, r.lateOldObject)); err != nil {
		return nil, err
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
			q.Pod = r.pod(&r.lateObject)
		case "oldObject":
			q.OldPod = r.pod(&r.lateOldObject)
		default:
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

// pod reads an object if it is a Pod. Objects of other kinds may have any shape
// and are passed over.
func (r *reviewReader) pod(late *string) *mutate.Pod {
	switch {
	case r.Null():
		r.Skip()
	case r.request.aboutPods():
		return mutate.ReadPod(r.Reader)
	case r.request.Resource == "":
		// The API server says what the object is before the object (the order
		// of AdmissionRequest's fields). Others may not: see then.
		*late = r.Raw(r.Skip)
	default:
		r.Skip()
	}
	return nil
}

// readLate reads an object that came before it was known to be a Pod.
func (q *Request) readLate(pod **mutate.Pod, raw string) error {
	if raw == "" || !q.aboutPods() {
		return nil
	}
	r := jsonread.NewString(raw)
	defer r.Close()
	read := mutate.ReadPod(r)
	r.End()
	if err := r.Err(); err != nil {
		return fmt.Errorf("could not read the Pod: %w", err)
	}
	*pod = read
	return nil
}

// aboutPods reports whether the object is a Pod: on the resource itself, and on
// the subresources whose updates carry the whole pod.
func (q *Request) aboutPods() bool {
	return q.Group == "" && q.Resource == "pods" && (q.SubResource == "" || q.SubResource == ephemeralContainers)
}

const ephemeralContainers = "ephemeralcontainers"
