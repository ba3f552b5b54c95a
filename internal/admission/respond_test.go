package admission

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
)

// FuzzRespond compares an answer with what encoding/json makes of the same.
func FuzzRespond(f *testing.F) {
	f.Add("7f0a6c2e", "/spec/containers/0/volumeMounts/-", "oidc-token", "vault", "a warning", int64(3600), uint8(3))
	f.Add("<&>\u2028\u2029", "/a~1b/\"\\", "\x00\x1f\x7f", "\xff\xc3\x28", strings.Repeat("ä", 300), int64(-1), uint8(0xff))
	f.Add("", "", "", "", "", int64(0), uint8(0))
	f.Fuzz(func(t *testing.T, uid, path, value, audience, warning string, seconds int64, what uint8) {
		q := &Request{UID: uid, Pod: &mutate.Pod{Name: value}}
		d := &Decision{Outcome: Mutated, Reason: Injected}
		want := admissionv1.AdmissionResponse{UID: types.UID(uid), Allowed: true}
		if what&1 != 0 {
			addOperations(t, d, &want, path, value)
		}
		if what&2 != 0 {
			d.Tokens = []annotations.Token{{Name: value, Audience: audience, ExpirationSeconds: seconds}}
			d.Logins = []annotations.Login{{Name: path, Method: "vault"}}
			want.AuditAnnotations = map[string]string{
				"token." + d.Tokens[0].DisplayName(): fmt.Sprintf("audience=%s expirationSeconds=%d", audience, seconds),
				"login." + d.Logins[0].DisplayName(): "method=vault address=" + d.Logins[0].URL(),
			}
		}
		for range what >> 4 {
			d.Warnings = append(d.Warnings, finding.Warning{Text: warning})
			if len(warning) <= maxWarning && (len(want.Warnings)+1)*len(warning) <= maxWarnings {
				want.Warnings = append(want.Warnings, warning)
			}
		}
		if len(warning) > maxWarning {
			d.Warnings = nil
		}
		if diff := cmp.Diff(roundTrip(t, want), answer(t, q, d)); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	})
}

// addOperations adds some with a value in JSON, and one with a value to be encoded.
func addOperations(t *testing.T, d *Decision, want *admissionv1.AdmissionResponse, path, value string) {
	t.Helper()
	mount := corev1.VolumeMount{Name: value, MountPath: path}
	raw := json.RawMessage(encode(t, []corev1.VolumeMount{mount}))
	d.Operations = []jsonpatch.Operation{
		{Operation: "add", Path: path, Value: raw},
		{Operation: "add", Path: path + path, Value: &raw},
		{Operation: value, Path: value, Value: mount},
	}
	patchType := admissionv1.PatchTypeJSONPatch
	want.PatchType = &patchType
	want.Patch = encode(t, []map[string]any{
		{"op": "add", "path": path, "value": []corev1.VolumeMount{mount}},
		{"op": "add", "path": path + path, "value": []corev1.VolumeMount{mount}},
		{"op": value, "path": value, "value": mount},
	})
}

// answer is what a client reads. The patch is brought into the form that
// encoding/json gives it.
func answer(t *testing.T, q *Request, d *Decision) admissionv1.AdmissionResponse {
	t.Helper()
	body, err := respond(q, d, &buffers{})
	if err != nil {
		t.Fatal(err)
	}
	var review admissionv1.AdmissionReview
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&review); err != nil || review.Response == nil {
		t.Fatalf("%v in %q", err, body)
	}
	if review.Kind != "AdmissionReview" || review.APIVersion != "admission.k8s.io/v1" {
		t.Errorf("%+v", review.TypeMeta)
	}
	if patch := review.Response.Patch; patch != nil {
		var operations []map[string]any
		if err := json.Unmarshal(patch, &operations); err != nil {
			t.Fatalf("%v in the patch %q", err, patch)
		}
		review.Response.Patch = encode(t, operations)
	}
	return *review.Response
}

// roundTrip is what encoding/json reads of what it writes.
func roundTrip(t *testing.T, response admissionv1.AdmissionResponse) admissionv1.AdmissionResponse {
	t.Helper()
	var read admissionv1.AdmissionResponse
	if err := json.Unmarshal(encode(t, response), &read); err != nil {
		t.Fatal(err)
	}
	if read.Patch != nil {
		var operations []map[string]any
		if err := json.Unmarshal(read.Patch, &operations); err != nil {
			t.Fatal(err)
		}
		read.Patch = encode(t, operations)
	}
	return read
}

func encode(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestRespond(t *testing.T) {
	t.Parallel()
	t.Run("a value that cannot be encoded is an error", func(t *testing.T) {
		t.Parallel()
		d := &Decision{Outcome: Mutated, Operations: []jsonpatch.Operation{{Operation: "add", Value: func() {}}}}
		if body, err := respond(&Request{UID: "1"}, d, &buffers{}); err == nil {
			t.Errorf("answered %s", body)
		}
	})
	t.Run("a denial is bounded whatever it quotes", func(t *testing.T) {
		t.Parallel()
		long := strings.Repeat("ä", 100_000)
		d := &Decision{Outcome: Denied, Reason: Conflict}
		for i := range 1000 {
			path := field.NewPath("spec").Index(i).Key(long)
			d.Errors = append(d.Errors, field.Invalid(path, long, "remove it"), field.Forbidden(path, long))
			d.Warnings = append(d.Warnings, finding.Warning{Text: long})
		}
		got := answer(t, &Request{UID: "1", Pod: &mutate.Pod{Name: long}}, d)
		if size := len(encode(t, got)); size > 512<<10 {
			t.Errorf("the answer has %d bytes", size)
		}
		if len(got.Result.Details.Causes) != maxErrors {
			t.Errorf("%d causes", len(got.Result.Details.Causes))
		}
		want := metav1.StatusCause{
			Type: "FieldValueInvalid", Field: "spec[0][" + strings.Repeat("ä", 252) + "…",
			Message: `Invalid value: "` + strings.Repeat("ä", 128) + `…": remove it`,
		}
		if diff := cmp.Diff(want, got.Result.Details.Causes[0]); diff != "" {
			t.Errorf("first cause (-want +got):\n%s", diff)
		}
	})
	t.Run("errors of one text are said once", func(t *testing.T) {
		t.Parallel()
		one := field.Forbidden(field.NewPath("spec"), "no")
		got := answer(t, &Request{UID: "1", Pod: &mutate.Pod{}}, &Decision{Outcome: Denied, Errors: field.ErrorList{one, one}})
		if diff := cmp.Diff("spec: Forbidden: no", got.Result.Message); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	})
}
