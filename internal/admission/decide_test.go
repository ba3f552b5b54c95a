package admission_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
)

// apply returns an object with a response's patch applied, as an API server
// does it.
func apply(t *testing.T, object string, response *admissionv1.AdmissionResponse) string {
	t.Helper()
	if response.PatchType == nil || *response.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Fatalf("patch type %v", response.PatchType)
	}
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply([]byte(object))
	if err != nil {
		t.Fatal(err)
	}
	return string(patched)
}

func expectJSON(t *testing.T, want, got string) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
}

// An unknown annotation denies the pod where the policy wants that.
func TestDecideDeniesUnknownAnnotations(t *testing.T) {
	t.Parallel()
	object := pod("", "audience=vault", "expiraton=2h")
	if response := newHook(configured(withPolicy(t, "{unknownAnnotations: Warn}"))).admit(t,
		ask{object: object}.review()); !response.Allowed || len(response.Warnings) != 1 {
		t.Errorf("allowed %t, warnings %q", response.Allowed, response.Warnings)
	}
	h := newHook(configured(withPolicy(t, "{unknownAnnotations: Deny}")))
	response := h.admit(t, ask{object: object}.review())
	if response.Allowed || len(response.Warnings) != 0 {
		t.Fatalf("allowed %t, warnings %q", response.Allowed, response.Warnings)
	}
	want := []metav1.StatusCause{{
		Type: "FieldValueForbidden", Field: "metadata.annotations",
		Message: `Forbidden: unknown annotation "oidc-injector.io/expiraton": did you mean oidc-injector.io/expiration?`,
	}}
	if diff := cmp.Diff(want, response.Result.Details.Causes); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"denied": "invalid_annotations"}, response.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
	if response := h.admit(t, ask{object: pod("", "inject=false", "expiraton=2h")}.review()); !response.Allowed {
		t.Error("a pod that opted out is denied")
	}
}

func TestDecideInjectsToken(t *testing.T) {
	t.Parallel()
	h := newHook(configured(defaultConfig()))
	object := pod(`"futureField":[1.50],"containers":[{"name":"app","image":"example/app"}]`, "audience=vault", "env=VAULT_JWT")
	response := h.admit(t, ask{object: object}.review())
	if !response.Allowed || response.Result != nil {
		t.Errorf("allowed %t, result %v", response.Allowed, response.Result)
	}
	expectJSON(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app","annotations":{
		"oidc-injector.io/audience":"vault","oidc-injector.io/env":"VAULT_JWT",
		"oidc-injector.io/status":"{\"version\":\"v1.2.3\",\"tokens\":[\"default\"],\"containers\":[\"app\"]}"}},
		"spec":{"futureField":[1.50],
		"containers":[{"name":"app","image":"example/app",
			"volumeMounts":[{"name":"oidc-token","mountPath":"/var/run/secrets/tokens"}],
			"env":[{"name":"VAULT_JWT","value":"/var/run/secrets/tokens/oidc-token"}]}],
		"volumes":[{"name":"oidc-token","projected":{"sources":[{"serviceAccountToken":{"audience":"vault","expirationSeconds":3600,
		"path":"oidc-token"}}]}}]}}`,
		apply(t, object, response))
	want := map[string]string{"token.default": "audience=vault expirationSeconds=3600"}
	if diff := cmp.Diff(want, response.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}

	again := h.admit(t, ask{object: apply(t, object, response)}.review())
	if len(again.Patch) > 0 || again.PatchType != nil || !again.Allowed {
		t.Errorf("the second call: %s", again.Patch)
	}
	// The API server takes no second value for a key of its audit log.
	if diff := cmp.Diff(want, again.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations of the second call (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"mutated/injected": 1, "unchanged/already_injected": 1}, h.counters(t)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

const debugged = `"containers":[{"name":"app","volumeMounts":[{"name":"oidc-token","mountPath":"/var/run/secrets/tokens"}]}],` +
	`"volumes":[{"name":"oidc-token","projected":{"sources":[{"serviceAccountToken":{"audience":"vault","expirationSeconds":3600,` +
	`"path":"oidc-token"}}],"defaultMode":420}}]`

const debugger = `,"ephemeralContainers":[{"name":"debugger","image":"busybox","targetContainerName":"app"}]`

func TestDecideDebugContainer(t *testing.T) {
	t.Parallel()
	h := newHook(configured(defaultConfig()))
	object := pod(debugged+debugger, "audience=vault")
	response := h.admit(t, ask{
		operation: "UPDATE", subResource: "ephemeralcontainers", object: object,
		oldObject: pod(debugged, "audience=vault"),
	}.review())
	expectJSON(t, pod(debugged+`,"ephemeralContainers":[{"name":"debugger","image":"busybox","targetContainerName":"app",`+
		`"volumeMounts":[{"name":"oidc-token","mountPath":"/var/run/secrets/tokens"}]}]`, "audience=vault"), apply(t, object, response))
	want := map[string]string{"token.default": "audience=vault expirationSeconds=3600"}
	if diff := cmp.Diff(want, response.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
}

// Every request that changes nothing: allowed, without a patch.
func TestDecideUnchanged(t *testing.T) {
	t.Parallel()
	asking := pod("", "audience=vault")
	const twoTokens = `no container of the pod gets token "default"`
	for _, tt := range []struct {
		name     string
		ask      ask
		reason   string
		warnings []string
	}{
		{"no annotations at all", ask{object: `{"spec":{"containers":[{"name":"app"}]}}`}, "not_requested", nil},
		{"null annotations", ask{object: `{"metadata":{"annotations":null},"spec":{"containers":[{"name":"app"}]}}`}, "not_requested", nil},
		{"others' annotations", ask{object: pod("", "example.com/audience=vault")}, "not_requested", nil},
		{
			"a mistyped annotation",
			ask{object: pod("", "audence=vault")},
			"not_requested",
			[]string{`unknown annotation "oidc-injector.io/audence": did you mean oidc-injector.io/audience?`},
		},
		{"opted out", ask{object: pod("", "audience=vault", "inject=false", "expiration=wrong")}, "opted_out", nil},
		{
			"for a container that there is not",
			ask{object: pod("", "audience=vault", "containers=other")},
			"no_container",
			[]string{twoTokens, `oidc-injector.io/containers: the pod has no container "other"`},
		},
		{
			"a mirror pod",
			ask{object: pod("", "audience=vault", "kubernetes.io/config.mirror=x")},
			"unsupported",
			[]string{"a static pod cannot have ServiceAccount tokens: none was injected"},
		},
		{"a mirror pod that asks for nothing", ask{object: pod("", "kubernetes.io/config.mirror=x")}, "not_requested", nil},

		{"a pod's update", ask{operation: "UPDATE", object: asking, oldObject: asking}, "unsupported", nil},
		{"a pod's end", ask{operation: "DELETE", oldObject: asking}, "unsupported", nil},
		{"an operation of the future", ask{operation: "PATCH", object: asking}, "unsupported", nil},
		{"a creation without a pod", ask{object: "null"}, "unsupported", nil},
		{"kubectl exec", ask{
			operation: "CONNECT", subResource: "exec",
			object: `{"kind":"PodExecOptions","apiVersion":"v1","container":"app","command":["sh"]}`,
		}, "unsupported", nil},
		{"an eviction", ask{
			subResource: "eviction",
			object:      `{"kind":"Eviction","apiVersion":"policy/v1","metadata":{"name":"app"},"spec":"x"}`,
		}, "unsupported", nil},
		{"a binding", ask{subResource: "binding", object: `{"kind":"Binding","apiVersion":"v1","metadata":{"annotations":7},` +
			`"target":{"name":"node"}}`}, "unsupported", nil},
		{"a pod's status", ask{operation: "UPDATE", subResource: "status", object: asking, oldObject: asking}, "unsupported", nil},
		{"a pod's size", ask{operation: "UPDATE", subResource: "resize", object: asking, oldObject: asking}, "unsupported", nil},
		{"a creation of ephemeral containers", ask{subResource: "ephemeralcontainers", object: asking}, "unsupported", nil},
		{
			"an update of ephemeral containers without the old pod",
			ask{operation: "UPDATE", subResource: "ephemeralcontainers", object: asking},
			"unsupported", nil,
		},
		{"a deployment's status", ask{
			operation: "UPDATE", group: "apps", resource: "deployments", subResource: "status",
			object: `{"spec":{"template":` + asking + `}}`,
		}, "unsupported", nil},
		{"pods of another group", ask{group: "example.com", object: asking}, "unsupported", nil},
		{"another kind of another shape", ask{
			group: "example.com", resource: "things",
			object: `{"metadata":[],"spec":{"containers":"many","volumes":1}}`,
		}, "unsupported", nil},
		{"another kind that is not even an object", ask{resource: "things", object: `"thing"`}, "unsupported", nil},

		{
			"a debug container for a pod without annotations",
			ask{operation: "UPDATE", subResource: "ephemeralcontainers", object: pod(debugged + debugger), oldObject: pod(debugged)},
			"not_requested", nil,
		},
		{
			"a debug container for a pod that opted out",
			ask{
				operation: "UPDATE", subResource: "ephemeralcontainers",
				object: pod(debugged+debugger, "audience=vault", "inject=false"), oldObject: pod(debugged),
			},
			"opted_out", nil,
		},
		{
			"a debug container where the annotations are broken",
			ask{
				operation: "UPDATE", subResource: "ephemeralcontainers",
				object:    pod(debugged+debugger, "audience=vault", "expiration=soon"),
				oldObject: pod(debugged, "audience=vault", "expiration=soon"),
			},
			"debug_skipped",
			[]string{`no token for the debug container: metadata.annotations[oidc-injector.io/expiration]: Invalid value: "soon": ` +
				`must be whole seconds (7200) or a Go duration (2h), from 600 to 86400 seconds`},
		},
		{
			"a debug container where the policy has changed since",
			ask{
				operation: "UPDATE", subResource: "ephemeralcontainers", namespace: "prod",
				object: pod(debugged+debugger, "audience=https://kubernetes"), oldObject: pod(debugged, "audience=https://kubernetes"),
			},
			"debug_skipped",
			[]string{`no token for the debug container: metadata.annotations[oidc-injector.io/audience]: Forbidden: audience ` +
				`"https://kubernetes": ` +
				`this is an audience of the API server itself, which the injector's policy does not allow by name`},
		},
		{
			"a debug container where the pod has no volume for it",
			ask{
				operation: "UPDATE", subResource: "ephemeralcontainers",
				object:    pod(`"containers":[{"name":"app"}]`+debugger, "audience=vault"),
				oldObject: pod(`"containers":[{"name":"app"}]`, "audience=vault"),
			},
			"debug_skipped",
			[]string{`debug container "debugger" gets no token: the pod was created without a volume for it, and the volumes of a ` +
				`running pod cannot change`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHook(configured(defaultConfig()))
			response := h.admit(t, tt.ask.review())
			if tt.ask.subResource == "" && tt.reason != "unsupported" {
				expectRecord(t, response, tt.warnings)
				response.Patch, response.PatchType = nil, nil
			}
			want := &admissionv1.AdmissionResponse{
				UID: uid, Allowed: true, Warnings: tt.warnings,
				AuditAnnotations: map[string]string{"skipped": tt.reason},
			}
			if diff := cmp.Diff(want, response); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int{"unchanged/" + tt.reason: 1}, h.counters(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// expectRecord expects nothing but a status with the warnings, if there are any.
func expectRecord(t *testing.T, response *admissionv1.AdmissionResponse, warnings []string) {
	t.Helper()
	if len(warnings) == 0 {
		if response.Patch != nil {
			t.Errorf("patch %s", response.Patch)
		}
		return
	}
	var patch []struct{ Path, Value string }
	var status mutate.Status
	if err := json.Unmarshal(response.Patch, &patch); err != nil || len(patch) != 1 ||
		patch[0].Path != "/metadata/annotations/oidc-injector.io~1status" {
		t.Fatalf("patch %s, %v", response.Patch, err)
	}
	decode(t, []byte(patch[0].Value), &status)
	want := mutate.Status{Version: "v1.2.3", Tokens: []string{}, Containers: []string{}, Warnings: warnings}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestDecideDryRun(t *testing.T) {
	t.Parallel()
	for name, object := range map[string]string{
		"injected": pod("", "audience=vault"), "denied": pod("", "audience="), "not requested": pod(""),
	} {
		h := newHook(configured(defaultConfig()))
		live, dry := h.admit(t, ask{object: object}.review()), h.admit(t, ask{object: object, dryRun: true}.review())
		if diff := cmp.Diff(live, dry); diff != "" {
			t.Errorf("%s: responses (-live +dry):\n%s", name, diff)
		}
		if !strings.Contains(h.log.String(), "dryRun=true") {
			t.Errorf("%s: the log does not tell a dry run:\n%s", name, h.log)
		}
	}
}

func TestDenialHasAllErrors(t *testing.T) {
	t.Parallel()
	const (
		mount = `"containers":[{"name":"app","env":[{"name":"TOKEN","value":"mine"}]}]`
		seven = `must be whole seconds (7200) or a Go duration (2h), from 600 to 86400 seconds`
	)
	for _, tt := range []struct {
		name     string
		policy   string
		ask      ask
		reason   string
		causes   []metav1.StatusCause
		message  string
		warnings []string
	}{
		{
			name: "annotations", policy: "{}", reason: "invalid_annotations",
			ask: ask{object: pod(mount, "audience=", "expiration=5", "audence=x")},
			causes: []metav1.StatusCause{
				{
					Type: "FieldValueInvalid", Field: "metadata.annotations[oidc-injector.io/audience]",
					Message: `Invalid value: "": the audience must not be empty`,
				},
				{
					Type: "FieldValueInvalid", Field: "metadata.annotations[oidc-injector.io/expiration]",
					Message: `Invalid value: "5": ` + seven,
				},
			},
			message: `[metadata.annotations[oidc-injector.io/audience]: Invalid value: "": the audience must not be empty, ` +
				`metadata.annotations[oidc-injector.io/expiration]: Invalid value: "5": ` + seven + `]`,
			warnings: []string{`unknown annotation "oidc-injector.io/audence": did you mean oidc-injector.io/audience?`},
		},
		{
			name: "policy", policy: "{audiences: {allowed: [vault]}}", reason: "policy",
			ask: ask{object: pod("", "audience=aws", "audience.k8s=https://kubernetes"), namespace: "prod"},
			causes: []metav1.StatusCause{
				{
					Type: "FieldValueForbidden", Field: "metadata.annotations[oidc-injector.io/audience]",
					Message: `Forbidden: audience "aws": the injector's policy allows in namespace "prod": vault`,
				},
				{
					Type: "FieldValueForbidden", Field: "metadata.annotations[oidc-injector.io/audience.k8s]",
					Message: `Forbidden: audience "https://kubernetes": this is an audience of the API server itself, which the ` +
						`injector's policy does not allow by name`,
				},
			},
			message: `[metadata.annotations[oidc-injector.io/audience]: Forbidden: audience "aws": the injector's policy allows in ` +
				`namespace "prod": vault, ` +
				`metadata.annotations[oidc-injector.io/audience.k8s]: Forbidden: audience "https://kubernetes": this is an audience of ` +
				`the API server itself, which the injector's policy does not allow by name]`,
		},
		{
			name: "a variable and a directory", policy: "{}", reason: "policy",
			ask: ask{object: pod("", "audience=vault", "env=PATH", "mount-path=/usr/lib/app", "audience.b=b", "env.b=TOKEN_FILE",
				"mount-path.b=/run/b"), namespace: "prod"},
			causes: []metav1.StatusCause{
				{
					Type: "FieldValueForbidden", Field: "metadata.annotations[oidc-injector.io/env]",
					Message: `Forbidden: variable "PATH": PATH concerns where a program finds its files: the injector's policy does not ` +
						`allow this variable by name`,
				},
				{
					Type: "FieldValueForbidden", Field: "metadata.annotations[oidc-injector.io/mount-path]",
					Message: `Forbidden: mount path "/usr/lib/app": the injector's policy allows in namespace "prod": /var/run, /run, ` +
						`/mnt, /var/secrets, /secrets, /vault`,
				},
			},
			message: `[metadata.annotations[oidc-injector.io/env]: Forbidden: variable "PATH": PATH concerns where a program finds its ` +
				`files: the injector's policy does not allow this variable by name, ` +
				`metadata.annotations[oidc-injector.io/mount-path]: Forbidden: mount path "/usr/lib/app": the injector's policy allows ` +
				`in namespace "prod": /var/run, /run, /mnt, /var/secrets, /secrets, /vault]`,
		},
		{
			name: "a directory of Windows", policy: `{mountPaths: {allowed: ['D:\tokens']}}`, reason: "policy",
			ask: ask{object: pod(`"os":{"name":"windows"},"containers":[{"name":"app"}]`, "audience=vault", `mount-path=C:\tokens`,
				"audience.b=b", `mount-path.b=d:\Tokens\b`)},
			causes: []metav1.StatusCause{{
				Type: "FieldValueForbidden", Field: "metadata.annotations[oidc-injector.io/mount-path]",
				Message: `Forbidden: mount path "C:\\tokens": the injector's policy allows in namespace "default": D:\tokens`,
			}},
			message: `metadata.annotations[oidc-injector.io/mount-path]: Forbidden: mount path "C:\\tokens": the injector's policy ` +
				`allows in namespace "default": D:\tokens`,
		},
		{
			name: "what is invalid is not judged, too", policy: "{audiences: {allowed: [vault]}}", reason: "invalid_annotations",
			ask: ask{object: pod("", "audience=", "mount-path=tokens")},
			causes: []metav1.StatusCause{
				{
					Type: "FieldValueInvalid", Field: "metadata.annotations[oidc-injector.io/audience]",
					Message: `Invalid value: "": the audience must not be empty`,
				},
				{
					Type: "FieldValueInvalid", Field: "metadata.annotations[oidc-injector.io/mount-path]",
					Message: `Invalid value: "tokens": must be an absolute path, such as /var/run/secrets/tokens`,
				},
			},
			message: `[metadata.annotations[oidc-injector.io/audience]: Invalid value: "": the audience must not be empty, ` +
				`metadata.annotations[oidc-injector.io/mount-path]: Invalid value: "tokens": must be an absolute path, such as ` +
				`/var/run/secrets/tokens]`,
		},
		{
			name: "what the pod says itself", policy: "{}", reason: "conflict",
			ask: ask{object: pod(mount, "audience=vault", "env=TOKEN")},
			causes: []metav1.StatusCause{{
				Type: "FieldValueInvalid", Field: "spec.containers[0].env[0].name",
				Message: `Invalid value: "TOKEN": container "app" sets this variable itself, and annotation oidc-injector.io/env wants ` +
					`it to be /var/run/secrets/tokens/oidc-token: remove one of them`,
			}},
			message: `spec.containers[0].env[0].name: Invalid value: "TOKEN": container "app" sets this variable itself, and annotation ` +
				`oidc-injector.io/env wants it to be /var/run/secrets/tokens/oidc-token: remove one of them`,
		},
		{
			name: "all of it", policy: "{audiences: {denied: [aws]}}", reason: "invalid_annotations",
			ask: ask{object: pod(mount, "audience=aws", "env=TOKEN", "expiration=5")},
			causes: []metav1.StatusCause{
				{
					Type: "FieldValueInvalid", Field: "metadata.annotations[oidc-injector.io/expiration]",
					Message: `Invalid value: "5": ` + seven,
				},
				{
					Type: "FieldValueForbidden", Field: "metadata.annotations[oidc-injector.io/audience]",
					Message: `Forbidden: audience "aws": the injector's policy denies this audience in namespace "default"`,
				},
				{
					Type: "FieldValueInvalid", Field: "spec.containers[0].env[0].name",
					Message: `Invalid value: "TOKEN": container "app" sets this variable itself, and annotation oidc-injector.io/env ` +
						`wants it to be /var/run/secrets/tokens/oidc-token: remove one of them`,
				},
			},
			message: `[metadata.annotations[oidc-injector.io/expiration]: Invalid value: "5": ` + seven + `, ` +
				`metadata.annotations[oidc-injector.io/audience]: Forbidden: audience "aws": the injector's policy denies this audience ` +
				`in namespace "default", ` +
				`spec.containers[0].env[0].name: Invalid value: "TOKEN": container "app" sets this variable itself, and annotation ` +
				`oidc-injector.io/env wants it to be /var/run/secrets/tokens/oidc-token: remove one of them]`,
		},
		{
			name: "a debug container that uses the path for another thing", policy: "{}", reason: "conflict",
			ask: ask{
				operation: "UPDATE", subResource: "ephemeralcontainers", oldObject: pod(debugged, "audience=vault"),
				object: pod(strings.Replace(debugged, `"volumes":[`, `"volumes":[{"name":"other","emptyDir":{}},`, 1)+
					`,"ephemeralContainers":[{"name":"debugger","volumeMounts":[{"name":"other","mountPath":"/var/run/secrets/tokens"}]}]`,
					"audience=vault"),
			},
			causes: []metav1.StatusCause{{
				Type: "FieldValueInvalid", Field: "spec.ephemeralContainers[0].volumeMounts[0].mountPath",
				Message: `Invalid value: "/var/run/secrets/tokens": container "debugger" already mounts volume "other" here, but ` +
					`annotation oidc-injector.io/audience wants token "default" (oidc-token with audience "vault" for 3600 s) here: ` +
					`choose another oidc-injector.io/mount-path, or leave the container out with oidc-injector.io/containers or ` +
					`oidc-injector.io/skip-containers`,
			}},
			message: `spec.ephemeralContainers[0].volumeMounts[0].mountPath: Invalid value: "/var/run/secrets/tokens": container ` +
				`"debugger" already mounts volume "other" here, but annotation oidc-injector.io/audience wants token "default" ` +
				`(oidc-token with audience "vault" for 3600 s) here: choose another oidc-injector.io/mount-path, or leave the container ` +
				`out with oidc-injector.io/containers or oidc-injector.io/skip-containers`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHook(configured(withPolicy(t, tt.policy)))
			want := &admissionv1.AdmissionResponse{
				UID: uid, Warnings: tt.warnings,
				AuditAnnotations: map[string]string{"denied": tt.reason},
				Result: &metav1.Status{
					Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
					Message: tt.message,
					Details: &metav1.StatusDetails{Name: "app", Kind: "Pod", Causes: tt.causes},
				},
			}
			if diff := cmp.Diff(want, h.admit(t, tt.ask.review())); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int{"denied/" + tt.reason: 1}, h.counters(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// TestConfiguredVariablesAndPathsAreNotJudged: only the
// pod's own are judged.
func TestConfiguredVariablesAndPathsAreNotJudged(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse([]byte(`apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
defaults: {mount-path: /opt/tokens, login-mount-path: /opt/login}
profiles:
  kube: {audience: vault, env: KUBECONFIG, mount-path: /app/kube}
  vault: {audience: vault, login: vault, login-address: "https://vault.example.com", login-env: GIT_TOKEN_HOME,
    login-mount-path: /app/vault}
login: {image: "oidc-login:1"}
policy: {loginAddresses: {allowed: ["*"]}}
`), config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	h := newHook(configured(cfg))
	for name, tt := range map[string]struct {
		annotated []string
		denied    []string
	}{
		"defaults":                  {annotated: append([]string{"login-role=a"}, vaultLogin...)},
		"a profile of a token":      {annotated: []string{"profile=kube"}},
		"a profile of a login":      {annotated: []string{"profile=vault"}},
		"a profile for one token":   {annotated: []string{"profile.x=kube"}},
		"the same, by the pod":      {[]string{"audience=vault", "env=KUBECONFIG", "mount-path=/app/kube"}, []string{"env", "mount-path"}},
		"the default, by the pod":   {[]string{"audience=vault", "mount-path=/opt/tokens"}, []string{"mount-path"}},
		"over a profile of a token": {[]string{"profile=kube", "env=HOME"}, []string{"env"}},
		"over a profile of a login": {
			[]string{"profile=vault", "login-mount-path=/usr/lib/x", "login-env=BASH_ENV"},
			[]string{"login-env", "login-mount-path"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := h.admit(t, ask{object: pod("", tt.annotated...)}.review())
			var denied []string
			if response.Result != nil {
				for _, cause := range response.Result.Details.Causes {
					key := strings.TrimSuffix(strings.TrimPrefix(cause.Field, "metadata.annotations[oidc-injector.io/"), "]")
					denied = append(denied, key)
				}
			}
			slices.Sort(denied)
			if diff := cmp.Diff(tt.denied, denied); diff != "" {
				t.Errorf("denied (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideByCurrentConfiguration(t *testing.T) {
	t.Parallel()
	cfg := withPolicy(t, "{audiences: {allowed: [vault]}}")
	h := newHook(func() *config.Config { return cfg })
	body := review("CREATE", "", pod("", "audience=aws"), "null")
	if h.admit(t, body).Allowed {
		t.Error("allowed by the first configuration")
	}
	cfg = withPolicy(t, "{audiences: {allowed: [aws]}}")
	if !h.admit(t, body).Allowed {
		t.Error("denied by the second configuration")
	}
}

// The API server cuts warnings off beyond 4096 bytes in total.
func TestWarningsAreBounded(t *testing.T) {
	t.Parallel()
	annotated := make([]string, 0, 40)
	for i := range 40 {
		annotated = append(annotated, "x"+strings.Repeat("y", 60)+string(rune('a'+i%26))+string(rune('a'+i/26))+"=z")
	}
	long := strings.Repeat("ä", 2000) // as a name that no container has
	response := newHook(configured(defaultConfig())).admit(t,
		review("CREATE", "", pod(`"securityContext":{"runAsUser":1000},"containers":[{"name":"`+long+`"}]`,
			append(annotated, "audience=vault", "mount-path=/mnt/tokens", "file-mode=0400")...), "null"))
	total := 0
	for _, w := range response.Warnings {
		total += len(w)
		if len(w) > 512+len("…") {
			t.Errorf("a warning of %d bytes", len(w))
		}
	}
	if total > 4096 || len(response.Warnings) == 0 {
		t.Errorf("%d warnings of %d bytes in total", len(response.Warnings), total)
	}
}

// A pod can be wrong in more ways than anybody reads, and joining all of them
// would keep the webhook busy for minutes.
func TestDenialHasAtMostHundredErrors(t *testing.T) {
	t.Parallel()
	object := pod(`"containers":[`+strings.TrimSuffix(strings.Repeat(`{"name":"app","env":[{"name":"TOKEN"}]},`, 900), ",")+`]`,
		"audience=vault", "env=TOKEN")
	h := newHook(configured(defaultConfig()))
	result := h.admit(t, ask{object: object}.review()).Result
	if n := len(result.Details.Causes); n != 100 {
		t.Errorf("%d causes", n)
	}
	if end := "remove one of them] and more"; !strings.HasSuffix(result.Message, end) {
		t.Errorf("the message of %d bytes does not end in %q", len(result.Message), end)
	}
	if n := strings.Count(h.log.String(), "].env[0].name"); n != 100 {
		t.Errorf("the log has %d places", n)
	}
}
