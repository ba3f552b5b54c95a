package injector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/policymode"
	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// ApplyPolicies has the API server do itself, in namespaces with the labels, what a webhook
// with the configuration would do. It waits until that is so in a namespace that has them.
func ApplyPolicies(ctx context.Context, c *cluster.Cluster, configuration, namespace string, labels map[string]string) error {
	cfg, err := config.Parse([]byte(configuration), config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		return err
	}
	var manifests strings.Builder
	for _, object := range policymode.Policies(cfg, policymode.Options{
		Name: "oidc-injector", Version: version, NamespaceSelector: &metav1.LabelSelector{MatchLabels: labels},
	}) {
		manifest, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		manifests.WriteString("---\n" + string(manifest))
	}
	if err := c.Apply(ctx, manifests.String()); err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		last = policiesInForce(ctx, c, namespace)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the policies are not in force: %w: %w", err, last)
	}
	return nil
}

// policiesInForce reports which of the policies has no effect yet.
func policiesInForce(ctx context.Context, c *cluster.Cluster, namespace string) error {
	said := &podtest.Warnings{}
	restConfig := c.RESTConfig()
	restConfig.WarningHandler = said
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return err
	}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	doubtful := podtest.New("probe", "audience=probe", "unknown=")
	wrong := podtest.New("probe", "audience=probe", "expiration=1s")
	wrong.Labels = map[string]string{"app": "probe"}
	created, err := client.CoreV1().Pods(namespace).Create(ctx, doubtful, dryRun)
	switch {
	case err != nil:
		return err
	case created.Annotations[podtest.Prefix+"status"] == "":
		return errors.New("a pod is not injected")
	case len(said.Texts()) == 0:
		return errors.New("a doubtful pod has no warning")
	}
	if _, err := client.CoreV1().Pods(namespace).Create(ctx, wrong, dryRun); err == nil {
		return errors.New("a wrong pod is admitted")
	}
	before := len(said.Texts())
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: appsv1.ReplicaSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: wrong.Labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: wrong.Labels, Annotations: wrong.Annotations}, Spec: wrong.Spec,
		},
	}}
	_, err = client.AppsV1().ReplicaSets(namespace).Create(ctx, set, dryRun)
	if err == nil && len(said.Texts()) == before {
		err = errors.New("a wrong workload has no warning")
	}
	return err
}
