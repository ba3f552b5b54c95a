package shapes

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// added are the names of variables that the variants add.
var added = []string{"JWT_FILE", "VAULT_TOKEN_FILE", "VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT"}

// ours reports whether a volume or a container has a name that we document as ours.
func ours(name string) bool {
	for _, documented := range []string{"oidc-token", loginspec.Container} {
		if name == documented || strings.HasPrefix(name, documented+"-") {
			return true
		}
	}
	return false
}

// normalized is what is stored. The quality of service is compared on its own.
func normalized(pod *corev1.Pod) *corev1.Pod {
	c := podtest.Normalized(pod)
	c.Status = corev1.PodStatus{}
	return c
}

// removeOurs takes away from a pod what we add, unless the other pod has it, too.
func removeOurs(pod, without *corev1.Pod) {
	maps.DeleteFunc(pod.Annotations, func(key, _ string) bool { return strings.HasPrefix(key, podtest.Prefix) })
	pod.Spec.Volumes = remove(pod.Spec.Volumes, without.Spec.Volumes, func(v corev1.Volume) (string, bool) { return v.Name, ours(v.Name) })
	pod.Spec.InitContainers = remove(pod.Spec.InitContainers, without.Spec.InitContainers,
		func(c corev1.Container) (string, bool) { return c.Name, ours(c.Name) })
	if pod.Spec.Resources != nil && without.Spec.Resources != nil {
		// The API server adds up what the containers request, of what the pod as a whole does not.
		maps.DeleteFunc(pod.Spec.Resources.Requests, func(name corev1.ResourceName, _ resource.Quantity) bool {
			_, named := without.Spec.Resources.Requests[name]
			return !named
		})
	}
	removeFromContainers(pod.Spec.InitContainers, without.Spec.InitContainers)
	removeFromContainers(pod.Spec.Containers, without.Spec.Containers)
}

func removeFromContainers(containers, without []corev1.Container) {
	for i := range min(len(containers), len(without)) {
		c, before := &containers[i], &without[i]
		c.VolumeMounts = remove(c.VolumeMounts, before.VolumeMounts,
			func(m corev1.VolumeMount) (string, bool) { return m.MountPath, ours(m.Name) })
		c.Env = remove(c.Env, before.Env, func(e corev1.EnvVar) (string, bool) { return e.Name, slices.Contains(added, e.Name) })
	}
}

// remove takes away the items that are ours and that are not among those before.
func remove[T any](items, before []T, identify func(T) (key string, ours bool)) []T {
	return slices.DeleteFunc(items, func(item T) bool {
		key, ours := identify(item)
		return ours && !slices.ContainsFunc(before, func(b T) bool {
			other, _ := identify(b)
			return other == key
		})
	})
}

func equalQuantities(a, b resource.Quantity) bool { return a.Cmp(b) == 0 }

// emptyIsNil is for lists that were empty before something was added and removed.
func emptyIsNil() cmp.Option { return cmpopts.EquateEmpty() }
