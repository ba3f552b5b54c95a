package chart

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

const release = "oidc-injector"

// replicas waits for nothing: it reads what the Deployment asks for.
func replicas(t *testing.T) int32 {
	t.Helper()
	deployment, err := kube.Client().AppsV1().Deployments(namespace).Get(t.Context(), "oidc-injector", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return *deployment.Spec.Replicas
}

// inventory lists all objects of the cluster, but those that come and go by themselves.
func inventory(ctx context.Context) ([]string, error) {
	client, err := metadata.NewForConfig(kube.RESTConfig())
	if err != nil {
		return nil, err
	}
	lists, err := kube.Client().Discovery().ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	transient := []string{"events", "leases", "componentstatuses"}
	var names []string
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, kind := range list.APIResources {
			if !slices.Contains(kind.Verbs, "list") || slices.Contains(transient, kind.Name) {
				continue
			}
			found, err := client.Resource(gv.WithResource(kind.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("could not list %s: %w", kind.Name, err)
			}
			for i := range found.Items {
				names = append(names, kind.Name+" "+found.Items[i].Namespace+"/"+found.Items[i].Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// nothingIsLeft remembers what there is, and the function that it returns waits until
// there is no more.
func nothingIsLeft(t *testing.T) (check func()) {
	t.Helper()
	before, err := inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		podtest.Eventually(t, "all to be gone", func(ctx context.Context) error {
			after, err := inventory(ctx)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(before, after); diff != "" {
				return fmt.Errorf("left behind (-before +after):\n%s", diff)
			}
			return nil
		})
	}
}

// withNamespace makes the namespace of the installation.
func withNamespace(t *testing.T) {
	t.Helper()
	if err := kube.Namespace(t.Context(), namespace, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deleteNamespace(t, namespace) })
}

// TestLifecycle has each Helm, and one after the other, install, upgrade, roll back and
// uninstall. Between them the webhook, which is played here, writes its certificates.
func TestLifecycle(t *testing.T) {
	helm3, helm4 := helms[0], helms[1]
	for _, tt := range []struct {
		name    string
		install helm
		upgrade helm
		args    []string // of the upgrade
	}{
		{name: "helm 3", install: helm3, upgrade: helm3},
		{name: "helm 4", install: helm4, upgrade: helm4},
		{name: "helm 4 client-side", install: helm4, upgrade: helm4, args: []string{"--server-side=false"}},
		{name: "from helm 3 to helm 4", install: helm3, upgrade: helm4},
		{name: "from helm 3 to helm 4 server-side", install: helm3, upgrade: helm4, args: []string{"--server-side=true", "--force-conflicts"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withNamespace(t)
			gone := nothingIsLeft(t)
			install(t, tt.install)
			writeCertificates(t)

			tt.upgrade.mustRun(t, append([]string{"upgrade", release, chartDir, "--set=replicas=3,webhook.timeoutSeconds=7,commonLabels.a=b"}, tt.args...)...)
			certificatesAreKept(t, "the upgrade")
			if got := replicas(t); got != 3 {
				t.Errorf("after the upgrade there are %d replicas", got)
			}
			// Again, as whoever reconciles does.
			tt.upgrade.mustRun(t, append([]string{"upgrade", release, chartDir, "--set=replicas=3,webhook.timeoutSeconds=7,commonLabels.a=b"}, tt.args...)...)
			certificatesAreKept(t, "the second upgrade")

			tt.upgrade.mustRun(t, "rollback", release, "1")
			certificatesAreKept(t, "the rollback")
			if got := replicas(t); got != 2 {
				t.Errorf("after the rollback there are %d replicas", got)
			}

			tt.upgrade.mustRun(t, "uninstall", release, "--wait", "--timeout=60s")
			gone()
		})
	}
}

// TestApply is the installation without Helm.
func TestApply(t *testing.T) {
	deploy := filepath.Join(root, "deploy")
	for name, args := range map[string][]string{
		"client-side": {"apply", "--kustomize", deploy},
		"server-side": {"apply", "--server-side", "--kustomize", deploy},
	} {
		t.Run(name, func(t *testing.T) {
			gone := nothingIsLeft(t)
			if _, err := kube.Kubectl(t.Context(), args...); err != nil {
				t.Fatal(err)
			}
			writeCertificates(t)
			out, err := kube.Kubectl(t.Context(), args...)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out) {
				// kubectl always replaces the selector of a PodDisruptionBudget as a whole.
				if strings.HasSuffix(line, " configured\n") && !strings.HasPrefix(line, "poddisruptionbudget") {
					t.Errorf("applied again, it changes something: %s", line)
				}
			}
			certificatesAreKept(t, "applying it again")
			if _, err := kube.Kubectl(t.Context(), "delete", "--kustomize", deploy, "--timeout=60s"); err != nil {
				t.Fatal(err)
			}
			gone()
		})
	}
}

// TestTheRenderedChartCanBeApplied: `helm template | kubectl apply`.
func TestTheRenderedChartCanBeApplied(t *testing.T) {
	withNamespace(t)
	gone := nothingIsLeft(t)
	manifests, err := helms[0].template(t, "", "--skip-tests")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := kube.Apply(t.Context(), manifests); err != nil {
			t.Fatal(err)
		}
		writeCertificates(t)
	}
	if err := kube.Apply(t.Context(), manifests); err != nil {
		t.Fatal(err)
	}
	certificatesAreKept(t, "applying it again")
	if _, err := kube.KubectlWithInput(t.Context(), strings.NewReader(manifests), "delete", "--filename=-", "--timeout=60s"); err != nil {
		t.Fatal(err)
	}
	gone()
}

// TestAnotherModeOfCertificates: the bundle changes hands. The API server tells Helm 4 that
// it is the webhook's, and Helm has to be told to take it.
func TestAnotherModeOfCertificates(t *testing.T) {
	for _, h := range helms {
		t.Run(h.name, func(t *testing.T) {
			withNamespace(t)
			install(t, h)
			writeCertificates(t)
			upgrade := []string{"upgrade", release, chartDir, "--values=-"}
			if h.name == "helm4" {
				if _, err := h.runWithInput(t.Context(), variants["secret"], upgrade...); err == nil || !strings.Contains(err.Error(), "oidc-injector-certificates") {
					t.Errorf("Helm takes what is the webhook's: %v", err)
				}
				upgrade = append(upgrade, "--force-conflicts")
			}
			if _, err := h.runWithInput(t.Context(), variants["secret"], upgrade...); err != nil {
				t.Fatal(err)
			}
			configuration, err := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), release, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range configuration.Webhooks {
				if got := string(w.ClientConfig.CABundle); got != testCA {
					t.Errorf("%s has the bundle %q", w.Name, got)
				}
			}
			// The webhook makes its certificates anew.
			h.mustRun(t, "upgrade", release, chartDir, "--reset-values")
			writeCertificates(t)
			certificatesAreKept(t, "the way back")
		})
	}
}
