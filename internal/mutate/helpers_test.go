package mutate_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var options = mutate.Options{
	Prefix: annotations.DefaultPrefix, Version: "v0.0.0-test",
	Login: mutate.LoginContainer{
		Image: "oidc-login:test", ImagePullPolicy: corev1.PullIfNotPresent,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("5m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")},
		},
		Env: []corev1.EnvVar{{Name: "HTTPS_PROXY", Value: "http://proxy.example.com:3128"}},
	},
}

var parser = annotations.Parser{
	Prefix:        annotations.DefaultPrefix,
	MaxExpiration: annotations.DefaultMaxExpiration,
	Providers:     provider.BuiltIn(),
	Profiles: map[string]annotations.Preset{
		"vault": {"audience": "vault", "expiration": "2h", "env": "VAULT_JWT_FILE", "skip-containers": "istio-proxy"},
		"vault-login": {
			"audience": "vault", "login": "vault", "login-address": "https://vault.example.com:8200", "login-role": "demo",
			"login-ca-configmap": "vault-ca",
		},
		"clouds": {
			"audience.aws": "sts.amazonaws.com", "env.aws": "AWS_WEB_IDENTITY_TOKEN_FILE",
			"audience.azure": "api://AzureADTokenExchange", "env.azure": "AZURE_FEDERATED_TOKEN_FILE",
		},
	},
}

// outcome is everything that can be said of one pod: a golden file. The pod is the
// patched one; it and the patch are absent where there are errors.
type outcome struct {
	Warnings []string        `json:"warnings"`
	Errors   []string        `json:"errors"`
	Patch    json.RawMessage `json:"patch,omitempty"`
	Pod      json.RawMessage `json:"-"`

	result mutate.Result
}

// create is what happens to a pod that is created.
func create(t *testing.T, raw []byte) outcome {
	t.Helper()
	return createWith(t, raw, options)
}

// createWith is the same with other options.
func createWith(t *testing.T, raw []byte, o mutate.Options) outcome {
	t.Helper()
	return inject(t, raw, func(pod *mutate.Pod, spec annotations.Spec, _ mutate.Options) (mutate.Result, field.ErrorList) {
		return mutate.Patch(pod, spec, o)
	})
}

// debug is what happens to a pod that gets further ephemeral containers.
func debug(t *testing.T, raw, old []byte) outcome {
	t.Helper()
	return inject(t, raw, func(pod *mutate.Pod, spec annotations.Spec, o mutate.Options) (mutate.Result, field.ErrorList) {
		return mutate.PatchEphemeral(pod, parse(t, old), spec, o)
	})
}

func inject(t *testing.T, raw []byte, patch func(*mutate.Pod, annotations.Spec, mutate.Options) (mutate.Result, field.ErrorList)) outcome {
	t.Helper()
	pod := parse(t, raw)
	spec, warnings, errs := parser.Parse(annotations.Input{Annotations: pod.Annotations, OS: pod.OS})
	result, conflicts := patch(pod, spec, options)
	return outcomeOf(t, raw, slices.Concat(warnings, result.Warnings), slices.Concat(errs, conflicts), result)
}

// outcomeOf sums up what was found, and applies the patch to the pod.
func outcomeOf(t *testing.T, raw []byte, warnings finding.Warnings, errs field.ErrorList, result mutate.Result) outcome {
	t.Helper()
	expect(t, "findings without rules", nil, testutil.WithoutRules(warnings, errs))
	o := outcome{Warnings: append([]string{}, warnings.Texts()...), Errors: []string{}, result: result}
	for _, err := range errs {
		o.Errors = append(o.Errors, err.Error())
	}
	if len(o.Errors) > 0 {
		return o
	}
	var err error
	if o.Patch, err = json.Marshal(append([]any{}, operations(result)...)); err != nil {
		t.Fatalf("could not marshal the patch: %v", err)
	}
	o.Pod = apply(t, raw, o.Patch)
	return o
}

func operations(result mutate.Result) []any {
	all := make([]any, 0, len(result.Operations))
	for i := range result.Operations {
		all = append(all, &result.Operations[i])
	}
	return all
}

func parse(t *testing.T, raw []byte) *mutate.Pod {
	t.Helper()
	pod, err := mutate.ParsePod(raw)
	if err != nil {
		t.Fatalf("could not parse %s: %v", raw, err)
	}
	return pod
}

// apply uses an RFC 6902 implementation that is not the one of the patch's type.
func apply(t *testing.T, raw []byte, patch json.RawMessage) json.RawMessage {
	t.Helper()
	p, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		t.Fatalf("could not decode the patch %s: %v", patch, err)
	}
	o := jsonpatch.NewApplyOptions()
	o.EscapeHTML = false
	out, err := p.ApplyWithOptions(raw, o)
	if err != nil {
		t.Fatalf("could not apply %s to %s: %v", patch, raw, err)
	}
	return out
}

// keys are annotations without their prefix.
type keys map[string]string

// and returns them with others, which win.
func (k keys) and(others keys) keys {
	all := maps.Clone(k)
	maps.Copy(all, others)
	return all
}

// pod returns a Pod whose spec is given in YAML, as JSON.
func (k keys) pod(t *testing.T, spec string) []byte {
	t.Helper()
	all := make(map[string]string, len(k))
	for key, value := range k {
		all["oidc-injector.io/"+key] = value
	}
	metadata, err := json.Marshal(map[string]any{"name": "pod", "annotations": all})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":%s,"spec":%s}`, metadata, yamlToJSON(t, spec))
}

// expect compares two lists of texts and takes an empty one for a missing one.
func expect(t *testing.T, what string, want, got []string) {
	t.Helper()
	if len(want)+len(got) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// expectSettled wants a second call to change nothing and to say nothing new.
// Warnings that are about adding are not repeated.
func expectSettled(t *testing.T, first outcome) {
	t.Helper()
	second := create(t, first.Pod)
	if string(second.Patch) != "[]" {
		t.Errorf("the second call patches the pod again: %s", second.Patch)
	}
	expect(t, "errors of the second call", nil, second.Errors)
	for _, warning := range second.Warnings {
		if !slices.Contains(first.Warnings, warning) {
			t.Errorf("the second call has the new warning %s", warning)
		}
	}
}

func yamlToJSON(t *testing.T, text string) string {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("could not read the YAML of the test: %v", err)
	}
	return string(raw)
}
