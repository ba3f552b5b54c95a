package cli

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// TestSchema tries the names that the schema allows.
func TestSchema(t *testing.T) {
	t.Parallel()
	code, out, errOut := call(t, "", "schema", "--config=testdata/config.yaml")
	if code != ExitOK {
		t.Fatal(errOut)
	}
	var schema jsonSchema
	if err := json.Unmarshal([]byte(out), &schema); err != nil {
		t.Fatal(err)
	}
	names := schema.Definitions["annotations"].PropertyNames.AnyOf
	allowed := func(name string) bool {
		for _, s := range names {
			if s.Not != nil && !regexp.MustCompile(s.Not.Pattern).MatchString(name) ||
				s.Not == nil && regexp.MustCompile(s.Pattern).MatchString(name) {
				return true
			}
		}
		return false
	}
	for _, key := range annotations.InputKeys() {
		for _, suffix := range []string{"", "aws", "a-1"} {
			if name := annotations.Prefix(annotations.DefaultPrefix).Key(key, suffix); !allowed(name) {
				t.Errorf("%s is not allowed", name)
			}
		}
		if schema.Definitions["annotations"].Properties["oidc-injector.io/"+key].Description == "" {
			t.Errorf("%s is not explained", key)
		}
	}
	for name, want := range map[string]bool{
		"example.com/x": true, "oidc-injector.io/status": true, "oidc-injector.io/file.aws": true, "oidc-injector.io/aws-role-arn": true,
		"oidc-injector.io/audiense": false, "oidc-injector.io/audience.A": false, "oidc-injector.io/audience.": false,
		"oidc-injector.io/status.aws": false, "oidc-injectorXio/audiense": true,
	} {
		if allowed(name) != want {
			t.Errorf("%s: allowed %t", name, !want)
		}
	}
	target := schema.Properties["spec"].Properties["jobTargetRef"].Properties["template"].Properties["metadata"].Properties["annotations"]
	if target == nil || target.Ref != "#/definitions/annotations" {
		t.Error("the template that the configuration names is missing")
	}
}
