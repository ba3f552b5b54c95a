// Package shapes creates pods of all shapes through a real API server, without and
// with our annotations, and compares what is stored.
package shapes

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
)

const (
	// ns is where the shapes are created. What violates the Pod Security Standard
	// "restricted" gets a warning there.
	ns = "shapes"
	// loginImage is never pulled: without a node no pod starts.
	loginImage = "oidc-login:1.0"
)

var (
	kube *cluster.Cluster
	// client hands warnings to whoever makes the request; see dryRun.
	client kubernetes.Interface
)

// configuration has the resources of a login container that the chart has by default.
const configuration = `
apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
login:
  image: ` + loginImage + `
  resources:
    requests: {cpu: 5m, memory: 16Mi}
    limits: {memory: 32Mi}
policy:
  loginAddresses: {allowed: ["https://*.example.com:*", "https://example.cloud.databricks.com"]}
`

// gates are those of fields that the API server would drop without a word.
var gates = []string{
	"AtomicWriteVolumeUserFields", "ContainerStopSignals", "CrossNamespaceVolumeDataSource", "EmptyDirVolumeMode",
	"EvictionRequestAPI", "GRPCContainerProbeTLS", "GenericWorkload", "H2CContainerProbe", "VolumeBindMountOptions",
}

// TestMain lets more requests be on their way at a time than there are CPUs.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(cluster.Main(m, cluster.Setup{Name: "shapes", Options: options, Prepare: start}))
}

func options(string) (cluster.Options, error) {
	return cluster.Options{FeatureGates: gates}, nil
}

func start(ctx context.Context, c *cluster.Cluster, dir string) (end func(context.Context, int) error, err error) {
	kube = c
	webhook, err := injector.Start(ctx, kube, injector.Options{Dir: dir, Config: configuration})
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, code int) error {
		if code != 0 {
			fmt.Fprintf(os.Stderr, "the end of the webhook's log:\n%s", tail(webhook.Log(), 4000))
		}
		return webhook.Stop()
	}, prepare(ctx)
}

func tail(text string, most int) string { return text[max(0, len(text)-most):] }

// prepare makes what the shapes refer to and the API server looks for.
func prepare(ctx context.Context) error {
	config := kube.RESTConfig()
	config.WarningHandlerWithContext = collector{}
	var err error
	if client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	labels := map[string]string{injector.EnabledLabel: "true", "pod-security.kubernetes.io/warn": "restricted"}
	if err := kube.Namespace(ctx, ns, labels); err != nil {
		return err
	}
	if err := policies(ctx); err != nil {
		return err
	}
	robot := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}
	for _, namespace := range []string{ns, policyNS} {
		if _, err := client.CoreV1().ServiceAccounts(namespace).Create(ctx, robot, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	never := corev1.PreemptNever
	high := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000, PreemptionPolicy: &never}
	if _, err := client.SchedulingV1().PriorityClasses().Create(ctx, high, metav1.CreateOptions{}); err != nil {
		return err
	}
	sandboxed := &nodev1.RuntimeClass{
		ObjectMeta: metav1.ObjectMeta{Name: "sandboxed"}, Handler: "sandboxed",
		Overhead: &nodev1.Overhead{PodFixed: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("8Mi"),
		}},
	}
	_, err = client.NodeV1().RuntimeClasses().Create(ctx, sandboxed, metav1.CreateOptions{})
	return err
}
