package podtest

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// generated begins the name of the volume with the API server's own token, which has an end
// at random.
const generated = "kube-api-access-"

// Normalized is what is stored, without what the API server makes anew for each object. Its
// own mount is the first one of each container: where a policy adds a container, it may come
// before ours, or after it.
func Normalized(pod *corev1.Pod) *corev1.Pod {
	c := pod.DeepCopy()
	c.UID, c.CreationTimestamp, c.ManagedFields = "", metav1.Time{}, nil
	for i := range c.Spec.Volumes {
		if strings.HasPrefix(c.Spec.Volumes[i].Name, generated) {
			c.Spec.Volumes[i].Name = generated
		}
	}
	for _, containers := range [][]corev1.Container{c.Spec.InitContainers, c.Spec.Containers} {
		for i := range containers {
			mounts := containers[i].VolumeMounts
			own := func(m corev1.VolumeMount) bool { return strings.HasPrefix(m.Name, generated) }
			if at := slices.IndexFunc(mounts, own); at >= 0 {
				m := mounts[at]
				m.Name = generated
				containers[i].VolumeMounts = slices.Insert(slices.Delete(mounts, at, at+1), 0, m)
			}
		}
	}
	return c
}

// WithoutWarnings takes the warnings out of the status annotation, and the annotation away
// where it was there for them alone: policies have no warnings there.
func WithoutWarnings(pod *corev1.Pod) *corev1.Pod {
	const key = Prefix + "status"
	text, found := pod.Annotations[key]
	if start := strings.Index(text, `,"warnings":`); start >= 0 {
		text = text[:start] + "}"
	}
	switch {
	case !found:
	case strings.HasSuffix(text, `"tokens":[],"containers":[]}`):
		delete(pod.Annotations, key)
	default:
		pod.Annotations[key] = text
	}
	return pod
}
