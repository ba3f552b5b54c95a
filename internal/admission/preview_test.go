package admission_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// TestPreview shows the findings of objects, each as rule and field, and the paths of
// the operations.
func TestPreview(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse([]byte("{apiVersion: config.oidc-injector.io/v1alpha1, kind: InjectorConfig, "+
		"policy: {unknownAnnotations: Deny, audiences: {denied: [secret]}, env: {denied: [DENIED]}, loginSecrets: {allowed: [ca]}, "+
		"loginAddresses: {allowed: [https://vault.example.com]}}}"),
		config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	mirror := func(pod string) string {
		return strings.Replace(pod, `"annotations":{`, `"annotations":{"kubernetes.io/config.mirror":"x",`, 1)
	}
	const workload = `{"metadata":{"annotations":{"oidc-injector.io/env":"X"}},"spec":{"template":POD}}`
	for name, tt := range map[string]struct {
		group, resource, object string
		findings, paths         []string
	}{
		"a pod": {"", "pods", pod("", "audience=vault"), nil, []string{
			"/spec/volumes", "/spec/containers/0/volumeMounts", "/metadata/annotations/oidc-injector.io~1status",
		}},
		"a workload": {"apps", "deployments", strings.Replace(workload, "POD", pod("", "audience=vault"), 1), []string{
			"misplaced-annotation metadata.annotations[oidc-injector.io/env]",
		}, []string{
			"/spec/template/spec/volumes", "/spec/template/spec/containers/0/volumeMounts",
			"/spec/template/metadata/annotations/oidc-injector.io~1status",
		}},
		"a workload whose pods are denied": {
			"apps", "deployments",
			strings.Replace(workload, "POD", pod("", "audience=secret", "env=DENIED", "audiense=x", "containers=x"), 1),
			[]string{
				"no-container spec.template.metadata.annotations[oidc-injector.io/audience]",
				"policy-audience spec.template.metadata.annotations[oidc-injector.io/audience]",
				"policy-variable spec.template.metadata.annotations[oidc-injector.io/env]",
				"unknown-annotation spec.template.metadata.annotations",
				"unknown-container spec.template.metadata.annotations[oidc-injector.io/containers]",
			},
			nil,
		},
		"addresses and Secrets": {
			"", "pods",
			pod("", "audience=vault", "login=vault", "login-role=r", "login-address=https://other.example.com", "login-ca-secret=s",
				"mount-path=/etc/x"),
			[]string{
				"login-disabled metadata.annotations[oidc-injector.io/login]",
				"policy-address metadata.annotations[oidc-injector.io/login-address]",
				"policy-mount-path metadata.annotations[oidc-injector.io/mount-path]",
				"policy-secret metadata.annotations[oidc-injector.io/login-ca-secret]",
			},
			nil,
		},
		"a static pod": {
			"", "pods", mirror(pod("", "audience=vault")),
			[]string{"static-pod "},
			nil,
		},
		"another kind":            {"", "services", `{"spec":{"template":1}}`, nil, nil},
		"a template that is none": {"apps", "deployments", `{"spec":{"template":[]}}`, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, err := admission.ReadObject([]byte(tt.object), admission.Object{
				Group: tt.group, Resource: tt.resource, Namespace: "shop", Name: "app",
			}, podtemplate.BuiltIn)
			if err != nil {
				t.Fatal(err)
			}
			d := admission.Preview(cfg, "v1", q)
			var findings, paths []string
			for _, err := range d.Errors {
				findings = append(findings, string(finding.Of(err))+" "+err.Field)
			}
			for _, w := range d.Warnings {
				findings = append(findings, string(w.Rule)+" "+w.Field)
			}
			for _, o := range d.Operations {
				paths = append(paths, o.Path)
			}
			slices.Sort(findings)
			if diff := cmp.Diff(tt.findings, findings); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.paths, paths); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			patch, err := d.Patch()
			if err != nil || (len(patch) == 0) != (len(tt.paths) == 0) {
				t.Errorf("patch %s, error %v", patch, err)
			}
		})
	}
	if _, err := admission.ReadObject([]byte(`{"metadata":{"annotations":{"a":1}}}`), admission.Object{Resource: "pods"}, nil); err == nil {
		t.Error("a pod of another shape was read")
	}
}
