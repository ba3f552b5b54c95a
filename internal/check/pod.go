package check

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// What the pod asks for. It says all of it, so that no default of the
// configuration has a part in it; the expiration is the shortest that there is,
// so that none forbids it.
const (
	directory  = "/var/run/secrets/oidc-injector-check"
	file       = "token"
	variable   = "OIDC_TOKEN_FILE"
	expiration = int64(600)

	initContainer = "init"
	container     = "app"
)

var errNotCalled = errors.New("the webhook was not called")

// pod is an annotated pod that passes Pod Security "restricted", names no user,
// which OpenShift wants to choose, and asks a quota for next to nothing.
func (o *Options) pod() *corev1.Pod {
	prefix := annotations.Prefix(o.AnnotationPrefix)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "oidc-injector-check-", Labels: o.PodLabels,
			Annotations: map[string]string{
				prefix.Key(annotations.Audience, ""):   o.Audience,
				prefix.Key(annotations.Expiration, ""): strconv.FormatInt(expiration, 10),
				prefix.Key(annotations.MountPath, ""):  directory,
				prefix.Key(annotations.TokenFile, ""):  file,
				prefix.Key(annotations.Env, ""):        variable,
				prefix.Key(annotations.Containers, ""): initContainer + "," + container,
			},
		},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{o.newContainer(initContainer)}, Containers: []corev1.Container{o.newContainer(container)},
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		},
	}
}

func (o *Options) newContainer(name string) corev1.Container {
	least := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("1Mi")}
	return corev1.Container{
		Name: name, Image: o.Image, Resources: corev1.ResourceRequirements{Requests: least, Limits: least},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// judge says everything that the pod lacks.
func (o *Options) judge(pod *corev1.Pod) error {
	status := annotations.Prefix(o.AnnotationPrefix).Key(annotations.Status, "")
	if pod.Annotations[status] == "" {
		return o.notCalled(o.Namespace)
	}
	var errs []error
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) // some of other webhooks, or of a login
	for _, name := range []string{initContainer, container} {
		i := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == name })
		if i < 0 {
			errs = append(errs, fmt.Errorf("container %q is gone", name))
			continue
		}
		errs = append(errs, o.judgeContainer(pod, &all[i]))
	}
	return errors.Join(errs...)
}

// notCalled is the error for a pod without the webhook's status.
func (o *Options) notCalled(namespace string) error {
	return fmt.Errorf("%w: an annotated pod of namespace %q came back without annotation %s. Either the MutatingWebhookConfiguration "+
		"leaves out that namespace or the pod, or no webhook could be reached and its failurePolicy is Ignore",
		errNotCalled, namespace, annotations.Prefix(o.AnnotationPrefix).Key(annotations.Status, ""))
}

func (o *Options) judgeContainer(pod *corev1.Pod, c *corev1.Container) error {
	volume := volumeAt(pod, c, directory)
	if volume == nil {
		return fmt.Errorf("container %q: no volume is mounted at %s", c.Name, directory)
	}
	var errs []error
	if token := tokenOf(volume); token == nil {
		errs = append(errs, fmt.Errorf("container %q: volume %q has no token %s", c.Name, volume.Name, file))
	} else if seconds := token.ExpirationSeconds; token.Audience != o.Audience || seconds == nil || *seconds != expiration {
		errs = append(errs, fmt.Errorf("container %q: the token in volume %q is another one than the annotations ask for", c.Name,
			volume.Name))
	}
	if want := (corev1.EnvVar{Name: variable, Value: directory + "/" + file}); !slices.Contains(c.Env, want) {
		errs = append(errs, fmt.Errorf("container %q: variable %s is not %s", c.Name, want.Name, want.Value))
	}
	return errors.Join(errs...)
}

// volumeAt is the volume that a container mounts at a directory, or nil.
func volumeAt(pod *corev1.Pod, c *corev1.Container, directory string) *corev1.Volume {
	for _, mount := range c.VolumeMounts {
		if mount.MountPath != directory {
			continue
		}
		for i := range pod.Spec.Volumes {
			if pod.Spec.Volumes[i].Name == mount.Name {
				return &pod.Spec.Volumes[i]
			}
		}
	}
	return nil
}

// tokenOf is the token in a volume that has the file's name, or nil.
func tokenOf(volume *corev1.Volume) *corev1.ServiceAccountTokenProjection {
	if volume.Projected == nil {
		return nil
	}
	for _, source := range volume.Projected.Sources {
		if token := source.ServiceAccountToken; token != nil && token.Path == file {
			return token
		}
	}
	return nil
}
