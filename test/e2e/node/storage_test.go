package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/minio"
)

const (
	storageImage = "buckets:1.0"
	// storageAccount is bound to MinIO by the configuration.
	storageAccount  = "storage"
	storageAudience = "minio"
	storageCA       = "/etc/storage/ca.crt"
)

// startStorage starts a MinIO that takes the cluster's tokens, and loads an app that
// lists its buckets.
func (n *node) startStorage(t *testing.T) {
	t.Helper()
	n.storage = minio.StartForTest(t, minio.Options{
		IssuerURL: n.kube.Issuer(), IssuerCA: n.kube.CA(), Audience: storageAudience, ExtraIPs: []net.IP{net.ParseIP(n.kube.NodeIP())},
		Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}`,
	})
	if err := n.storage.MakeBucket(t.Context(), "reports"); err != nil {
		t.Fatal(err)
	}
	if err := n.kube.Expose(t.Context(), n.storage.Port()); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "buckets")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "./cmd/buckets")
	build.Dir, build.Env = "../../providers", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("could not build the app: %v: %s", err, out)
	}
	if err := n.loadStorageImage(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	if err := n.webhook.Upgrade(t.Context(), n.config(t)); err != nil {
		t.Fatal(err)
	}
}

func (n *node) loadStorageImage(ctx context.Context, program string) error {
	return n.kube.LoadImage(ctx, storageImage, map[string]string{"/bin/buckets": program},
		cluster.Image{Entrypoint: []string{"/bin/buckets"}})
}

// storageKeys are what a pod, or its binding, says of MinIO.
func (n *node) storageKeys() map[string]string {
	return map[string]string{
		"minio-audience": storageAudience, "minio-role-arn": n.storage.RoleARN, "minio-endpoint": n.at(n.storage.Port()),
		"minio-ca-bundle": storageCA,
	}
}

// testStorage has an app with the AWS SDK list a bucket of a real MinIO, without a stored
// key: by the pod's annotations, and by a binding alone.
func (n *node) testStorage(t *testing.T) {
	t.Parallel()
	if n.storage == nil {
		t.Skip("not on older releases: nothing of it depends on the release")
	}
	n = n.in(t, "storage", nil)
	for _, name := range []string{"other", storageAccount} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := n.kube.Client().CoreV1().ServiceAccounts(n.ns).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ca := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "storage"}, Data: map[string]string{"ca.crt": string(n.storage.CA())}}
	if _, err := n.kube.Client().CoreV1().ConfigMaps(n.ns).Create(t.Context(), ca, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	podtest.Eventually(t, "the binding", func(ctx context.Context) error {
		pod := newPod("", container("app"))
		pod.GenerateName, pod.Spec.ServiceAccountName = "probe-", storageAccount
		made, err := n.kube.Client().CoreV1().Pods(n.ns).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && made.Annotations["oidc-injector.io/status"] == "" {
			err = errors.New("the pod is not injected")
		}
		return err
	})
	annotated := map[string]string{}
	for key, value := range n.storageKeys() {
		annotated["oidc-injector.io/"+key] = value
	}
	for name, test := range map[string]struct {
		account     string
		annotations map[string]string
		want        corev1.PodPhase
	}{
		"annotated": {"other", annotated, corev1.PodSucceeded},
		"bound":     {storageAccount, nil, corev1.PodSucceeded},
		"neither":   {"other", nil, corev1.PodFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := newPod("storage-"+name, corev1.Container{Name: "app", Image: storageImage, VolumeMounts: []corev1.VolumeMount{
				{Name: "ca", MountPath: filepath.Dir(storageCA)},
			}, Env: []corev1.EnvVar{{Name: "AWS_EC2_METADATA_DISABLED", Value: "true"}}})
			pod.Annotations, pod.Spec.ServiceAccountName, pod.Spec.RestartPolicy = test.annotations, test.account, corev1.RestartPolicyNever
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "ca", VolumeSource: corev1.VolumeSource{
				ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "storage"}},
			}})
			n.create(t, pod)
			n.waitFor(t, pod.Name, fmt.Sprintf("is %s", test.want), func(pod *corev1.Pod) bool { return pod.Status.Phase == test.want })
			log, err := n.kube.Kubectl(t.Context(), "--namespace="+n.ns, "logs", pod.Name, "--container=app")
			if err != nil {
				t.Fatal(err)
			}
			if want := "reports\n"; test.want == corev1.PodSucceeded && log != want {
				t.Errorf("the app says %q, want %q", log, want)
			}
		})
	}
}
