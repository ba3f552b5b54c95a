package admission

import (
	"encoding/json"
	"fmt"
	"net/http"
	"unicode/utf8"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// respond builds the AdmissionReview that answers a request.
func respond(q *Request, d *Decision) ([]byte, error) {
	response := &admissionv1.AdmissionResponse{
		UID:              types.UID(q.UID),
		Allowed:          d.Outcome != Denied,
		Warnings:         clip(d.Warnings),
		AuditAnnotations: d.auditAnnotations(),
	}
	if len(d.Operations) > 0 {
		patch, err := json.Marshal(plain(d.Operations))
		if err != nil {
			return nil, fmt.Errorf("could not encode the patch: %w", err)
		}
		patchType := admissionv1.PatchTypeJSONPatch
		response.Patch, response.PatchType = patch, &patchType
	}
	if !response.Allowed {
		response.Result = denial(q, d)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: response,
	})
	if err != nil {
		return nil, fmt.Errorf("could not encode the AdmissionReview: %w", err)
	}
	return body, nil
}

// operation has the fields of jsonpatch.Operation without its MarshalJSON, which
// would encode each operation on its own and then once more as a whole. It only
// exists for operations without a value, of which there are none here.
type operation jsonpatch.Operation

func plain(operations []jsonpatch.Operation) []operation {
	converted := make([]operation, len(operations))
	for i := range operations {
		converted[i] = operation(operations[i])
	}
	return converted
}

// maxErrors bounds what a denial says and the log repeats. A pod of 3 MB can have
// hundreds of thousands of errors, and the time for joining their texts grows
// with the square of their number.
const maxErrors = 100

// saidErrors are the errors that a denial names.
func (d *Decision) saidErrors() field.ErrorList { return d.Errors[:min(len(d.Errors), maxErrors)] }

// denial is the status of a denied request, in the form of the API server's own
// validation errors, so that clients show each cause in a line of its own.
func denial(q *Request, d *Decision) *metav1.Status {
	said := d.saidErrors()
	message := said.ToAggregate().Error()
	if len(d.Errors) > len(said) {
		message += " and more"
	}
	causes := make([]metav1.StatusCause, 0, len(said))
	for _, err := range said {
		causes = append(causes, metav1.StatusCause{
			Type: metav1.CauseType(err.Type), Field: err.Field, Message: err.ErrorBody(),
		})
	}
	return &metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusUnprocessableEntity,
		Reason:  metav1.StatusReasonInvalid,
		Message: message,
		Details: &metav1.StatusDetails{Name: q.Pod.Name, Kind: "Pod", Causes: causes},
	}
}

// The API server cuts off warnings beyond 4096 bytes in total (KEP-1693) and
// asks for short ones.
const (
	maxWarning  = 512
	maxWarnings = 4096
)

// clip keeps the warnings within what the API server passes on.
func clip(warnings []string) []string {
	total, clipped := 0, make([]string, 0, len(warnings))
	for _, w := range warnings {
		if len(w) > maxWarning {
			cut := maxWarning
			for cut > 0 && !utf8.RuneStart(w[cut]) {
				cut--
			}
			w = w[:cut] + "…"
		}
		if total += len(w); total > maxWarnings {
			break
		}
		clipped = append(clipped, w)
	}
	return clipped
}
