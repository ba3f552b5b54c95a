package install

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/test/internal/contained"
	"github.com/oidc-injector/oidc-injector/test/internal/metrics"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// shortCertificates has serving certificates replaced every 20 seconds, and a new CA sign
// after 3 seconds, so that both happen while the test looks.
const shortCertificates = "--set=certificates.managed.certificateDuration=30s"

// previousChart is the chart as an earlier release, with other values.
func previousChart(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), release)
	if err := os.CopyFS(dir, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "Chart.yaml")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := regexp.MustCompile(`(?m)^version: .*`).ReplaceAll(content, []byte("version: 0.0.1"))
	if bytes.Equal(changed, content) {
		t.Fatal("the chart has no version")
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// installPrevious installs the earlier release, by Helm 3.
func (n *node) installPrevious(t *testing.T) {
	t.Helper()
	n.tellIfFailed(t)
	n.installFrom(t, n.helm3, previousChart(t), shortCertificates, "--set=log.level=debug,webhook.timeoutSeconds=7")
	n.serveApps(t)
	n.runInjected(t, "before")
}

// upgrade upgrades to the chart by Helm 4 and waits until the webhook has settled.
func (n *node) upgrade(t *testing.T, args ...string) {
	t.Helper()
	n.helm4.MustRun(t, append(append([]string{"upgrade", release, chart, "--wait", "--timeout=3m", shortCertificates}, images...),
		args...)...)
	n.settle(t)
}

func (n *node) testUpgrade(t *testing.T) {
	n.underLoad(t, tolerance{}, func() { n.upgrade(t) })
	if got := n.timeout(t); got != 5 {
		t.Errorf("after the upgrade the API server waits for %d s", got)
	}
	n.helmTest(t, n.helm4)
}

func (n *node) testRollback(t *testing.T) {
	n.underLoad(t, tolerance{}, func() {
		n.helm4.MustRun(t, "rollback", release, "1", "--wait", "--timeout=3m")
		n.settle(t)
	})
	if got := n.timeout(t); got != 7 {
		t.Errorf("after the rollback the API server waits for %d s", got)
	}
}

// timeout is how long the API server waits for the webhook, in seconds.
func (n *node) timeout(t *testing.T) int32 {
	t.Helper()
	configuration, err := n.kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), release,
		metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return *configuration.Webhooks[0].TimeoutSeconds
}

// settle waits until there are two webhooks that are ready, and no others.
func (n *node) settle(t *testing.T) {
	t.Helper()
	podtest.EventuallyWithin(t, 2*time.Minute, "two webhooks", func(context.Context) error {
		pods := n.webhooks(t)
		for i := range pods {
			if pods[i].DeletionTimestamp != nil || readyAfter(&pods[i]) < 0 {
				return fmt.Errorf("pod %s is not ready, or ends", pods[i].Name)
			}
		}
		if len(pods) != 2 {
			return fmt.Errorf("there are %d", len(pods))
		}
		return nil
	})
}

func (n *node) testRollingRestart(t *testing.T) {
	n.underLoad(t, tolerance{}, func() {
		n.kubectl(t, "rollout", "restart", "deployment/"+release)
		n.kubectl(t, "rollout", "status", "deployment/"+release, "--timeout=2m")
		n.settle(t)
	})
}

// testDeleted takes a pod away without the time to end in order.
func (n *node) testDeleted(t *testing.T) {
	n.underLoad(t, tolerance{denied: true}, func() {
		n.deletePod(t, namespace, n.busiest(t).Name)
		n.settle(t)
		// The kubelet gives the program two seconds, while the API has no pod any more.
		time.Sleep(3 * time.Second)
	})
}

// testKilled kills the program, as the kernel does where memory ends.
func (n *node) testKilled(t *testing.T) {
	n.underLoad(t, tolerance{denied: true}, func() {
		pod := n.busiest(t)
		contained.Find(t, pod.Status.ContainerStatuses[0]).Kill(t)
		podtest.Eventually(t, "the container to start again", func(ctx context.Context) error {
			again, err := n.kube.Client().CoreV1().Pods(namespace).Get(ctx, pod.Name, metav1.GetOptions{})
			if err == nil && again.Status.ContainerStatuses[0].RestartCount == pod.Status.ContainerStatuses[0].RestartCount {
				err = fmt.Errorf("it was not: %+v", again.Status.ContainerStatuses[0].State)
			}
			return err
		})
		n.settle(t)
	})
}

// busiest is the webhook that has most to do at the moment: an API server keeps its
// connections, so that the other one may have nothing.
func (n *node) busiest(t *testing.T) *corev1.Pod {
	t.Helper()
	pods := n.webhooks(t)
	before := make([]float64, len(pods))
	for i := range pods {
		before[i] = n.metric(t, pods[i].Name, "oidc_injector_admissions_total")
	}
	time.Sleep(time.Second)
	best, most := 0, -1.0
	for i := range pods {
		admissions := n.metric(t, pods[i].Name, "oidc_injector_admissions_total") - before[i]
		t.Logf("%s has answered %v admissions in the last second", pods[i].Name, admissions)
		if admissions > most {
			best, most = i, admissions
		}
	}
	return &pods[best]
}

// metric is one of a webhook, read through the API server; zero where it has none yet.
func (n *node) metric(t *testing.T, pod, name string, labels ...string) float64 {
	t.Helper()
	text := n.kubectl(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+":8080/proxy/metrics")
	value, err := metrics.Value([]byte(text), name, labels...)
	if err != nil {
		return 0
	}
	return value
}

func (n *node) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := n.kube.Kubectl(t.Context(), append([]string{"--namespace=" + namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// testEvicted does what draining nodes does: it takes a pod away in order, and is kept
// from taking the other one before there is a new one.
func (n *node) testEvicted(t *testing.T) {
	n.underLoad(t, tolerance{}, func() {
		pods := n.webhooks(t)
		if err := n.evict(t, pods[0].Name); err != nil {
			t.Fatal(err)
		}
		if err := n.evict(t, pods[1].Name); !apierrors.IsTooManyRequests(err) {
			t.Errorf("the last webhook can be evicted: %v", err)
		}
		n.settle(t)
	})
}

func (n *node) evict(t *testing.T, pod string) error {
	t.Helper()
	// Not by client-go, which tries a refused eviction again and again.
	config := n.kube.RESTConfig()
	config.GroupVersion, config.NegotiatedSerializer = &policyv1.SchemeGroupVersion, scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: namespace}}
	return client.Post().AbsPath("/api/v1/namespaces/" + namespace + "/pods/" + pod + "/eviction").
		MaxRetries(0).Body(eviction).Do(t.Context()).Error()
}

// testServingRotation waits until both webhooks have replaced their certificates.
func (n *node) testServingRotation(t *testing.T) {
	n.underLoad(t, tolerance{}, func() {
		pods := n.webhooks(t)
		var before []*x509.Certificate
		for i := range pods {
			before = append(before, n.certificate(t, &pods[i]))
		}
		for i := range pods {
			podtest.Eventually(t, "another certificate", func(context.Context) error {
				if n.certificate(t, &pods[i]).Equal(before[i]) {
					return fmt.Errorf("%s serves the old one", pods[i].Name)
				}
				return nil
			})
		}
	})
}

// certificate is what a webhook serves now, verified as the API server does.
func (n *node) certificate(t *testing.T, pod *corev1.Pod) *x509.Certificate {
	t.Helper()
	certificate, err := n.handshake(t.Context(), pod, n.bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// testCARotation asks for another CA, and waits until both webhooks serve by it.
func (n *node) testCARotation(t *testing.T) {
	n.underLoad(t, tolerance{}, func() {
		before, began := n.caSecret(t), time.Now()
		n.kubectl(t, "annotate", "secret", release+"-ca", "oidc-injector.io/rotate-ca=now")
		var after *corev1.Secret
		podtest.Eventually(t, "another CA", func(context.Context) error {
			if after = n.caSecret(t); bytes.Equal(after.Data["tls.crt"], before.Data["tls.crt"]) {
				return errors.New("the old one still signs")
			}
			return nil
		})
		t.Logf("the new CA signs after %v", time.Since(began).Round(time.Millisecond))
		pods := n.webhooks(t)
		for i := range pods {
			podtest.Eventually(t, "a certificate of the new CA", func(ctx context.Context) error {
				_, err := n.handshake(ctx, &pods[i], after.Data["tls.crt"])
				return err
			})
		}
		t.Logf("both webhooks serve by it after %v", time.Since(began).Round(time.Millisecond))
		if !bytes.Contains(n.bundle(t), bytes.TrimSpace(before.Data["tls.crt"])) {
			t.Error("the API server does not trust the old CA any more, whose certificates may still be served")
		}
	})
}

// testRetiredCA waits until the old CA has left the bundle, a while after its last
// certificate has expired.
func (n *node) testRetiredCA(t *testing.T) {
	podtest.EventuallyWithin(t, 2*time.Minute, "the old CA to leave", func(context.Context) error {
		if count := bytes.Count(n.bundle(t), []byte("BEGIN CERTIFICATE")); count != 1 {
			return fmt.Errorf("the bundle has %d certificates", count)
		}
		return nil
	})
}

func (n *node) caSecret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := n.kube.Client().CoreV1().Secrets(namespace).Get(t.Context(), release+"-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (n *node) bundle(t *testing.T) []byte {
	t.Helper()
	configuration, err := n.kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), release,
		metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return configuration.Webhooks[0].ClientConfig.CABundle
}

// testBundleOverwritten empties the bundle. Until the webhook has written it again, the API
// server cannot verify it, and denies.
func (n *node) testBundleOverwritten(t *testing.T) {
	n.underLoad(t, tolerance{denied: true}, func() {
		before := n.bundle(t)
		patch := `[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"}]`
		if _, err := n.kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().
			Patch(t.Context(), release, types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		podtest.Eventually(t, "the bundle to be there again", func(context.Context) error {
			if !bytes.Equal(n.bundle(t), before) {
				return fmt.Errorf("it is %q", n.bundle(t))
			}
			return nil
		})
	})
}

// testConfiguration changes the policy, which is in force when Helm returns. The pods before
// go on with what they had.
func (n *node) testConfiguration(t *testing.T) {
	forbidden := func() error {
		_, err := n.kube.Client().CoreV1().Pods(apps).
			Create(t.Context(), newPod("forbidden", "audience=forbidden"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	n.underLoad(t, tolerance{}, func() {
		n.upgrade(t, "--set=config.policy.audiences.denied={forbidden}")
		if err := forbidden(); err == nil || !strings.Contains(err.Error(), "forbidden") {
			t.Errorf("with the new policy: %v", err)
		}
		n.settle(t)
	})
	n.underLoad(t, tolerance{}, func() { n.refuseConfiguration(t) })
	if err := forbidden(); err == nil {
		t.Error("a configuration that was refused has changed the policy")
	}
	n.underLoad(t, tolerance{denied: true}, func() { n.surviveConfiguration(t) })
	if err := forbidden(); err == nil {
		t.Error("a configuration that does not start has changed the policy")
	}
}

// badConfiguration is one that only the program recognizes.
const badConfiguration = "--set=config.policy.audiences.denied={forbidden},config.defaults.mount-path=/a:b"

// refuseConfiguration tries a bad configuration, which changes nothing.
func (n *node) refuseConfiguration(t *testing.T) {
	t.Helper()
	before := n.kubectl(t, "get", "deployments,replicasets,configmaps", "--output=name")
	out, err := n.helm4.Run(t.Context(), append([]string{"upgrade", release, chart, "--timeout=2m", shortCertificates, badConfiguration},
		images...)...)
	if err == nil {
		t.Fatal("a bad configuration was installed")
	}
	const problem = `defaults[mount-path]: Invalid value: "/a:b"`
	if log := n.kubectl(t, "logs", "job/"+release+"-config-check"); !strings.Contains(log, problem) {
		t.Errorf("the log of the check: %s", log)
	}
	if said := out + err.Error(); !strings.Contains(strings.ReplaceAll(said, `\"`, `"`), problem) {
		t.Errorf("Helm says %s", said)
	}
	if after := n.kubectl(t, "get", "deployments,replicasets,configmaps", "--output=name"); after != before {
		t.Errorf("before it there was\n%s\nand after it\n%s", before, after)
	}
}

// surviveConfiguration installs a bad configuration without the check, and starts pods again in
// every order: those of before go on with the good one.
func (n *node) surviveConfiguration(t *testing.T) {
	t.Helper()
	good := n.webhooks(t)
	n.helm4.MustRun(t, append([]string{"upgrade", release, chart, shortCertificates, badConfiguration, "--set=configCheck.enabled=false"},
		images...)...)
	podtest.EventuallyWithin(t, time.Minute, "a pod that does not start", func(context.Context) error {
		for _, pod := range n.webhooks(t) {
			if len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].RestartCount > 0 {
				return nil
			}
		}
		return errors.New("all run")
	})
	ready := func() {
		t.Helper()
		podtest.EventuallyWithin(t, 2*time.Minute, "two webhooks beside it", func(context.Context) error {
			count := 0
			for _, pod := range n.webhooks(t) {
				if pod.DeletionTimestamp == nil && readyAfter(&pod) >= 0 {
					count++
				}
			}
			if count != 2 {
				return fmt.Errorf("%d are ready", count)
			}
			return nil
		})
	}
	// A program that starts again in its pod, a pod that is made anew, and all at once.
	n.kubectl(t, "delete", "pod", good[0].Name, "--wait=false")
	ready()
	for _, pod := range n.webhooks(t) {
		if readyAfter(&pod) >= 0 {
			contained.Find(t, pod.Status.ContainerStatuses[0]).Kill(t)
			break
		}
	}
	ready()
	n.kubectl(t, "rollout", "restart", "deployment/"+release)
	time.Sleep(5 * time.Second)
	ready()
	n.upgrade(t, "--set=config.policy.audiences.denied={forbidden}")
}

func (n *node) testAPIServerRestarted(t *testing.T) {
	n.underLoad(t, tolerance{away: true}, func() {
		if err := n.kube.RestartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// maxResident is a good part below the limit of the chart, 128 MiB.
const maxResident = 64 << 20

// testMemory tells what the webhooks take after all that.
func (n *node) testMemory(t *testing.T) {
	for _, pod := range n.webhooks(t) {
		process := contained.Find(t, pod.Status.ContainerStatuses[0])
		resident, peak := process.Memory(t, "VmRSS"), process.Memory(t, "VmHWM")
		charged, chargedPeak := process.Cgroup(t)
		t.Logf("%s, after %v admissions and %v serving certificates: resident %.1f MiB, at most %.1f MiB; "+
			"charged to the control group %.1f MiB, at most %.1f MiB",
			pod.Name, n.metric(t, pod.Name, "oidc_injector_admissions_total"),
			1+n.metric(t, pod.Name, "oidc_injector_certificate_rotations_total", "certificate", "serving"),
			mebibytes(resident), mebibytes(peak), mebibytes(charged), mebibytes(chargedPeak))
		if peak > maxResident {
			t.Errorf("%s had %.1f MiB resident", pod.Name, mebibytes(peak))
		}
	}
}

func mebibytes(n int) float64 { return float64(n) / (1 << 20) }
