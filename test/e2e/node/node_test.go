// Package node tests on a whole node what only a kubelet can show: that the
// containers of an injected pod can read their tokens, with the file's owner
// and mode that the patch was computed for, and that the tokens are good.
package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/relyingparty"
)

const (
	ns        = "apps"
	tokenPath = "/var/run/secrets/tokens/oidc-token"
)

func TestNode(t *testing.T) {
	cluster.RequireNode(t)
	kube := cluster.StartForTest(t, cluster.Options{Node: true, Progress: os.Stderr})
	webhook, err := injector.Start(t.Context(), kube, injector.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the webhook's log:\n%s", webhook.Log())
		}
		if err := webhook.Stop(); err != nil {
			t.Error(err)
		}
	})
	n := &node{kube: kube}
	if err := kube.Namespace(t.Context(), ns, map[string]string{injector.EnabledLabel: "true"}); err != nil {
		t.Fatal(err)
	}
	t.Run("scenario", n.testScenario)
	t.Run("modes", n.testModes)
	t.Run("containers of all kinds", n.testContainersOfAllKinds)
}

type node struct{ kube *cluster.Cluster }

// testScenario runs the scenario's pod and verifies the token that it reads.
func (n *node) testScenario(t *testing.T) {
	pod := newPod("scenario", container("app"))
	pod.Annotations = map[string]string{"oidc-injector.io/audience": "vault", "oidc-injector.io/expiration": "7200"}
	pod = n.run(t, pod)
	if err := n.kube.AllowDiscovery(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := n.exec(t, pod.Name, "app", "cat", tokenPath)
	var claims *relyingparty.Claims
	n.eventually(t, func() error {
		party, err := relyingparty.Discover(t.Context(), n.kube.Issuer(), n.kube.CA())
		if err == nil {
			claims, err = party.Verify(t.Context(), token, "vault")
		}
		return err
	})
	if want := "system:serviceaccount:" + ns + ":default"; claims.Subject != want {
		t.Errorf("sub is %q, want %q", claims.Subject, want)
	}
	if got, want := claims.Kubernetes.Pod, (relyingparty.Object{Name: pod.Name, UID: string(pod.UID)}); got != want {
		t.Errorf("pod is %v, want %v", got, want)
	}
	if got := claims.Expiry - claims.IssuedAt; got != 7200 {
		t.Errorf("the token lives for %d s, want 7200", got)
	}
}

// testModes compares the file that each container finds with the one that the
// mode was computed for, and reads it as the container's own user.
func (n *node) testModes(t *testing.T) {
	const (
		root = int64(0)
		app  = int64(1000)
		side = int64(2000)
		team = int64(3000)
	)
	audience := map[string]string{"oidc-injector.io/audience": "vault"}
	for _, test := range []struct {
		name        string
		annotations map[string]string
		fsGroup     *int64
		containers  []corev1.Container
		// want is "mode uid gid" of the file, for each container that mounts it.
		want map[string]string
	}{
		{"root-alone", audience, nil, []corev1.Container{user(container("a"), root)}, map[string]string{"a": "0600 0 0"}},
		{"one-user", audience, nil, []corev1.Container{user(container("a"), app), user(container("b"), app)}, map[string]string{"a": "0600 1000 0", "b": "0600 1000 0"}},
		{"one-user-and-group", audience, new(team), []corev1.Container{user(container("a"), app)}, map[string]string{"a": "0640 1000 3000"}},
		{"group-alone", audience, new(team), []corev1.Container{container("a"), user(container("b"), side)}, map[string]string{"a": "0640 0 3000", "b": "0640 0 3000"}},
		{"two-users", audience, nil, []corev1.Container{user(container("a"), app), user(container("b"), side)}, map[string]string{"a": "0644 0 0", "b": "0644 0 0"}},
		{"user-of-image", audience, nil, []corev1.Container{container("a")}, map[string]string{"a": "0644 0 0"}},
		{
			"root-beside-another",
			map[string]string{"oidc-injector.io/audience": "vault", "oidc-injector.io/containers": "a"},
			nil,
			[]corev1.Container{user(container("a"), root), user(container("b"), side)},
			map[string]string{"a": "0400 0 0"},
		},
		{
			"group-zero", audience, nil,
			[]corev1.Container{group(user(container("a"), app), root), group(user(container("b"), side), root)},
			map[string]string{"a": "0440 0 0", "b": "0440 0 0"},
		},
		{
			"annotated",
			map[string]string{"oidc-injector.io/audience": "vault", "oidc-injector.io/file-mode": "0444"},
			nil,
			[]corev1.Container{user(container("a"), app), user(container("b"), side)},
			map[string]string{"a": "0444 0 0", "b": "0444 0 0"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := newPod(test.name, test.containers...)
			pod.Annotations = test.annotations
			pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: test.fsGroup}
			n.run(t, pod)
			for name, want := range test.want {
				if got := strings.TrimSpace(n.exec(t, pod.Name, name, "stat", tokenPath)); got != want+" "+tokenPath {
					t.Errorf("container %s finds %q, want %q", name, got, want+" "+tokenPath)
				}
				if token := n.exec(t, pod.Name, name, "cat", tokenPath); strings.Count(token, ".") != 2 {
					t.Errorf("container %s reads %d bytes that are no token", name, len(token))
				}
			}
			n.delete(t, pod.Name)
		})
	}
}

// testContainersOfAllKinds reads two tokens from an init container, a native
// sidecar, a regular and a debug container, each as its annotations say.
func (n *node) testContainersOfAllKinds(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	migrate, proxy := container("migrate", "cat", tokenPath), container("proxy")
	proxy.RestartPolicy = &always
	pod := newPod("kinds", container("app"), container("other"))
	pod.Spec.InitContainers = []corev1.Container{migrate, proxy}
	pod.Annotations = map[string]string{
		"oidc-injector.io/audience":       "vault",
		"oidc-injector.io/audience.aws":   "sts.amazonaws.com",
		"oidc-injector.io/mount-path.aws": "/var/run/secrets/aws",
		"oidc-injector.io/containers.aws": "app",
		"oidc-injector.io/env.aws":        "AWS_WEB_IDENTITY_TOKEN_FILE",
	}
	n.run(t, pod)
	const awsPath = "/var/run/secrets/aws/aws"
	if logs := n.kubectl(t, "logs", pod.Name, "--container=migrate"); audience(t, logs) != "vault" {
		t.Errorf("the init container's token is for %q", audience(t, logs))
	}
	for name, paths := range map[string]map[string]string{
		"proxy": {tokenPath: "vault"}, "other": {tokenPath: "vault"}, "app": {tokenPath: "vault", awsPath: "sts.amazonaws.com"},
	} {
		for path, want := range paths {
			if got := audience(t, n.exec(t, pod.Name, name, "cat", path)); got != want {
				t.Errorf("container %s reads a token for %q at %s, want %q", name, got, path, want)
			}
		}
	}
	if _, err := n.kube.Kubectl(t.Context(), "--namespace="+ns, "exec", pod.Name, "--container=other", "--", "/toolbox", "cat", awsPath); err == nil {
		t.Error("container other reads a token that is not meant for it")
	}
	if env := n.exec(t, pod.Name, "app", "env"); !strings.Contains(env, "AWS_WEB_IDENTITY_TOKEN_FILE="+awsPath) {
		t.Error("container app lacks the variable")
	}
	n.kubectl(t, "debug", pod.Name, "--image="+cluster.ToolboxImage, "--container=debugger", "--target=app", "--", "/toolbox", "sleep")
	n.eventually(t, func() error {
		out, err := n.kube.Kubectl(t.Context(), "--namespace="+ns, "exec", pod.Name, "--container=debugger", "--", "/toolbox", "cat", awsPath)
		if err == nil && audience(t, out) != "sts.amazonaws.com" {
			err = fmt.Errorf("the debug container's token is for %q", audience(t, out))
		}
		return err
	})
}

// audience returns the audience of a token, unverified.
func audience(t *testing.T, token string) string {
	t.Helper()
	_, payload, err := relyingparty.Decode(strings.TrimSpace(token))
	if err != nil {
		t.Fatal(err)
	}
	var claims relyingparty.Claims
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		t.Fatal(err)
	}
	return strings.Join(claims.Audience, " ")
}

func newPod(name string, containers ...corev1.Container) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: containers, TerminationGracePeriodSeconds: new(int64(1))},
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

// run creates a pod and waits until it runs.
func (n *node) run(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	created, err := n.kube.Client().CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.eventually(t, func() error {
		now, err := n.kube.Client().CoreV1().Pods(ns).Get(t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range now.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("pod %s is %s: %v", pod.Name, now.Status.Phase, now.Status.ContainerStatuses)
	})
	return created
}

func (n *node) exec(t *testing.T, pod, container string, args ...string) string {
	t.Helper()
	return n.kubectl(t, append([]string{"exec", pod, "--container=" + container, "--", "/toolbox"}, args...)...)
}

func (n *node) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := n.kube.Kubectl(t.Context(), append([]string{"--namespace=" + ns}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (n *node) delete(t *testing.T, pod string) {
	t.Helper()
	if err := n.kube.Client().CoreV1().Pods(ns).Delete(t.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
		t.Error(err)
	}
}

func (n *node) eventually(t *testing.T, condition func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, 2*time.Minute, true, func(context.Context) (bool, error) {
		last = condition()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}
