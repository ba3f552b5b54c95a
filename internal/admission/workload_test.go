package admission_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// workload is an object that has the metadata and the pod at a path.
func workload(metadata, path, template string) string {
	steps := strings.Split(path, ".")
	object := template
	for i := len(steps) - 1; i > 0; i-- {
		object = fmt.Sprintf(`{"paused":true,%q:%s}`, steps[i], object)
	}
	return fmt.Sprintf(`{"kind":"Thing","metadata":{"name":"app","labels":{"a":"b"}%s},%q:%s,"status":{}}`, metadata, steps[0], object)
}

// deployment is a request about one.
func deployment(metadata, template string) ask {
	return ask{group: "apps", resource: "deployments", kind: "Deployment", object: workload(metadata, "spec.template", template)}
}

func TestWorkloadGetsFindingsOfPods(t *testing.T) {
	t.Parallel()
	const didYouMean = `unknown annotation "oidc-injector.io/audiense": did you mean oidc-injector.io/audience?`
	for _, location := range append(podtemplate.Locations{{
		APIGroup: "argoproj.io", Resource: "rollouts",
		Path: "spec.strategy.deep.template",
	}}, podtemplate.BuiltIn...) {
		t.Run(location.Resource, func(t *testing.T) {
			t.Parallel()
			h := newHook(configured(withPolicy(t, "{audiences: {denied: [admin]}}\npodTemplates: [{apiGroup: argoproj.io, "+
				"resource: rollouts, path: spec.strategy.deep.template}]")))
			at := location.Path
			for _, tt := range []struct {
				what, metadata string
				template       string
				warnings       []string
			}{
				{what: "nothing of ours", template: pod("", "example.com/a=b")},
				{what: "all in order", template: pod("", "audience=vault", "containers=app")},
				{what: "opted out", template: pod("", "audience=vault", "inject=false", "audiense=x")},
				{what: "an injected container", template: pod("", "audience=vault", "containers=istio-proxy")},
				{what: "no template", template: "null"},
				{what: "a mistyped key", template: pod("", "audiense=vault"), warnings: []string{at + ": " + didYouMean}},
				{
					what: "a missing container", template: pod("", "audience=vault", "containers=ap"),
					warnings: []string{
						at + `: no container of the pod gets token "default"`,
						at + `: oidc-injector.io/containers: the pod has no container "ap"`,
					},
				},
				{
					what: "what is denied", template: pod("", "audience=admin", "audiense=vault"),
					warnings: []string{
						at + ": " + didYouMean,
						"pods of this Thing will be denied: " + at + `.metadata.annotations[oidc-injector.io/audience]: Forbidden: ` +
							`audience "admin": the injector's policy denies this audience in namespace "default"`,
					},
				},
				{
					what: "the wrong level", metadata: `,"annotations":{"oidc-injector.io/audience":"vault",` +
						`"oidc-injector.io/status":"x","b/c":"d"}`, template: pod(""),
					warnings: []string{"metadata.annotations[oidc-injector.io/audience] has no effect: annotations of pods belong into " +
						at + ".metadata.annotations"},
				},
				{
					what: "every level", metadata: `,"annotations":{"oidc-injector.io/audience":"vault"}`,
					template: pod("", "audience=vault"),
				},
			} {
				for _, operation := range []string{"CREATE", "UPDATE"} {
					response := h.admit(t, ask{
						operation: operation, group: location.APIGroup, resource: location.Resource, kind: "Thing",
						object: workload(tt.metadata, at, tt.template), oldObject: workload("", at, pod("")),
					}.review())
					if !response.Allowed || response.Patch != nil || response.AuditAnnotations != nil {
						t.Errorf("%s: response %v", tt.what, response)
					}
					if diff := cmp.Diff(tt.warnings, response.Warnings); diff != "" {
						t.Errorf("%s: warnings (-want +got):\n%s", tt.what, diff)
					}
				}
			}
			if diff := cmp.Diff(map[string]int{"ok": 12, "warned": 8, "denied": 0},
				h.counts(t, "oidc_injector_workload_checks_total")); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int{"workload/unchanged/checked/default": 8},
				h.counts(t, "oidc_injector_findings_total")); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			expectEmpty(t, "counters of pods", h.counters(t))
		})
	}
}

func expectEmpty(t *testing.T, what string, got map[string]int) {
	t.Helper()
	if len(got) > 0 {
		t.Errorf("%s: %v", what, got)
	}
}

// A CronJob has metadata in three places.
func TestWorkloadMisplacedAnnotations(t *testing.T) {
	t.Parallel()
	object := `{"spec":{"jobTemplate":{"metadata":{"annotations":{"oidc-injector.io/audience":"vault"}},"spec":{"template":` + pod("") +
		`}}}}`
	response := newHook(configured(defaultConfig())).admit(t,
		ask{group: "batch", resource: "cronjobs", kind: "CronJob", object: object}.review())
	want := []string{"spec.jobTemplate.metadata.annotations[oidc-injector.io/audience] has no effect: " +
		"annotations of pods belong into spec.jobTemplate.spec.template.metadata.annotations"}
	if diff := cmp.Diff(want, response.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestWorkloadDenied(t *testing.T) {
	t.Parallel()
	bad, worse, fine := pod("", "audience=", "audiense=x"), pod("", "audience=", "expiration=5"), pod("", "audience=vault")
	for _, tt := range []struct {
		what, policy string
		ask          ask
		allowed      bool
		warnings     int
	}{
		{"nothing wrong", "Deny", deployment("", fine), true, 0},
		{"something wrong", "Deny", deployment("", bad), false, 1},
		{"a warning", "Deny", deployment("", pod("", "audiense=x")), true, 1},
		{"as wrong as before", "Deny", update(deployment("", bad), bad), true, 2},
		{"more wrong than before", "Deny", update(deployment("", worse), bad), false, 0},
		{"wrong since now", "Deny", update(deployment("", bad), fine), false, 1},
		{"mended", "Deny", update(deployment("", fine), bad), true, 0},
		{"wrong", "Off", deployment(`,"annotations":{"oidc-injector.io/audience":"vault"}`, bad), true, 0},
	} {
		h := newHook(configured(withPolicy(t, "{workloads: "+tt.policy+"}")))
		response := h.admit(t, tt.ask.review())
		if response.Allowed != tt.allowed || len(response.Warnings) != tt.warnings || response.Patch != nil {
			t.Errorf("%s: response %v", tt.what, response)
		}
	}
}

// What custom resources hold is not the webhook's to judge, and no error of its.
func TestWorkloadWithoutTemplate(t *testing.T) {
	t.Parallel()
	h := newHook(configured(withPolicy(t, "{workloads: Deny}\npodTemplates: [{apiGroup: example.com, resource: things, "+
		"path: spec.template}]")))
	for _, object := range []string{
		`{}`, `[]`, `"text"`, `7`, `{"spec":[]}`, `{"spec":"text"}`, `{"spec":{"template":"text"}}`, `{"spec":{"template":[1]}}`,
		`{"spec":{"template":{"metadata":{"annotations":[]}}}}`, `{"spec":{"template":{"spec":{"containers":"none"}}}}`,
		`{"metadata":{"annotations":{"oidc-injector.io/audience":7}},"spec":{"template":{}}}`,
	} {
		for _, a := range []ask{
			{group: "example.com", resource: "things", object: object},
			{operation: "UPDATE", group: "example.com", resource: "things", object: `{"spec":{}}`, oldObject: object},
		} {
			if response := h.admit(t, a.review()); !response.Allowed || response.Warnings != nil || response.Patch != nil {
				t.Errorf("%s: response %v", object, response)
			}
		}
	}
	if log := h.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
		t.Errorf("log %s", log)
	}
}

// Where an SDK sends the token is for the policy, as with logins.
func TestProviderAddressMustBeListed(t *testing.T) {
	t.Parallel()
	server := func(address string) string {
		return pod("", "kubernetes-audience=vault", "kubernetes-server="+address)
	}
	minio := pod("", "minio-audience=a", "minio-role-arn=arn:minio:iam:::role/a", "minio-endpoint=http://minio.example.com")
	for _, tt := range []struct {
		policy, pod string
		allowed     bool
	}{
		{"{}", server("https://evil.example"), false},
		{"{}", pod("", "azure-client-id=00000000-0000-0000-0000-000000000001", "azure-tenant-id=a.b",
			"azure-authority-host=https://evil.example/"), false},
		{"{}", pod("", "gcp-provider=projects/123456/locations/global/workloadIdentityPools/pool/providers/cluster",
			"gcp-universe-domain=evil.example"), false},
		{"{}", pod("", "aws-role-arn=arn:aws:iam::123456789012:role/a"), true},
		{"{}", pod("", "gcp-provider=projects/123456/locations/global/workloadIdentityPools/pool/providers/cluster"), true},
		{"{loginAddresses: {allowed: ['https://good.example']}}", server("https://good.example"), true},
		{"{loginAddresses: {allowed: ['https://good.example']}}", server("https://evil.example"), false},
		{"{loginAddresses: {allowed: ['*']}}", minio, false},
		{"{loginAddresses: {allowed: ['http://minio.example.com']}}", minio, true},
		{"{}\nprofiles: {other: {kubernetes-server: 'https://b.example', kubernetes-audience: b}}", pod("", "profile=other"), true},
		{
			"{loginAddresses: {denied: ['*']}}\nprofiles: {other: {kubernetes-server: 'https://b.example', kubernetes-audience: b}}",
			pod("", "profile=other"), false,
		},
	} {
		response := newHook(configured(withPolicy(t, tt.policy))).admit(t, ask{resource: "pods", object: tt.pod}.review())
		if response.Allowed != tt.allowed {
			t.Errorf("%s %s: %v", tt.policy, tt.pod, response.Result)
		}
	}
}

func update(a ask, oldTemplate string) ask {
	a.operation, a.oldObject = "UPDATE", workload("", "spec.template", oldTemplate)
	return a
}

func TestWorkloadDenialHasPaths(t *testing.T) {
	t.Parallel()
	h := newHook(configured(withPolicy(t, "{workloads: Deny}")))
	response := h.admit(t, deployment("", pod("", "audience=")).review())
	const place = "metadata.annotations[oidc-injector.io/audience]"
	want := "spec.template." + place + `: Invalid value: "": the audience must not be empty`
	if response.Result.Message != want || response.Result.Details.Kind != "Deployment" || response.Result.Details.Name != "app" {
		t.Errorf("status %v", response.Result)
	}
	if log := h.log.String(); !strings.Contains(log, "outcome=denied reason=invalid_annotations") ||
		!strings.Contains(log, "kind=Deployment name=app") || !strings.Contains(log, "errors=["+place+"]") {
		t.Errorf("log %s", log)
	}
	if diff := cmp.Diff(map[string]int{"workload/denied/invalid_annotations/default": 1},
		h.counts(t, "oidc_injector_findings_total")); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// An object may come before what it is.
func TestWorkloadAheadOfResource(t *testing.T) {
	t.Parallel()
	body := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"` + uid + `","operation":"UPDATE",` +
		`"oldObject":` + workload(`,"annotations":{"oidc-injector.io/env":"x"}`, "spec.template", pod("")) + `,` +
		`"object":` + workload("", "spec.template", pod("", "audiense=x")) + `,"namespace":"default",` +
		`"resource":{"group":"apps","version":"v1","resource":"deployments"}}}`
	response := newHook(configured(defaultConfig())).admit(t, []byte(body))
	if len(response.Warnings) != 1 || !strings.Contains(response.Warnings[0], "audiense") {
		t.Errorf("warnings %q", response.Warnings)
	}
}
