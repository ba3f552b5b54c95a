package admission_test

import (
	"encoding/json"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	kjson "k8s.io/apimachinery/pkg/util/json"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// FuzzReadReview: nothing makes the reader panic, errors quote nothing of the
// document, and what is accepted means the same to the decoder that the rest of
// Kubernetes uses. A decision on it can be made and answered.
func FuzzReadReview(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", "{}",
		string(review("CREATE", "", pod("", "audience=vault", "env="+marker), "null")),
		string(review("UPDATE", "ephemeralcontainers", pod(debugged+debugger, "audience=vault"), pod(debugged))),
		string(ask{operation: "DELETE", oldObject: pod("")}.review()),
		string(review("CREATE", "", pod("", append(vaultLogin, "login-role="+marker)...), "null")),
		string(review("UPDATE", "ephemeralcontainers", pod(debugged+debugger, vaultLogin...), pod(debugged))),
		string(ask{group: "apps", resource: "deployments", object: `{"spec":"` + marker + `"}`, dryRun: true}.review()),
		string(deployment(`,"annotations":{"oidc-injector.io/env":"`+marker+`"}`,
			pod("", "audiense="+marker, "containers="+marker)).review()),
		string(update(deployment("", pod("", "audience=")), pod("", "audience=x")).review()),
		string(ask{
			group: "batch", resource: "cronjobs",
			object: workload("", "spec.jobTemplate.spec.template", pod("", vaultLogin...)),
		}.review()),
		`{"request":{"object":{"spec":{"containers":null}},"resource":{"resource":"pods"},"uid":"\u00e4","operation":"CREATE"},` +
			`"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","object":{"` + marker + `":[`,
	} {
		f.Add([]byte(seed))
	}
	cfg := loginConfig(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := admission.ReadReview(body, podtemplate.BuiltIn)
		if err != nil {
			if q != nil {
				t.Error("there is a request beside the error")
			}
			if strings.Contains(err.Error(), marker) {
				t.Errorf("the error quotes the document: %v", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatal("accepted what is not JSON")
		}
		admission.Decide(cfg, "v1.2.3", q)

		var want admissionv1.AdmissionReview
		if kjson.Unmarshal(body, &want) != nil {
			return // a field that does not decide has another shape
		}
		if want.Request == nil || want.APIVersion != "admission.k8s.io/v1" || want.Kind != "AdmissionReview" {
			t.Fatalf("accepted what is no review: %+v", want)
		}
		r := want.Request
		dryRun := r.DryRun != nil && *r.DryRun
		if q.UID != string(r.UID) || q.Operation != r.Operation || q.Namespace != r.Namespace || q.Name != r.Name ||
			q.Group != r.Resource.Group || q.Resource != r.Resource.Resource || q.SubResource != r.SubResource || q.DryRun != dryRun {
			t.Errorf("read %+v, meant %+v", q, r)
		}
	})
}
