package node

import (
	"path"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

const (
	tokenDir = "/var/run/secrets/tokens"
	// linkedImage is the toolbox in an image in which /var/run is a link to /run, as in
	// most images.
	linkedImage = "linked:1.0"
	// mountsNamespace has the Secret and the ConfigMap of the mounts.
	mountsNamespace = "mounts"
)

func mountAt(volume, path string) corev1.VolumeMount {
	return corev1.VolumeMount{Name: volume, MountPath: path}
}

func secretVolume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secretName}}}
}

func tokenVolume(name, audience, file string) corev1.Volume {
	token := &corev1.ServiceAccountTokenProjection{Audience: audience, Path: file}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: token}}},
	}}
}

// secretName is a Secret with the key "key", and a ConfigMap of the same name and key.
const secretName, secretValue = "of-the-author", "of the author"

// inMounts returns the node as seen from the namespace of these tests, which has that
// Secret and that ConfigMap.
func (n *node) inMounts(t *testing.T) *node {
	t.Helper()
	n = n.in(t, mountsNamespace, nil)
	meta, data := metav1.ObjectMeta{Name: secretName}, map[string]string{"key": secretValue}
	if _, err := n.kube.Client().CoreV1().Secrets(n.ns).Create(t.Context(), &corev1.Secret{ObjectMeta: meta, StringData: data},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.kube.Client().CoreV1().ConfigMaps(n.ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: meta, Data: data},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return n
}

// testMounts runs pods whose authors have mounts of their own in, around and at our
// directories.
func (n *node) testMounts(t *testing.T) {
	t.Parallel()
	n = n.inMounts(t)
	t.Run("inside one another", n.testNested)
	t.Run("sub path", n.testSubPathInside)
	t.Run("mesh", n.testMesh)
	t.Run("two names", n.testTwoNames)
	t.Run("termination message", n.testTerminationMessage)
	t.Run("guaranteed", n.testGuaranteed)
}

// warned creates a pod and returns the warnings that its author gets.
func (n *node) warned(t *testing.T, pod *corev1.Pod) []string {
	t.Helper()
	client, warnings := podtest.ClientWithWarnings(t, n.kube)
	if _, err := client.CoreV1().Pods(n.ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.story(pod.Name))
		}
		n.delete(t, pod.Name, 0)
	})
	return warnings.Texts()
}

// newNested is a pod with our directory inside a ConfigMap's, and a Secret, an emptyDir
// and a second token inside our directory.
func newNested(name string) *corev1.Pod {
	app := container("app")
	app.VolumeMounts = []corev1.VolumeMount{
		mountAt("around", path.Dir(tokenDir)), mountAt("secret", tokenDir+"/secret"), mountAt("empty", tokenDir+"/a/b"),
	}
	pod := newPod(name, app)
	pod.Spec.Volumes = []corev1.Volume{
		secretVolume("secret"),
		{Name: "empty", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "around", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: secretName}},
		}},
	}
	pod.Annotations = annotations("audience=vault", "audience.aws=sts.amazonaws.com", "mount-path.aws="+tokenDir+"/aws")
	return pod
}

// testNested wants what the kubelet makes possible to be silent: it makes the mount
// points in volumes that it writes itself.
func (n *node) testNested(t *testing.T) {
	t.Parallel()
	if warnings := n.warned(t, newNested("inside-one-another")); len(warnings) > 0 {
		t.Errorf("there are warnings: %q", warnings)
	}
	n.waitReady(t, "inside-one-another")
	n.checkNested(t, "inside-one-another")
}

func (n *node) checkNested(t *testing.T, pod string) {
	t.Helper()
	for file, want := range map[string]string{tokenPath: "vault", tokenDir + "/aws/oidc-token": "sts.amazonaws.com"} {
		if got := audience(t, n.exec(t, pod, "app", "cat", file)); got != want {
			t.Errorf("the token at %s is for %q, want %q", file, got, want)
		}
	}
	for _, file := range []string{tokenDir + "/secret/key", path.Dir(tokenDir) + "/key"} {
		if got := n.exec(t, pod, "app", "cat", file); got != secretValue {
			t.Errorf("%s has %q", file, got)
		}
	}
	n.exec(t, pod, "app", "stat", tokenDir+"/a/b")
}

// testSubPathInside wants a file that is mounted inside our directory to be denied: by
// hand, such a pod does not start.
func (n *node) testSubPathInside(t *testing.T) {
	t.Parallel()
	newPodWith := func(name string, mounts ...corev1.VolumeMount) *corev1.Pod {
		app := container("app")
		app.VolumeMounts = mounts
		pod := newPod(name, app)
		pod.Spec.Volumes = []corev1.Volume{secretVolume("secret")}
		return pod
	}
	inside := mountAt("secret", tokenDir+"/ca.crt")
	inside.SubPath = "key"
	byHand := newPodWith("sub-path-by-hand", mountAt("token", tokenDir), inside)
	byHand.Spec.Volumes = append(byHand.Spec.Volumes, tokenVolume("token", "vault", "oidc-token"))
	n.create(t, byHand)
	n.waitStuck(t, byHand.Name, "not a directory")
	annotated := newPodWith("sub-path", inside)
	annotated.Annotations = annotations("audience=vault")
	n.checkDenied(t, annotated, "spec.containers[0].volumeMounts[0].mountPath", "oidc-injector.io/audience")
}

// checkDenied wants the webhook to deny a pod with these texts.
func (n *node) checkDenied(t *testing.T, pod *corev1.Pod, texts ...string) {
	t.Helper()
	text := podtest.CreateError(t, n.kube, n.ns, pod)
	for _, want := range texts {
		if !strings.Contains(text, want) {
			t.Errorf("the pod is denied with %s, want %s", text, want)
		}
	}
}

// waitStuck waits until a container cannot start for a reason.
func (n *node) waitStuck(t *testing.T, pod, reason string) {
	t.Helper()
	n.waitFor(t, pod, "cannot start: "+reason, func(pod *corev1.Pod) bool {
		return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
			return s.State.Waiting != nil && strings.Contains(s.State.Waiting.Message, reason) ||
				s.LastTerminationState.Terminated != nil && strings.Contains(s.LastTerminationState.Terminated.Message, reason) ||
				s.State.Terminated != nil && strings.Contains(s.State.Terminated.Message, reason)
		})
	})
}

// testMesh runs a pod as a mesh leaves it that was called before us: its proxy, once
// as a container and once as a sidecar, has a token of its own where ours would be.
func (n *node) testMesh(t *testing.T) {
	t.Parallel()
	always := corev1.ContainerRestartPolicyAlways
	for name, sidecar := range map[string]bool{"mesh-container": false, "mesh-sidecar": true} {
		proxy := container("istio-proxy")
		proxy.VolumeMounts = []corev1.VolumeMount{mountAt("istio-token", tokenDir)}
		pod := newPod(name, container("app"))
		if sidecar {
			proxy.RestartPolicy = &always
			pod.Spec.InitContainers = []corev1.Container{proxy}
		} else {
			pod.Spec.Containers = append(pod.Spec.Containers, proxy)
		}
		pod.Spec.Volumes = []corev1.Volume{tokenVolume("istio-token", "istio-ca", "istio-token")}
		pod.Annotations = n.login()
		if warnings := n.warned(t, pod); len(warnings) > 0 {
			t.Errorf("there are warnings of a container that the mesh has added: %q", warnings)
		}
		n.waitReady(t, name)
		if got := audience(t, n.exec(t, name, "app", "cat", tokenPath)); got != "vault" {
			t.Errorf("the app's token is for %q", got)
		}
		n.checkAlive(t, n.exec(t, name, "app", "cat", loginPath), "app")
		if got := audience(t, n.exec(t, name, "istio-proxy", "cat", tokenDir+"/istio-token")); got != "istio-ca" {
			t.Errorf("the proxy's token is for %q", got)
		}
		for _, file := range []string{tokenPath, loginPath} {
			if _, err := n.tryExec(t, name, "istio-proxy", "stat", file); err == nil {
				t.Errorf("the proxy has %s", file)
			}
		}
	}
}

// testTwoNames wants a container that holds our directory by its other name to be left
// alone: in its image, both are one.
func (n *node) testTwoNames(t *testing.T) {
	t.Parallel()
	const theirs = "/run/secrets/tokens"
	newLinked := func(name string) *corev1.Pod {
		app, helper := container("app"), container("helper")
		app.Image, helper.Image = linkedImage, linkedImage
		helper.VolumeMounts = []corev1.VolumeMount{mountAt("secret", theirs)}
		pod := newPod(name, app, helper)
		pod.Spec.Volumes = []corev1.Volume{secretVolume("secret")}
		return pod
	}
	pod := newLinked("two-names")
	pod.Annotations = annotations("audience=vault")
	warnings := n.warned(t, pod)
	if !slices.ContainsFunc(warnings, func(text string) bool {
		return strings.Contains(text, `"helper"`) && strings.Contains(text, theirs) && strings.Contains(text, "containers")
	}) {
		t.Errorf("no warning names the container that is left out: %q", warnings)
	}
	n.waitReady(t, pod.Name)
	for _, file := range []string{tokenPath, theirs + "/oidc-token"} {
		if got := audience(t, n.exec(t, pod.Name, "app", "cat", file)); got != "vault" {
			t.Errorf("the app's token at %s is for %q", file, got)
		}
	}
	for _, file := range []string{theirs + "/key", tokenDir + "/key"} {
		if got := n.exec(t, pod.Name, "helper", "cat", file); got != secretValue {
			t.Errorf("container helper finds %q at %s", got, file)
		}
	}
	named := newLinked("two-names-named")
	named.Annotations = annotations("audience=vault", "containers=app,helper")
	n.checkDenied(t, named, "spec.containers[1].volumeMounts[0].mountPath", theirs, "containers")
}

// testTerminationMessage wants a termination message in our directories to be denied:
// by hand, such a container does not start.
func (n *node) testTerminationMessage(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{"message-inside": tokenDir + "/end", "message-is-the-directory": tokenDir} {
		app := container("app")
		app.TerminationMessagePath = file
		annotated := newPod(name, app)
		annotated.Annotations = annotations("audience=vault")
		n.checkDenied(t, annotated, "spec.containers[0].terminationMessagePath", file)

		byHand := newPod(name+"-by-hand", app)
		byHand.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{mountAt("token", tokenDir)}
		byHand.Spec.Volumes = []corev1.Volume{tokenVolume("token", "vault", "oidc-token")}
		n.create(t, byHand)
		n.waitStuck(t, byHand.Name, file)
	}
}

// testGuaranteed wants a pod to keep its quality of service with a login, and the login
// to have enough with what it may use.
func (n *node) testGuaranteed(t *testing.T) {
	t.Parallel()
	app := container("app")
	limits := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("32Mi")}
	app.Resources = corev1.ResourceRequirements{Limits: limits, Requests: limits}
	pod := newPod("guaranteed", app)
	pod.Annotations = n.login()
	pod = n.run(t, pod)
	if pod.Status.QOSClass != corev1.PodQOSGuaranteed {
		t.Errorf("the pod is %s", pod.Status.QOSClass)
	}
	login := pod.Spec.InitContainers[0]
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		limit, request := login.Resources.Limits[name], login.Resources.Requests[name]
		if login.Name != loginspec.Container || limit.IsZero() || limit.Cmp(request) != 0 {
			t.Errorf("container %s has the %s limit %s and request %s, want both, and equal", login.Name, name, &limit, &request)
		}
	}
	n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "app")
	if s := status(t, pod, loginspec.Container); s.RestartCount > 0 {
		t.Errorf("the login container was started again: %+v", s)
	}
}
