package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
)

const (
	prefix    = annotations.DefaultPrefix + "/"
	statusKey = prefix + annotations.Status
)

// configured is a configuration with a profile, an image for logins and a policy.
func configured(t testing.TB, more ...string) *config.Config {
	t.Helper()
	text := `apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
profiles: {both: {audience: vault, audience.aws: sts}}
login: {image: login:1}
policy: {audiences: {denied: [forbidden]}, loginAddresses: {allowed: ["*"]}}
` + strings.Join(more, "\n")
	c, err := config.Parse([]byte(text), config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newPod is a pod of a ReplicaSet with the annotations "key=value".
func newPod(name string, pairs ...string) *corev1.Pod {
	controls := true
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "shop", UID: types.UID("uid-" + name), Annotations: map[string]string{"example.com/other": "x"},
			Labels: map[string]string{"app": "web"},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: "example.com/v1", Kind: "Thing", Name: "bystander", UID: "bystander"},
				{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d4f8c", UID: "web", Controller: &controls},
			},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	manager := `{"f:metadata":{"f:annotations":{".":{}`
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		if _, again := pod.Annotations[prefix+key]; again {
			continue
		}
		pod.Annotations[prefix+key] = value
		manager += fmt.Sprintf(`,"f:%s":{}`, prefix+key)
	}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{
		{
			Manager: "kube-controller-manager", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(manager + `}},"f:spec":{"f:containers":{}}}`),
		},
		{Manager: "kubelet", Subresource: "status"},
	}
	return pod
}

// inject does to a pod what the webhook and the API server do.
func inject(t testing.TB, cfg *config.Config, version string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	injected, err := admissiontest.Inject(cfg, version, pod)
	if err != nil {
		t.Fatal(err)
	}
	return injected
}

func parsed(t testing.TB, pod *corev1.Pod) *mutate.Pod {
	t.Helper()
	raw, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	p, err := mutate.ParsePod(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// with changes a copy of a pod.
func with(pod *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod {
	pod = pod.DeepCopy()
	change(pod)
	return pod
}
