package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/policy"
)

// parse compiles a policy in YAML.
func parse(t testing.TB, text string, apiServerAudiences ...string) *policy.Policy {
	t.Helper()
	var spec policy.Spec
	if err := yaml.UnmarshalStrict([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	if errs := spec.Validate(field.NewPath("policy")); len(errs) > 0 {
		t.Fatal(errs)
	}
	p := policy.New(spec, apiServerAudiences)
	return &p
}

// expect compares the text of a refusal; nothing stands for none.
func expect(t *testing.T, want string, err error) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}
