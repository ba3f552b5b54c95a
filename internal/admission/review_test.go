package admission_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

func TestReviewFieldsInAnyOrder(t *testing.T) {
	t.Parallel()
	const (
		resource = `"resource":{"resource":"pods","version":"v1","group":""}`
		object   = `"object":{"spec":{"containers":[{"name":"app"}]},"metadata":{"annotations":{"oidc-injector.io/audience":"vault"}}}`
		rest     = `"dryRun":true,"operation":"CREATE","namespace":"prod","name":"app","uid":"1"`
		end      = `},"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`
	)
	for name, body := range map[string]string{
		"the resource first": `{"request":{` + resource + `,` + object + `,` + rest + end,
		"the object first":   `{"request":{` + object + `,` + resource + `,` + rest + end,
		"with white space": "{\"request\": {\r\n\t\"object\" :\n " + strings.TrimPrefix(object, `"object":`) + " , " + resource + " ,\n" +
			rest + end,
		"the old object, too": `{"request":{"oldObject":{"spec":{"containers":[{"name":"app"}]}},` + object +
			`,` + resource + `,` + rest + end,
	} {
		q, err := admission.ReadReview([]byte(body), podtemplate.BuiltIn)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if q.Pod == nil {
			t.Errorf("%s: no pod", name)
			continue
		}
		if audience, _ := q.Pod.Annotations.Get("oidc-injector.io/audience"); audience != "vault" {
			t.Errorf("%s: audience %q", name, audience)
		}
		if (q.OldPod != nil) != strings.Contains(name, "old") {
			t.Errorf("%s: old pod %v", name, q.OldPod)
		}
		q.Pod, q.OldPod = nil, nil
		want := &admission.Request{UID: "1", Resource: "pods", Name: "app", Namespace: "prod", Operation: admissionv1.Create, DryRun: true}
		if diff := cmp.Diff(want, q); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMalformedObjectAheadOfResource(t *testing.T) {
	t.Parallel()
	const body = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","object":{"spec":"` + marker +
		`"},"resource":{"resource":"RESOURCE"}}}`
	if _, err := admission.ReadReview([]byte(strings.Replace(body, "RESOURCE", "things", 1)), podtemplate.BuiltIn); err != nil {
		t.Errorf("an object that is no pod: %v", err)
	}
	_, err := admission.ReadReview([]byte(strings.Replace(body, "RESOURCE", "pods", 1)), podtemplate.BuiltIn)
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := cmp.Diff("could not read the object: unexpected JSON value: unexpected string before offset 23", err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// The API server leaves out what is empty.
func TestReviewFieldsAbsentOrNull(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1"}}`,
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":null,"request":{"uid":"1","resource":null,` +
			`"subResource":null,` +
			`"name":null,"namespace":null,"operation":null,"object":null,"oldObject":null,"dryRun":null,"options":null}}`,
	} {
		q, err := admission.ReadReview([]byte(body), podtemplate.BuiltIn)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if diff := cmp.Diff(&admission.Request{UID: "1"}, q); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}
