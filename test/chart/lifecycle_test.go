package chart

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/helm"
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
		install helm.Helm
		upgrade helm.Helm
		args    []string // of the upgrade
	}{
		{name: "helm 3", install: helm3, upgrade: helm3},
		{name: "helm 4", install: helm4, upgrade: helm4},
		{name: "helm 4 client-side", install: helm4, upgrade: helm4, args: []string{"--server-side=false"}},
		{name: "from helm 3 to helm 4", install: helm3, upgrade: helm4},
		{
			name: "from helm 3 to helm 4 server-side", install: helm3, upgrade: helm4,
			args: []string{"--server-side=true", "--force-conflicts"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withNamespace(t)
			gone := helm.NothingIsLeft(t, kube)
			install(t, tt.install)
			writeCertificates(t)

			tt.upgrade.MustRun(t, append([]string{
				"upgrade", release, chartDir, noHooks, registry,
				"--set=replicas=3,webhook.timeoutSeconds=7,commonLabels.a=b",
			}, tt.args...)...)
			certificatesAreKept(t, "the upgrade")
			if got := replicas(t); got != 3 {
				t.Errorf("after the upgrade there are %d replicas", got)
			}
			// Again, as whoever reconciles does.
			tt.upgrade.MustRun(t, append([]string{
				"upgrade", release, chartDir, noHooks, registry,
				"--set=replicas=3,webhook.timeoutSeconds=7,commonLabels.a=b",
			}, tt.args...)...)
			certificatesAreKept(t, "the second upgrade")

			tt.upgrade.MustRun(t, "rollback", release, "1")
			certificatesAreKept(t, "the rollback")
			if got := replicas(t); got != 2 {
				t.Errorf("after the rollback there are %d replicas", got)
			}

			tt.upgrade.MustRun(t, "uninstall", release, "--wait", "--timeout=60s")
			gone()
		})
	}
}

// TestForeignReplicas has the Deployment scaled by others, as an autoscaler does.
func TestForeignReplicas(t *testing.T) {
	const unset = "--set=replicas=null"
	for _, tt := range []struct {
		name      string
		helm      helm.Helm
		installed []string
	}{
		{"from the beginning with helm 3", helms[0], []string{unset}},
		{"from the beginning with helm 4", helms[1], []string{unset}},
		{"later with helm 3", helms[0], nil},
		{"later with helm 4", helms[1], nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withNamespace(t)
			install(t, tt.helm, tt.installed...)
			if _, err := kube.Kubectl(t.Context(), "--namespace="+namespace, "scale", "deployment", release, "--replicas=4"); err != nil {
				t.Fatal(err)
			}
			for _, timeout := range []string{"6", "7"} {
				tt.helm.MustRun(t, "upgrade", release, chartDir, noHooks, registry, unset, "--set=webhook.timeoutSeconds="+timeout)
				if got := replicas(t); got != 4 {
					t.Errorf("after an upgrade there are %d replicas", got)
				}
			}
			tt.helm.MustRun(t, "uninstall", release, "--wait", "--timeout=60s")
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
			gone := helm.NothingIsLeft(t, kube)
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

// TestRenderedChartCanBeApplied: `helm template | kubectl apply`.
func TestRenderedChartCanBeApplied(t *testing.T) {
	withNamespace(t)
	gone := helm.NothingIsLeft(t, kube)
	manifests, err := template(t, helms[0], "", "--no-hooks")
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

// TestCertificateModeChange: the bundle changes hands. The API server tells Helm 4 that
// it is the webhook's, and Helm has to be told to take it.
func TestCertificateModeChange(t *testing.T) {
	for _, h := range helms {
		t.Run(h.Name, func(t *testing.T) {
			withNamespace(t)
			install(t, h)
			writeCertificates(t)
			upgrade := []string{"upgrade", release, chartDir, noHooks, registry, "--values=-"}
			if h.Name == "helm4" {
				if _, err := h.RunWithInput(t.Context(), variants["secret"], upgrade...); err == nil ||
					!strings.Contains(err.Error(), "oidc-injector-certificates") {
					t.Errorf("Helm takes what is the webhook's: %v", err)
				}
				upgrade = append(upgrade, "--force-conflicts")
			}
			if _, err := h.RunWithInput(t.Context(), variants["secret"], upgrade...); err != nil {
				t.Fatal(err)
			}
			configuration, err := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), release,
				metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range configuration.Webhooks {
				if got := string(w.ClientConfig.CABundle); got != testCA {
					t.Errorf("%s has the bundle %q", w.Name, got)
				}
			}
			// The webhook makes its certificates anew.
			h.MustRun(t, "upgrade", release, chartDir, noHooks, registry, "--reset-values")
			writeCertificates(t)
			certificatesAreKept(t, "the way back")
		})
	}
}

// TestConfigMapsOfRunningPodsAreKept: Helm deletes what a release does not have any
// more, and pods of the release before may have to start again.
func TestConfigMapsOfRunningPodsAreKept(t *testing.T) {
	for _, h := range helms {
		t.Run(h.Name, func(t *testing.T) {
			withNamespace(t)
			install(t, h)
			configurations := func() []string {
				t.Helper()
				out, err := kube.Kubectl(t.Context(), "--namespace="+namespace, "get", "configmaps",
					"--selector=app.kubernetes.io/instance="+release, "--output=name")
				if err != nil {
					t.Fatal(err)
				}
				return strings.Fields(out)
			}
			first := configurations()
			podtest.Eventually(t, "a ReplicaSet", func(ctx context.Context) error {
				sets, err := kube.Client().AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
				if err == nil && len(sets.Items) == 0 {
					err = errors.New("there is none")
				}
				return err
			})
			h.MustRun(t, "upgrade", release, chartDir, noHooks, registry, "--set=config.maxExpiration=12h")
			if now := configurations(); len(first) != 1 || len(now) != 2 || !slices.Contains(now, first[0]) {
				t.Errorf("configurations %v, and after an upgrade %v", first, now)
			}
			h.MustRun(t, "uninstall", release, "--wait", "--timeout=60s")
		})
	}
}
