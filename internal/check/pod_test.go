package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

const prefix = annotations.Prefix("tokens.example.com")

var options = Options{
	Namespace: "shop", AnnotationPrefix: string(prefix), Audience: "vault", PodLabels: map[string]string{"a": "b"}, Image: "app",
}

var probe = options.probe()

// injected is the check's pod after the webhook, with a configuration that has a
// default for everything that can have one.
func injected(t *testing.T) *corev1.Pod {
	t.Helper()
	cfg, err := config.Parse([]byte(`{apiVersion: config.oidc-injector.io/v1alpha1, kind: InjectorConfig, maxExpiration: 10m, `+
		`defaults: {expiration: 10m, token-file: other, mount-path: /other, skip-containers: app, file-mode: "0440"}}`),
		config.Environment{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := admissiontest.Inject(cfg, "v1", probe.pod(prefix))
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestInjectedPod(t *testing.T) {
	t.Parallel()
	if lacks := probe.lacks(injected(t)); lacks != nil {
		t.Error(lacks)
	}
}

// A container that others add is none of ours.
func TestOtherContainers(t *testing.T) {
	t.Parallel()
	pod := injected(t)
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "proxy"})
	if lacks := probe.lacks(pod); lacks != nil {
		t.Error(lacks)
	}
}

func TestMissingParts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		breakIt func(*corev1.Pod)
		want    string
	}{
		"mounts": {
			func(pod *corev1.Pod) {
				pod.Spec.InitContainers[0].VolumeMounts, pod.Spec.Containers[0].VolumeMounts = nil, nil
			},
			"container \"init\": no volume is mounted at /var/run/secrets/oidc-injector-check\n" +
				`container "app": no volume is mounted at /var/run/secrets/oidc-injector-check`,
		},
		"a volume": {
			func(pod *corev1.Pod) { pod.Spec.Volumes = nil },
			"container \"init\": no volume is mounted at /var/run/secrets/oidc-injector-check\n" +
				`container "app": no volume is mounted at /var/run/secrets/oidc-injector-check`,
		},
		"a container": {
			func(pod *corev1.Pod) { pod.Spec.InitContainers = nil; pod.Spec.Containers[0].Name = "renamed" },
			"container \"init\" is gone\ncontainer \"app\" is gone",
		},
		"a token, and a variable": {
			func(pod *corev1.Pod) {
				pod.Spec.Volumes[0] = corev1.Volume{Name: pod.Spec.Volumes[0].Name}
				pod.Spec.Containers[0].Env[0].Value = "/elsewhere"
			},
			"container \"init\": volume \"VOLUME\" has no token token\n" +
				"container \"app\": volume \"VOLUME\" has no token token\n" +
				`container "app": variable OIDC_TOKEN_FILE is not /var/run/secrets/oidc-injector-check/token`,
		},
		"the audience": {
			func(pod *corev1.Pod) {
				pod.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.Audience = "other"
			},
			"container \"init\": the token in volume \"VOLUME\" is another one than the annotations ask for\n" +
				`container "app": the token in volume "VOLUME" is another one than the annotations ask for`,
		},
		"the expiration": {
			func(pod *corev1.Pod) {
				pod.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds = new(int64(3600))
			},
			"container \"init\": the token in volume \"VOLUME\" is another one than the annotations ask for\n" +
				`container "app": the token in volume "VOLUME" is another one than the annotations ask for`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := injected(t)
			volume := pod.Spec.Volumes[0].Name
			tt.breakIt(pod)
			if diff := cmp.Diff(strings.ReplaceAll(tt.want, "VOLUME", volume), strings.Join(probe.lacks(pod), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
