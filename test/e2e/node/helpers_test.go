package node

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
)

// in returns the node as seen from another namespace, which it makes: opted in,
// and with the CA of Vault.
func (n *node) in(t *testing.T, ns string, labels map[string]string) *node {
	t.Helper()
	all := map[string]string{injector.EnabledLabel: "true"}
	maps.Copy(all, labels)
	if err := n.kube.Namespace(t.Context(), ns, all); err != nil {
		t.Fatal(err)
	}
	ca := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: vaultCA}, Data: map[string]string{loginspec.CAFileName: string(n.vault.CA())},
	}
	_, err := n.kube.Client().CoreV1().ConfigMaps(ns).Create(t.Context(), ca, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	there := *n
	there.ns = ns
	return &there
}

func newPod(name string, containers ...corev1.Container) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: containers, TerminationGracePeriodSeconds: new(int64(10))},
	}
}

func container(name string, args ...string) corev1.Container {
	if len(args) == 0 {
		args = []string{"sleep"}
	}
	return corev1.Container{Name: name, Image: cluster.ToolboxImage, Args: args}
}

func user(c corev1.Container, uid int64) corev1.Container {
	c.SecurityContext = &corev1.SecurityContext{RunAsUser: &uid}
	return c
}

func group(c corev1.Container, gid int64) corev1.Container {
	c.SecurityContext.RunAsGroup = &gid
	return c
}

// create creates a pod that is deleted after the test, so that the next ones
// have the machine for themselves.
func (n *node) create(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	created, err := n.kube.Client().CoreV1().Pods(n.ns).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.story(pod.Name))
		}
		n.delete(t, pod.Name, 0)
	})
	return created
}

// run creates a pod and waits until it is ready.
func (n *node) run(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	n.create(t, pod)
	return n.waitReady(t, pod.Name)
}

func (n *node) waitReady(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	return n.waitFor(t, name, "is ready", func(pod *corev1.Pod) bool {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady {
				return condition.Status == corev1.ConditionTrue
			}
		}
		return false
	})
}

// waitFor waits until something is true of a pod.
func (n *node) waitFor(t *testing.T, name, what string, condition func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	n.eventually(t, func() (err error) {
		if pod, err = n.kube.Client().CoreV1().Pods(n.ns).Get(t.Context(), name, metav1.GetOptions{}); err == nil && !condition(pod) {
			err = fmt.Errorf("it is not so that pod %s %s", name, what)
		}
		return err
	})
	return pod
}

// status is that of a container of any kind.
func status(t *testing.T, pod *corev1.Pod, name string) corev1.ContainerStatus {
	t.Helper()
	for _, statuses := range [][]corev1.ContainerStatus{
		pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for _, s := range statuses {
			if s.Name == name {
				return s
			}
		}
	}
	t.Fatalf("pod %s has no status of container %s", pod.Name, name)
	return corev1.ContainerStatus{}
}

// story is what there is to know of a pod that a test has failed with.
func (n *node) story(pod string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	description, err := n.kube.Kubectl(ctx, "--namespace="+n.ns, "describe", "pod", pod)
	if err != nil {
		return err.Error()
	}
	logs, err := n.kube.Kubectl(ctx, "--namespace="+n.ns, "logs", pod, "--all-containers", "--prefix", "--tail=30")
	if err != nil {
		logs = err.Error()
	}
	return description + logs
}

func (n *node) exec(t *testing.T, pod, container string, args ...string) string {
	t.Helper()
	out, err := n.tryExec(t, pod, container, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (n *node) tryExec(t *testing.T, pod, container string, args ...string) (string, error) {
	t.Helper()
	return n.kube.Kubectl(t.Context(), append([]string{"--namespace=" + n.ns, "exec", pod, "--container=" + container, "--", "/toolbox"},
		args...)...)
}

func (n *node) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := n.kube.Kubectl(t.Context(), append([]string{"--namespace=" + n.ns}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// delete may come after the test's own context.
func (n *node) delete(t *testing.T, pod string, grace int64) {
	t.Helper()
	err := n.kube.Client().CoreV1().Pods(n.ns).Delete(context.WithoutCancel(t.Context()), pod,
		metav1.DeleteOptions{GracePeriodSeconds: &grace})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

func (n *node) eventually(t *testing.T, condition func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, 90*time.Second, true, func(context.Context) (bool, error) {
		last = condition()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}
