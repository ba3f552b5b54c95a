package podtemplate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

func TestWhereATemplateIs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ group, resource, want string }{
		{"apps", "deployments", "spec.template"},
		{"batch", "cronjobs", "spec.jobTemplate.spec.template"},
		{"", "replicationcontrollers", "spec.template"},
		{"", "deployments", ""},
		{"apps", "pods", ""},
		{"example.com", "deployments", ""},
	} {
		if got := podtemplate.BuiltIn.Find(tt.group, tt.resource); got != tt.want {
			t.Errorf("%s of %q: %q", tt.resource, tt.group, got)
		}
	}
	for _, kind := range []string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"} {
		if got := podtemplate.FindKind("apps", kind); got != "spec.template" {
			t.Errorf("kind %s: %q", kind, got)
		}
	}
}

func TestLocationsAreValidated(t *testing.T) {
	t.Parallel()
	locations := podtemplate.Locations{
		{APIGroup: "argoproj.io", Resource: "rollouts", Path: "spec.template"},
		{APIGroup: "", Resource: "things", Path: "template"},
		{APIGroup: "apps", Resource: "deployments", Path: "spec.template"},
		{APIGroup: "argoproj.io", Resource: "rollouts", Path: "spec"},
		{APIGroup: "A", Resource: "Rollout", Path: ""},
		{APIGroup: "b.c", Resource: "b", Path: "spec..template"},
		{APIGroup: "b.c", Resource: "c", Path: "spec[0]"},
		{APIGroup: "b.c", Resource: "d", Path: strings.Repeat("a.", 16) + "a"},
	}
	if errs := podtemplate.Known.Validate(field.NewPath("known")); len(errs) > 0 {
		t.Errorf("known: %v", errs)
	}
	var got []string
	for _, err := range locations.Validate(field.NewPath("podTemplates")) {
		got = append(got, err.Field+" "+string(err.Type))
	}
	want := []string{
		"podTemplates[2] FieldValueDuplicate",
		"podTemplates[3] FieldValueDuplicate",
		"podTemplates[4].apiGroup FieldValueInvalid", "podTemplates[4].resource FieldValueInvalid",
		"podTemplates[4].path FieldValueInvalid",
		"podTemplates[5].path FieldValueInvalid",
		"podTemplates[6].path FieldValueInvalid",
		"podTemplates[7].path FieldValueInvalid",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}
