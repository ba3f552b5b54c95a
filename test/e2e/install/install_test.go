// Package install tests on a whole node that the chart installs and holds: the webhook's
// pods run in containers, and the API server calls them through their Service.
package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/helm"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

const (
	repository = "../../.."
	release    = "oidc-injector"
	namespace  = helm.Namespace
	// apps is a namespace that the webhook serves.
	apps      = "apps"
	tokenPath = "/var/run/secrets/tokens/oidc-token"
)

var chart = filepath.Join(repository, "charts", "oidc-injector")

// images are all that the chart has to be told here: where they are, and that they are
// there already.
var images = []string{
	"--set=image.registry=localhost,image.repository=oidc-injector/webhook,image.tag=test,image.pullPolicy=Never",
	"--set=login.image.registry=localhost,login.image.repository=oidc-injector/oidc-login,login.image.tag=test," +
		"login.image.pullPolicy=Never",
}

// node is a cluster with a node that has our images.
type node struct {
	kube         *cluster.Cluster
	helm3, helm4 helm.Helm
	// policies reports whether the release has what policies need.
	policies bool
}

func start(t *testing.T) *node {
	t.Helper()
	cluster.RequireNode(t)
	helms, err := helm.Both(t.Context(), repository, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n := &node{kube: cluster.StartForTest(t, cluster.Options{Node: true, Progress: os.Stderr}), helm3: helms[0], helm4: helms[1]}
	n.helm3.Kubeconfig, n.helm4.Kubeconfig = n.kube.Kubeconfig(), n.kube.Kubeconfig()
	dir := t.TempDir()
	for ref, image := range map[string]struct{ program, path string }{
		"localhost/oidc-injector/webhook:test":    {"webhook", "/webhook"},
		"localhost/oidc-injector/oidc-login:test": {"oidc-login", "/usr/local/bin/" + loginspec.Program},
	} {
		program, err := injector.Build(t.Context(), image.program, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.kube.LoadImage(t.Context(), ref, map[string]string{image.path: program}, cluster.Image{User: "65532"}); err != nil {
			t.Fatal(err)
		}
	}
	n.policies = n.hasPolicies(t)
	return n
}

// TestInstall has one node for all tests, which follow one another.
func TestInstall(t *testing.T) {
	n := start(t)
	gone := helm.NothingIsLeft(t, n.kube)
	if !t.Run("defaults", func(t *testing.T) { n.testDefaults(t, gone) }) {
		return // if that fails, all others do, and take their time
	}
	if n.policies {
		t.Run("policies", func(t *testing.T) { n.testPolicies(t, gone) })
	}
	n.applyPolicies(t)
	gone = helm.NothingIsLeft(t, n.kube)
	// Each step begins with what the one before has left.
	n.installPrevious(t)
	t.Run("upgrade", n.testUpgrade)
	t.Run("rolling restart", n.testRollingRestart)
	t.Run("evicted", n.testEvicted)
	t.Run("deleted", n.testDeleted)
	t.Run("killed", n.testKilled)
	t.Run("serving certificate rotated", n.testServingRotation)
	t.Run("CA rotated", n.testCARotation)
	t.Run("bundle overwritten", n.testBundleOverwritten)
	t.Run("configuration", n.testConfiguration)
	t.Run("API server restarted", n.testAPIServerRestarted)
	t.Run("memory", n.testMemory)
	t.Run("outage", n.testOutage)
	t.Run("outage explained", n.testOutageExplained)
	t.Run("failure policy", n.testIgnore)
	t.Run("rollback", n.testRollback)
	t.Run("retired CA", n.testRetiredCA)
	if n.policies {
		t.Run("mode switched", n.testSwitched)
	}
	n.uninstall(t, n.helm4, gone)
	t.Run("bundle explained", func(t *testing.T) { n.testBundleExplained(t, gone) })
	t.Run("cert-manager", n.testCertManager)
}

// testDefaults is what the guide says, with the default values.
func (n *node) testDefaults(t *testing.T, gone func()) {
	t.Helper()
	n.tellIfFailed(t)
	n.install(t, n.helm3)
	n.serveApps(t)
	n.runInjected(t, "app")
	n.helmTest(t, n.helm3)
	n.uninstall(t, n.helm3, gone)
}

// helmTest runs the chart's own test, whose pod the kubelet has to run.
func (n *node) helmTest(t *testing.T, h helm.Helm) {
	t.Helper()
	out := h.Saying(t, "test", release, "--timeout=2m")
	if !regexp.MustCompile(`Phase: +Succeeded`).MatchString(out) || !strings.Contains(out, "✓ dry run: a pod in namespace ") {
		t.Errorf("%s test says:\n%s", h.Name, out)
	}
}

// install installs the chart and waits until the webhook is ready.
func (n *node) install(t *testing.T, h helm.Helm, args ...string) {
	t.Helper()
	n.installFrom(t, h, chart, args...)
}

func (n *node) installFrom(t *testing.T, h helm.Helm, chart string, args ...string) {
	t.Helper()
	began := time.Now()
	h.MustRun(t, append(append([]string{"install", release, chart, "--create-namespace", "--wait", "--timeout=3m"}, images...), args...)...)
	took := time.Since(began)
	var ready []string
	for _, pod := range n.webhooks(t) {
		if pod.Status.Phase == corev1.PodRunning {
			ready = append(ready, readyAfter(&pod).String())
		}
	}
	if len(ready) != 2 {
		t.Errorf("%d webhooks run, want 2", len(ready))
	}
	t.Logf("%s has installed it in %v; the pods were ready %v after they were created", h.Name, took.Round(time.Millisecond), ready)
}

func readyAfter(pod *corev1.Pod) time.Duration {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return condition.LastTransitionTime.Sub(pod.CreationTimestamp.Time)
		}
	}
	return -1
}

// serveApps makes the namespace that the webhook serves.
func (n *node) serveApps(t *testing.T) {
	t.Helper()
	if err := n.kube.Namespace(t.Context(), apps, map[string]string{injector.EnabledLabel: "true"}); err != nil {
		t.Fatal(err)
	}
}

// uninstall removes all that a test has made, and then nothing may be left.
func (n *node) uninstall(t *testing.T, h helm.Helm, gone func()) {
	t.Helper()
	h.MustRun(t, "uninstall", release, "--wait", "--timeout=2m")
	n.deleteNamespaces(t, apps, namespace)
	gone()
}

var webhookPods = metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=webhook"}

// webhooks are the webhook's pods.
func (n *node) webhooks(t *testing.T) []corev1.Pod {
	t.Helper()
	pods, err := n.kube.Client().CoreV1().Pods(namespace).List(t.Context(), webhookPods)
	if err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// newPod is a pod that waits to be looked at.
func newPod(name string, pairs ...string) *corev1.Pod {
	pod := podtest.New(name, pairs...)
	pod.Spec.Containers[0].Image = cluster.ToolboxImage
	pod.Spec.Containers[0].Args = []string{"sleep"}
	pod.Spec.TerminationGracePeriodSeconds = new(int64(1))
	return pod
}

// run creates a pod and waits until it is ready.
func (n *node) run(t *testing.T, in string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	podtest.Create(t, n.kube, in, pod)
	t.Cleanup(func() { n.deletePod(t, in, pod.Name) })
	return n.waitReady(t, in, pod.Name)
}

func (n *node) waitReady(t *testing.T, in, name string) (pod *corev1.Pod) {
	t.Helper()
	podtest.EventuallyWithin(t, 2*time.Minute, "pod "+name+" to be ready", func(ctx context.Context) (err error) {
		if pod, err = n.kube.Client().CoreV1().Pods(in).Get(ctx, name, metav1.GetOptions{}); err == nil && readyAfter(pod) < 0 {
			err = fmt.Errorf("it is %s: %v", pod.Status.Phase, pod.Status.Conditions)
		}
		return err
	})
	return pod
}

func (n *node) deletePod(t *testing.T, in, name string) {
	t.Helper()
	err := n.kube.Client().CoreV1().Pods(in).Delete(context.WithoutCancel(t.Context()), name,
		metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

// runInjected runs an annotated pod, which has to be injected and to find its token.
func (n *node) runInjected(t *testing.T, name string) {
	t.Helper()
	pod := n.run(t, apps, newPod(name, "audience=vault"))
	if !injected(pod) {
		t.Errorf("pod %s is not injected: %v", name, pod.Annotations)
	}
	token, err := n.kube.Kubectl(t.Context(), "--namespace="+apps, "exec", name, "--", "/toolbox", "cat", tokenPath)
	if err != nil {
		t.Fatal(err)
	}
	review := n.review(t, token, "vault")
	if want := "system:serviceaccount:" + apps + ":default"; !review.Authenticated || review.User.Username != want {
		t.Errorf("the token of %s is that of %+v, want %s", name, review, want)
	}
	n.deletePod(t, apps, name)
}

// review has the API server look at a token.
func (n *node) review(t *testing.T, token, audience string) authenticationv1.TokenReviewStatus {
	t.Helper()
	review, err := n.kube.Client().AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status
}

// injected reports whether a pod of one container has its status, its volume and its mount,
// each once.
func injected(pod *corev1.Pod) bool {
	mounts := 0
	for _, mount := range pod.Spec.Containers[0].VolumeMounts {
		if strings.HasPrefix(mount.Name, "oidc-token") {
			mounts++
		}
	}
	return pod.Annotations[podtest.Prefix+"status"] != "" && len(podtest.Tokens(pod)) == 1 && mounts == 1
}

func (n *node) deleteNamespaces(t *testing.T, names ...string) {
	t.Helper()
	args := append([]string{"delete", "namespace", "--ignore-not-found", "--timeout=2m"}, names...)
	if _, err := n.kube.Kubectl(context.WithoutCancel(t.Context()), args...); err != nil {
		t.Error(err)
	}
}

// tellIfFailed logs what there is to know of a test when it ends, if it has failed.
func (n *node) tellIfFailed(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		for _, args := range [][]string{
			{"get", "pods", "--all-namespaces", "--output=wide"},
			{"get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"},
			{"logs", "--namespace=" + namespace, "--selector=app.kubernetes.io/component=webhook", "--prefix", "--tail=60"},
		} {
			out, err := n.kube.Kubectl(ctx, args...)
			if err != nil {
				out = err.Error()
			}
			t.Logf("kubectl %s:\n%s", strings.Join(args, " "), out)
		}
	})
}
