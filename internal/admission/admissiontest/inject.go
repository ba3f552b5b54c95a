package admissiontest

import (
	"encoding/json"
	"fmt"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
)

// Inject does to a pod that is created what the webhook and the API server do, and
// leaves the given one as it is. A pod that the webhook denies is an error.
func Inject(cfg *config.Config, version string, pod *corev1.Pod) (*corev1.Pod, error) {
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	view, err := mutate.ParsePod(raw)
	if err != nil {
		return nil, err
	}
	d := admission.Decide(cfg, version, &admission.Request{
		Resource: "pods", Operation: admissionv1.Create, Name: pod.Name, Namespace: pod.Namespace, Pod: view,
	})
	if d.Outcome == admission.Denied {
		return nil, fmt.Errorf("pod %s is denied: %v", pod.Name, d.Errors)
	}
	if len(d.Operations) == 0 {
		return pod, nil
	}
	operations, err := json.Marshal(d.Operations)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(operations)
	if err != nil {
		return nil, err
	}
	if raw, err = patch.Apply(raw); err != nil {
		return nil, err
	}
	var patched corev1.Pod
	return &patched, json.Unmarshal(raw, &patched)
}
