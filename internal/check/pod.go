package check

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/diagnose"
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

// DefaultAudience is what the pod asks for unless somebody says another one.
const DefaultAudience = "oidc-injector-check"

// Probe is the pod that is tried.
type Probe struct {
	// Namespace is where it is tried; empty for Likely if that is served, or else for the first
	// one that is.
	Namespace, Likely string
	Audience          string
	// Labels are for an objectSelector that the webhook may have; its matchLabels are added,
	// where they can be read. Image is for other webhooks that look at it.
	Labels map[string]string
	Image  string
}

// try has the pod admitted.
func (p *Probe) try(ctx context.Context, r *Reader, s *diagnose.CheckSnapshot) *diagnose.DryRun {
	pod := p.pod(s.Webhook.Prefix)
	pod.Namespace = s.Tried
	pod.Labels = labels.Merge(s.Webhook.PodLabels(), pod.Labels)
	after, answer := r.Admit(ctx, pod, s.Webhook.Prefix)
	if answer.Injected {
		answer.Lacks = p.lacks(after)
	}
	return answer
}

// pod is an annotated pod that passes Pod Security "restricted", names no user,
// which OpenShift wants to choose, and asks a quota for next to nothing.
func (p *Probe) pod(prefix annotations.Prefix) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "oidc-injector-check-", Labels: p.Labels,
			Annotations: map[string]string{
				prefix.Key(annotations.Audience, ""):   p.Audience,
				prefix.Key(annotations.Expiration, ""): strconv.FormatInt(expiration, 10),
				prefix.Key(annotations.MountPath, ""):  directory,
				prefix.Key(annotations.TokenFile, ""):  file,
				prefix.Key(annotations.Env, ""):        variable,
				prefix.Key(annotations.Containers, ""): initContainer + "," + container,
			},
		},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{p.newContainer(initContainer)}, Containers: []corev1.Container{p.newContainer(container)},
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		},
	}
}

func (p *Probe) newContainer(name string) corev1.Container {
	least := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("1Mi")}
	return corev1.Container{
		Name: name, Image: p.Image, Resources: corev1.ResourceRequirements{Requests: least, Limits: least},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// lacks says everything that the pod has not, of what it asked for.
func (p *Probe) lacks(pod *corev1.Pod) []string {
	var lacks []string
	all := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) // some of other webhooks, or of a login
	for _, name := range []string{initContainer, container} {
		i := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == name })
		if i < 0 {
			lacks = append(lacks, fmt.Sprintf("container %q is gone", name))
			continue
		}
		lacks = append(lacks, p.lacksInside(pod, &all[i])...)
	}
	return lacks
}

func (p *Probe) lacksInside(pod *corev1.Pod, c *corev1.Container) []string {
	volume := volumeAt(pod, c, directory)
	if volume == nil {
		return []string{fmt.Sprintf("container %q: no volume is mounted at %s", c.Name, directory)}
	}
	var lacks []string
	if token := tokenOf(volume); token == nil {
		lacks = append(lacks, fmt.Sprintf("container %q: volume %q has no token %s", c.Name, volume.Name, file))
	} else if seconds := token.ExpirationSeconds; token.Audience != p.Audience || seconds == nil || *seconds != expiration {
		lacks = append(lacks, fmt.Sprintf("container %q: the token in volume %q is another one than the annotations ask for", c.Name,
			volume.Name))
	}
	if want := (corev1.EnvVar{Name: variable, Value: directory + "/" + file}); !slices.Contains(c.Env, want) {
		lacks = append(lacks, fmt.Sprintf("container %q: variable %s is not %s", c.Name, want.Name, want.Value))
	}
	return lacks
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
