package chart

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/test/internal/certmanager"
)

// withCRDs has the API server know the kinds of cert-manager and of the Prometheus
// operator.
func withCRDs(t *testing.T) {
	t.Helper()
	crds.Do(func() {
		manifests, err := os.ReadFile(filepath.Join("testdata", "prometheus-operator.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := kube.Apply(t.Context(), string(manifests)); err != nil {
			t.Fatal(err)
		}
		certmanager.Define(t, root, kube) // and waits for all of them
	})
}

var crds sync.Once

// dryRun shows objects to the API server, which has to accept each without an
// unknown field.
func dryRun(t *testing.T, all objects) {
	t.Helper()
	var manifests strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, err := yaml.Marshal(all[name])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&manifests, "---\n%s", text)
	}
	out, err := kube.KubectlWithInput(t.Context(), strings.NewReader(manifests.String()),
		"create", "--dry-run=server", "--validate=strict", "--filename=-", "--output=name")
	if err != nil {
		t.Error(err)
	}
	if got := strings.Count(out, "\n"); got != len(all) {
		t.Errorf("%d of %d objects were accepted:\n%s", got, len(all), out)
	}
}

// TestVariantsAreAccepted includes Pod Security: the API server warns,
// and with "enforce" refuses, what is not restricted.
func TestVariantsAreAccepted(t *testing.T) {
	withCRDs(t)
	for _, namespace := range []string{"oidc-injector", testNamespace} {
		if err := kube.Namespace(t.Context(), namespace, nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { deleteNamespace(t, namespace) })
	}
	for name, values := range variants {
		t.Run(name, func(t *testing.T) {
			all := render(t, values)
			if all["Pod/oidc-injector-test"] == nil {
				t.Error("there is no test")
			}
			delete(all, "Pod/oidc-injector-test") // its ServiceAccount is not there in a dry run
			// The namespace of the test is there already.
			delete(all, "Namespace/"+testNamespace)
			dryRun(t, all)
		})
	}
}

func TestPodsAreRestricted(t *testing.T) {
	const namespace = "pod-security"
	if err := kube.Namespace(t.Context(), namespace, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"default": true, "cert-manager": true, "secret": true, "everything": true,
		"private-control-plane": false,
	} {
		t.Run(name, func(t *testing.T) {
			all := render(t, variants[name])
			template, found, err := unstructured.NestedMap(all["Deployment/oidc-injector"].Object, "spec", "template", "spec")
			if err != nil || !found {
				t.Fatalf("the Deployment has no pod: %v", err)
			}
			delete(template, "serviceAccountName")
			pod := map[string]any{
				"apiVersion": "v1", "kind": "Pod", "spec": template,
				"metadata": map[string]any{"name": "pod", "namespace": namespace},
			}
			delete(template, "priorityClassName") // no quota speaks of it in this namespace
			err = createDryRun(t, pod)
			if want && err != nil {
				t.Error(err)
			}
			if !want && (err == nil || !strings.Contains(err.Error(), "violates PodSecurity")) {
				t.Errorf("a pod on the host's network gets: %v", err)
			}
		})
	}
}

func createDryRun(t *testing.T, object map[string]any) error {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	_, err = kube.KubectlWithInput(t.Context(), strings.NewReader(string(text)), "create", "--dry-run=server", "--validate=strict",
		"--filename=-")
	return err
}

// deleteNamespace deletes a namespace and waits until it is gone.
func deleteNamespace(t *testing.T, name string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if _, err := kube.Kubectl(ctx, "delete", "namespace", name, "--timeout=60s"); err != nil {
		t.Error(err)
	}
}
