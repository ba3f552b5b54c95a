package chart

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestLabellingNeedsRight applies the policy of docs/hardening.md beside the chart's own: a
// tenant who may change namespaces needs the right of its own for the label.
func TestLabellingNeedsRight(t *testing.T) {
	const ns, user = "labelling", "tenant"
	apply(t, "apply", "--filename="+filepath.Join(root, "examples", "hardening", "namespace-label.yaml"))
	t.Cleanup(func() {
		if _, err := kube.Kubectl(context.WithoutCancel(t.Context()), "delete", "--filename="+
			filepath.Join(root, "examples", "hardening", "namespace-label.yaml")); err != nil {
			t.Error(err)
		}
	})
	if err := kube.Namespace(t.Context(), ns, nil); err != nil {
		t.Fatal(err)
	}
	apply(t, "create", "clusterrole", "labelling-tenant", "--verb=patch,get", "--resource=namespaces")
	apply(t, "create", "clusterrolebinding", "labelling-tenant", "--clusterrole=labelling-tenant", "--user="+user)
	config := rest.CopyConfig(kube.RESTConfig())
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	tenant, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	label := func(ctx context.Context, client kubernetes.Interface, label string) error {
		_, err := client.CoreV1().Namespaces().Patch(ctx, ns, types.StrategicMergePatchType,
			[]byte(`{"metadata":{"labels":{"`+label+`":"true"}}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	podtest.Eventually(t, "the policy is in force", func(ctx context.Context) error {
		err := label(ctx, tenant, "oidc-injector.io/enabled")
		if err == nil || !strings.Contains(err.Error(), "only who may \"enable\" namespaces.oidc-injector.io") {
			return fmt.Errorf("the answer to the label is %w", err)
		}
		return nil
	})
	if err := label(t.Context(), tenant, "other"); err != nil {
		t.Errorf("another label: %v", err)
	}
	if err := label(t.Context(), kube.Client(), "oidc-injector.io/enabled"); err != nil {
		t.Errorf("an administrator: %v", err)
	}
	apply(t, "create", "clusterrolebinding", "labelling-tenant-enables", "--clusterrole=oidc-injector-enable", "--user="+user)
	podtest.Eventually(t, "the right is enough", func(ctx context.Context) error {
		return label(ctx, tenant, "oidc-injector.io/enabled")
	})
}

// apply runs kubectl.
func apply(t *testing.T, args ...string) {
	t.Helper()
	if _, err := kube.Kubectl(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
}
