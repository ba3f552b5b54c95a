package diagnose

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// AsCreated is a pod as it was before the webhook injected it: without volumes and containers
// of ours, what points into them, and the status. A pod that was not injected stays as it is.
// What a login or provider wrote into other variables is left.
func AsCreated(pod *corev1.Pod, prefix annotations.Prefix) *corev1.Pod {
	key := prefix.Key(annotations.Status, "")
	if _, injected := pod.Annotations[key]; !injected {
		return pod
	}
	p, names := pod.DeepCopy(), prefix.Names()
	delete(p.Annotations, key)
	p.Spec.Volumes = slices.DeleteFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return ours(names, v.Name) })
	p.Spec.InitContainers = withoutOurs(p.Spec.InitContainers, names)
	p.Spec.Containers = withoutOurs(p.Spec.Containers, names)
	return p
}

func withoutOurs(containers []corev1.Container, names annotations.Names) []corev1.Container {
	kept := slices.DeleteFunc(containers, func(c corev1.Container) bool { return named(c.Name, names.LoginContainer) })
	for i := range kept {
		c := &kept[i]
		var directories []string
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
			if !ours(names, m.Name) {
				return false
			}
			directories = append(directories, m.MountPath)
			return true
		})
		c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool {
			return slices.ContainsFunc(directories, func(d string) bool { return e.Value == d || strings.HasPrefix(e.Value, d+"/") })
		})
	}
	return kept
}

// ours reports whether a volume has a name that the webhook gives.
func ours(names annotations.Names, volume string) bool {
	return named(volume, names.TokenVolume) || named(volume, names.LoginVolume) // of which the others have the beginning
}

// named reports whether a name is the base, or one that has more behind it.
func named(name, base string) bool { return name == base || strings.HasPrefix(name, base+"-") }
