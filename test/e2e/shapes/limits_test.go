package shapes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// limitTests are namespaces whose limits a pod keeps by itself, and does not keep any
// more with a login container. The texts are those of docs/troubleshooting.md, where
// "…" stands for what differs.
var limitTests = []struct {
	name   string
	limits *corev1.LimitRangeItem
	quota  corev1.ResourceList
	want   string
}{
	{
		name:   "ratio-without-a-limit",
		limits: &corev1.LimitRangeItem{MaxLimitRequestRatio: resources("cpu=2")},
		want:   "cpu max limit to request ratio per Container is …, but no limit is specified or limit is 0",
	},
	{
		name:   "ratio-of-the-default-limit",
		limits: &corev1.LimitRangeItem{MaxLimitRequestRatio: resources("cpu=2"), Default: resources("cpu=100m")},
		want:   "cpu max limit to request ratio per Container is …, but provided ratio is …",
	},
	{
		name:   "minimum",
		limits: &corev1.LimitRangeItem{Min: resources("cpu=50m"), Default: resources("cpu=100m")},
		want:   "minimum cpu usage per Container is …, but request is 5m",
	},
	{
		name:  "quota-exceeded",
		quota: resources("requests.cpu=100m"),
		want:  "exceeded quota: …, requested: requests.cpu=105m, used: …, limited: …",
	},
	{
		name:  "quota-of-limits",
		quota: resources("limits.cpu=2"),
		want:  "failed quota: …: must specify limits.cpu for: oidc-login",
	},
}

// TestLimits wants the texts that the documentation quotes where a login container is
// what the limits of a namespace refuse.
func TestLimits(t *testing.T) {
	t.Parallel()
	page := troubleshooting(t)
	for _, test := range limitTests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			limitedNamespace(t, test.name, test.limits, test.quota)
			spec := corev1.PodSpec{Containers: []corev1.Container{{
				Name: "app", Image: "app", Resources: corev1.ResourceRequirements{
					Requests: resources("cpu=100m"), Limits: resources("cpu=100m"),
				},
			}}}
			for _, annotations := range []map[string]string{nil, variants["token"]} {
				if _, err := dryRun(t.Context(), test.name, spec, annotations); err != nil {
					t.Errorf("without a login: %v", err)
				}
			}
			_, err := dryRun(t.Context(), test.name, spec, variants["login"])
			if err == nil || !matches(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if !strings.Contains(page, test.want) {
				t.Errorf("docs/troubleshooting.md does not quote %q", test.want)
			}
		})
	}
}

// matches reports whether a text has the parts of a pattern between its "…", in order.
func matches(text, pattern string) bool {
	for part := range strings.SplitSeq(pattern, "…") {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}

// troubleshooting is the page of the documentation, with tables and code as they are.
func troubleshooting(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// resources are those of pairs such as "cpu=100m".
func resources(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for _, pair := range pairs {
		name, quantity, _ := strings.Cut(pair, "=")
		list[corev1.ResourceName(name)] = resource.MustParse(quantity)
	}
	return list
}

// limitedNamespace makes a namespace, and waits until the API server acts by its limits.
func limitedNamespace(t *testing.T, name string, limits *corev1.LimitRangeItem, quota corev1.ResourceList) {
	t.Helper()
	ctx := t.Context()
	if err := kube.Namespace(ctx, name, map[string]string{injector.EnabledLabel: "true"}); err != nil {
		t.Fatal(err)
	}
	if limits != nil {
		item := *limits
		item.Type = corev1.LimitTypeContainer
		limits := &corev1.LimitRange{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{item}},
		}
		if _, err := client.CoreV1().LimitRanges(name).Create(ctx, limits, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if quota != nil {
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ResourceQuotaSpec{Hard: quota}}
		if _, err := client.CoreV1().ResourceQuotas(name).Create(ctx, quota, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	podtest.Eventually(t, "the limits are in force", func(ctx context.Context) error {
		for _, request := range []string{"cpu=1m", "cpu=1"} { // less than the minimum, more than the quota
			spec := corev1.PodSpec{Containers: []corev1.Container{{
				Name: "app", Image: "app", Resources: corev1.ResourceRequirements{
					Requests: resources(request),
					Limits:   resources("cpu=10"),
				},
			}}}
			if _, err := dryRun(ctx, name, spec, nil); err != nil {
				return nil //nolint:nilerr // which is what is waited for
			}
		}
		return errors.New("pods beyond the limits are accepted")
	})
}

// TestDrain wants the text that the documentation quotes of `kubectl drain`.
func TestDrain(t *testing.T) {
	ctx := t.Context()
	const name = "drained"
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := podtest.New(name)
	pod.Annotations, pod.Spec.NodeName = variants["login"], name
	if _, err := client.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		after := context.WithoutCancel(ctx)
		err := client.CoreV1().Pods(ns).Delete(after, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
		if err = errors.Join(err, client.CoreV1().Nodes().Delete(after, name, metav1.DeleteOptions{})); err != nil {
			t.Error(err)
		}
	})
	const want = "cannot delete Pods with local storage (use --delete-emptydir-data to override): …"
	_, err := kube.Kubectl(ctx, "drain", name, "--force")
	if err == nil || !matches(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	if !strings.Contains(troubleshooting(t), want) {
		t.Errorf("docs/troubleshooting.md does not quote %q", want)
	}
	if _, err := kube.Kubectl(ctx, "drain", name, "--force", "--delete-emptydir-data", "--dry-run=server"); err != nil {
		t.Errorf("with --delete-emptydir-data: %v", err)
	}
}

// TestSkippedContainerOfLaterWebhook wants a warning of a container that the pod does not have,
// as it may be mistyped, but none of one that a mesh adds after us.
func TestSkippedContainerOfLaterWebhook(t *testing.T) {
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}}
	const want = `oidc-injector.io/skip-containers: the pod has no container "…"`
	for skipped, warned := range map[string]bool{"my-proxy": true, "istio-proxy": false, "linkerd-proxy": false} {
		pod, err := dryRun(t.Context(), ns, spec, podtest.Annotations("audience=vault", "skip-containers="+skipped))
		if err != nil {
			t.Fatal(err)
		}
		got := slices.ContainsFunc(pod.warnings, func(text string) bool { return matches(text, want) })
		if got != warned {
			t.Errorf("%s: the warnings are %q, want one of a container that the pod does not have: %v", skipped, pod.warnings, warned)
		}
	}
	if !strings.Contains(troubleshooting(t), want) {
		t.Errorf("docs/troubleshooting.md does not quote %q", want)
	}
}
