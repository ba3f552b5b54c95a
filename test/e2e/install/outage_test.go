package install

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// scale changes the number of webhooks and waits until it is so.
func (n *node) scale(t *testing.T, replicas string) {
	t.Helper()
	n.kubectl(t, "scale", "deployment/"+release, "--replicas="+replicas)
	if replicas != "0" {
		n.settle(t)
		return
	}
	podtest.EventuallyWithin(t, 2*time.Minute, "no webhook", func(context.Context) error {
		if len(n.webhooks(t)) > 0 {
			return errors.New("there still are webhooks")
		}
		return nil
	})
}

// testOutage takes all webhooks away. What has no need of them starts, and so do they.
func (n *node) testOutage(t *testing.T) {
	n.tellIfFailed(t)
	const system, unserved = "kube-system", "unserved"
	for name, labels := range map[string]map[string]string{
		unserved: nil,
		// They are left out even if somebody has labelled them.
		system: {injector.EnabledLabel: "true"}, namespace: {injector.EnabledLabel: "true"},
	} {
		if err := n.kube.Namespace(t.Context(), name, labels); err != nil {
			t.Fatal(err)
		}
	}
	n.scale(t, "0")
	_, err := n.kube.Client().CoreV1().Pods(apps).Create(t.Context(), newPod("denied", "audience=vault"), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "pods.oidc-injector.io"`) {
		t.Errorf("without a webhook an annotated pod gets: %v", err)
	}
	t.Logf("denied: %v", err)

	plain := newPod("plain")
	annotated := newPod("annotated", "audience=vault")
	started := map[string]*corev1.Pod{apps: plain, system: annotated, namespace: annotated, unserved: annotated}
	for in, pod := range started {
		podtest.Create(t, n.kube, in, pod.DeepCopy())
		t.Cleanup(func() { n.deletePod(t, in, pod.Name) })
	}
	for in, pod := range started {
		if injected(n.waitReady(t, in, pod.Name)) {
			t.Errorf("pod %s in %s is injected by nobody", pod.Name, in)
		}
	}
	n.scale(t, "2")
	n.runInjected(t, "after")
	if _, err := n.kube.Kubectl(t.Context(), "label", "namespace", system, injector.EnabledLabel+"-"); err != nil {
		t.Error(err)
	}
	n.deleteNamespaces(t, unserved)
}

// testIgnore is the other failure policy: without a webhook pods start without their token.
// The audit finds them.
func (n *node) testIgnore(t *testing.T) {
	n.tellIfFailed(t)
	n.upgrade(t, "--set=webhook.failurePolicy=Ignore,audit.enabled=true")
	n.runInjected(t, "ignore")
	n.scale(t, "0")
	pod := podtest.Create(t, n.kube, apps, newPod("missed", "audience=vault"))
	t.Cleanup(func() { n.deletePod(t, apps, pod.Name) })
	if injected(pod) {
		t.Error("a pod is injected by nobody")
	}
	n.waitReady(t, apps, pod.Name)
	n.scale(t, "2")
	n.runInjected(t, "again")
	n.isMissed(t, pod)
}

// isMissed waits until the audit has told of a pod, and sees that one replica alone has.
func (n *node) isMissed(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	podtest.EventuallyWithin(t, 2*time.Minute, "the audit", func(ctx context.Context) error {
		events, err := n.kube.Client().EventsV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=NotInjected"})
		if err == nil && (len(events.Items) != 1 || events.Items[0].Regarding.UID != pod.UID) {
			err = fmt.Errorf("it has told of %d pods", len(events.Items))
		}
		return err
	})
	missed, leaders := 0.0, 0.0
	for _, webhook := range n.webhooks(t) {
		missed += n.metric(t, webhook.Name, "oidc_injector_missed_pods", "reason", "not_injected")
		leaders += n.metric(t, webhook.Name, "oidc_injector_audit_leader")
	}
	if missed != 1 || leaders != 1 {
		t.Errorf("%v replicas do the audit, and tell of %v missed pods", leaders, missed)
	}
}
