package mutate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
)

// TestProfileConflicts shows that errors name an annotation
// that the pod has, not one that it would have without its profile.
func TestProfileConflicts(t *testing.T) {
	t.Parallel()
	withProfile := annotations.Parser{
		Prefix: annotations.DefaultPrefix, MaxExpiration: annotations.DefaultMaxExpiration,
		Profiles: map[string]annotations.Preset{"vault": {"audience": "vault", "env": "TOKEN"}},
	}
	pod, err := mutate.ParsePod([]byte(`{"metadata":{"annotations":{"oidc-injector.io/profile":"vault"}},"spec":{
		"volumes":[{"name":"data","emptyDir":{}}],
		"containers":[{"name":"app","env":[{"name":"TOKEN","value":"other"}],"volumeMounts":[{"name":"data",
		"mountPath":"/var/run/secrets/tokens"}]}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	spec, _, errs := withProfile.Parse(annotations.Input{Annotations: pod.Annotations})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	_, errs = mutate.Patch(pod, spec, mutate.Options{Prefix: annotations.DefaultPrefix})
	var got []string
	for _, err := range errs {
		got = append(got, err.Detail)
	}
	want := []string{
		`container "app" already mounts volume "data" here` +
			strings.Replace(heldSuffix, "oidc-injector.io/audience", "oidc-injector.io/profile", 1),
		`container "app" sets this variable itself, and annotation oidc-injector.io/profile wants it to be ` +
			`/var/run/secrets/tokens/oidc-token: remove one of them`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}
