package admission_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// bound is a configuration that has bindings, and perhaps more, in YAML.
func bound(t testing.TB, bindings string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte("apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\nbindings:\n"+bindings+"\n"),
		config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const reports = `- name: reports
  namespaces: [default]
  serviceAccounts: [reports]
  podLabels: {app: grafana}
  annotations: {audience: vault}
`

// grafana is a pod that nobody has annotated.
const grafana = `{"metadata":{"name":"app","labels":{"app":"grafana"}},"spec":{"serviceAccountName":"reports",` +
	`"containers":[{"name":"app"}]}}`

func TestBoundPod(t *testing.T) {
	t.Parallel()
	h := newHook(configured(bound(t, reports)))
	response := h.admit(t, ask{object: grafana}.review())
	patched := apply(t, grafana, response)
	if want := `\"tokens\":[\"default\"],\"bindings\":[\"reports\"],\"containers\":[\"app\"]`; !strings.Contains(patched, want) {
		t.Errorf("the status does not name the binding: %s", patched)
	}
	want := map[string]string{"token.default": "audience=vault expirationSeconds=3600", "binding.reports": "given"}
	if diff := cmp.Diff(want, response.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
	if again := h.admit(t, ask{object: patched}.review()); again.Patch != nil || !again.Allowed {
		t.Errorf("the patched pod gets %s", again.Patch)
	}
}

func TestBindingLeavesOtherPods(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ from, to, skipped string }{
		"another ServiceAccount": {`"reports"`, `"other"`, "not_requested"},
		"no ServiceAccount":      {`"serviceAccountName":"reports",`, "", "not_requested"},
		"another label":          {"grafana", "loki", "not_requested"},
		"no labels":              {`,"labels":{"app":"grafana"}`, "", "not_requested"},
		"null labels":            {`{"app":"grafana"}`, "null", "not_requested"},
		"labels of another kind": {`{"app":"grafana"}`, `["app"]`, "not_requested"},
		"a number for a label":   {`"grafana"`, "1", "not_requested"},
		"opted out":              {`"labels"`, `"annotations":{"oidc-injector.io/inject":"false"},"labels"`, "opted_out"},
		"static":                 {`"labels"`, `"annotations":{"kubernetes.io/config.mirror":"x"},"labels"`, "unsupported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object := strings.Replace(grafana, test.from, test.to, 1)
			response := newHook(configured(bound(t, reports))).admit(t, ask{object: object}.review())
			if !response.Allowed || response.Patch != nil || response.AuditAnnotations["skipped"] != test.skipped {
				t.Errorf("patch %s, audit annotations %v", response.Patch, response.AuditAnnotations)
			}
		})
	}
	response := newHook(configured(bound(t, reports))).admit(t, ask{object: grafana, namespace: "other"}.review())
	if response.Patch != nil {
		t.Errorf("patch in another namespace: %s", response.Patch)
	}
}

// The ServiceAccount "default" is that of a pod that names none.
func TestBoundDefaultServiceAccount(t *testing.T) {
	t.Parallel()
	h := newHook(configured(bound(t, "- {name: a, namespaces: [default], serviceAccounts: [default], annotations: {audience: vault}}")))
	for _, account := range []string{"", `"serviceAccountName":"default",`, `"serviceAccountName":"",`} {
		object := strings.Replace(grafana, `"serviceAccountName":"reports",`, account, 1)
		if response := h.admit(t, ask{object: object}.review()); response.Patch == nil {
			t.Errorf("no patch with %q", account)
		}
	}
}

// The policy holds for what bindings ask for, and the error leads to the binding.
func TestBindingDeniedByPolicy(t *testing.T) {
	t.Parallel()
	cfg := bound(t, strings.Replace(reports, "[default]", "['*']", 1)+
		"policy: {namespaces: [{namespaces: [default], audiences: {denied: [vault]}}]}")
	response := newHook(configured(cfg)).admit(t, ask{object: grafana}.review())
	const want = `bindings[reports].annotations[audience]: Forbidden: audience "vault": the injector's policy ` +
		`denies this audience in namespace "default"`
	if response.Allowed || response.Result.Message != want {
		t.Errorf("allowed %t: %s", response.Allowed, response.Result.Message)
	}
	audit := map[string]string{"denied": "policy", "binding.reports": "given"}
	if diff := cmp.Diff(audit, response.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
	// What only pods may not choose, the configuration's author may.
	cfg = bound(t, strings.Replace(reports, "audience: vault", "audience: vault, mount-path: /etc/x, env: PYTHONPATH", 1))
	if response := newHook(configured(cfg)).admit(t, ask{object: grafana}.review()); !response.Allowed {
		t.Errorf("denied: %s", response.Result.Message)
	}
}

// Whatever becomes of a pod, the audit log names the bindings that have a part in it.
func TestAuditNamesBindings(t *testing.T) {
	t.Parallel()
	const denies = "policy: {workloads: Deny, audiences: {denied: [mesh]}}"
	mesh := strings.Replace(grafana, `"labels"`, `"annotations":{"oidc-injector.io/audience.mesh":"mesh"},"labels"`, 1)
	own := strings.Replace(grafana, `"labels"`, `"annotations":{"oidc-injector.io/audience":"own"},"labels"`, 1)
	debugged := strings.Replace(mesh, `"containers":`, `"ephemeralContainers":[{"name":"debug"}],"containers":`, 1)
	for name, test := range map[string]struct {
		ask  ask
		want map[string]string
	}{
		"invalid": {
			ask{object: strings.Replace(own, `:"own"`, `:"mesh","oidc-injector.io/env.x":"-"`, 1)},
			map[string]string{"denied": "invalid_annotations"}, // the pod's own audience stands in the binding's place
		},
		"invalid beside the binding": {
			ask{object: strings.Replace(own, `audience":"own"`, `env":"="`, 1)},
			map[string]string{"denied": "invalid_annotations", "binding.reports": "given"},
		},
		"forbidden": {ask{object: mesh}, map[string]string{"denied": "policy", "binding.reports": "given"}},
		"a contradiction": {
			ask{object: strings.Replace(strings.Replace(own, `audience":"own"`, `env":"TOKEN"`, 1), `{"name":"app"}`,
				`{"name":"app","env":[{"name":"TOKEN","value":"x"}]}`, 1)},
			map[string]string{"denied": "conflict", "binding.reports": "given"},
		},
		"a workload": {
			ask{
				group: "apps", resource: "deployments", kind: "Deployment",
				object: `{"metadata":{"name":"app"},"spec":{"template":` + mesh + `}}`,
			},
			map[string]string{"denied": "policy", "binding.reports": "given"},
		},
		"a debug container": {
			ask{operation: "UPDATE", subResource: "ephemeralcontainers", object: debugged, oldObject: mesh},
			map[string]string{"skipped": "debug_skipped", "binding.reports": "given"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := newHook(configured(bound(t, reports+denies))).admit(t, test.ask.review())
			if diff := cmp.Diff(test.want, response.AuditAnnotations); diff != "" {
				t.Errorf("audit annotations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBoundDebugContainer(t *testing.T) {
	t.Parallel()
	h := newHook(configured(bound(t, reports)))
	running := apply(t, grafana, h.admit(t, ask{object: grafana}.review()))
	debugged := strings.Replace(running, `"containers":`,
		`"ephemeralContainers":[{"name":"debug","targetContainerName":"app"}],"containers":`, 1)
	response := h.admit(t, ask{operation: "UPDATE", subResource: "ephemeralcontainers", object: debugged, oldObject: running}.review())
	if patched := apply(t, debugged, response); strings.Count(patched, `"mountPath":"/var/run/secrets/tokens"`) != 2 {
		t.Errorf("the debug container has no token: %s", patched)
	}
}

// The template of a workload is judged with what bindings will add to its pods.
func TestBoundWorkload(t *testing.T) {
	t.Parallel()
	cfg := bound(t, strings.Replace(reports, "audience: vault", "audience: vault, mount-path: /data", 1))
	template := strings.Replace(grafana, `{"name":"app"}`, `{"name":"app","volumeMounts":[{"name":"v","mountPath":"/data/x",`+
		`"subPath":"x"}]}`, 1)
	response := newHook(configured(cfg)).admit(t, ask{
		group: "apps", resource: "deployments", kind: "Deployment",
		object: `{"metadata":{"name":"app"},"spec":{"template":` + template + `}}`,
	}.review())
	if len(response.Warnings) != 1 || !strings.Contains(response.Warnings[0], "which binding reports makes a read-only directory") {
		t.Errorf("warnings %q", response.Warnings)
	}
}

// Templates of custom resources may have labels that no pod can have. They are checked all
// the same, and a label that is one counts.
func TestBindingIgnoresLabelsWithoutText(t *testing.T) {
	t.Parallel()
	h := newHook(configured(bound(t, strings.Replace(reports, "audience: vault", "audience: vault, mount-path: /data", 1))))
	for _, labels := range []string{`{"version":2,"app":"grafana","x":{"y":[null]}}`, `{"app":"graf\u0061na","version":null}`} {
		template := strings.Replace(grafana, `{"app":"grafana"}`, labels, 1)
		template = strings.Replace(template, `{"name":"app"}`,
			`{"name":"app","volumeMounts":[{"name":"v","mountPath":"/data/x","subPath":"x"}]}`, 1)
		response := h.admit(t, ask{
			group: "apps", resource: "deployments", kind: "Deployment",
			object: `{"metadata":{"name":"app"},"spec":{"template":` + template + `}}`,
		}.review())
		if len(response.Warnings) != 1 || !strings.Contains(response.Warnings[0], "binding reports") {
			t.Errorf("labels %s: warnings %q", labels, response.Warnings)
		}
	}
}

// BenchmarkBindings compares pods of a configuration without bindings and one with
// 1,000 bindings and 100 providers, of which one or none is about the pod.
func BenchmarkBindings(b *testing.B) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "- {name: b%d, namespaces: [%q, %q], serviceAccounts: [%q], annotations: {audience: vault}}\n",
			i, fmt.Sprintf("team-%d", i), fmt.Sprintf("team-%d-*", i), fmt.Sprintf("app-%d*", i))
	}
	text.WriteString("- {name: this, namespaces: [default], serviceAccounts: [bound], annotations: {audience: vault}}\nproviders:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "  corp%d: {description: d, audience: a, env: [{name: CORP_%d, value: '${token.path}'}]}\n", i, i)
	}
	many, few := bound(b, text.String()), defaultConfig()
	annotated := admissiontest.Pod(6, map[string]string{"oidc-injector.io/audience": "vault"})
	plain := admissiontest.Pod(6, map[string]string{"example.com/other": "x"})
	byBinding := strings.Replace(plain, `"serviceAccountName":"default"`, `"serviceAccountName":"bound"`, 1)
	for _, run := range []struct {
		name, object string
		cfg          *config.Config
		want         admission.Outcome
	}{
		{"annotated, no bindings", annotated, few, admission.Mutated},
		{"annotated, 1000 bindings", annotated, many, admission.Mutated},
		{"bound, 1000 bindings", byBinding, many, admission.Mutated},
		{"neither, no bindings", plain, few, admission.Unchanged},
		{"neither, 1000 bindings", plain, many, admission.Unchanged},
	} {
		body := admissiontest.Review(string(admissionv1.Create), "", run.object, "null")
		b.Run(run.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q, err := admission.ReadReview(body, podtemplate.BuiltIn)
				if err != nil {
					b.Fatal(err)
				}
				if d := admission.Decide(run.cfg, "v0.0.0", q); d.Outcome != run.want {
					b.Fatal(d.Outcome, d.Reason, d.Errors)
				}
			}
		})
	}
}
