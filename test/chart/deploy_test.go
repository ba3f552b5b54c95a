package chart

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestDeployIsTheChart: deploy/ is the chart with its defaults and a namespace. That it
// is up to date byte by byte is what hack/generate --check says.
func TestDeployIsTheChart(t *testing.T) {
	out, err := kube.Kubectl(t.Context(), "kustomize", filepath.Join(root, "deploy"))
	if err != nil {
		t.Fatal(err)
	}
	deployed, want := parse(t, out), render(t, "", "--skip-tests")
	if got := deployed.at(t, `Namespace/oidc-injector {.metadata.labels.pod-security\.kubernetes\.io/enforce}`); got != "restricted" {
		t.Errorf("the namespace enforces %q", got)
	}
	delete(deployed, "Namespace/oidc-injector")
	for _, object := range want {
		dropLabels(object)
	}
	if diff := cmp.Diff(want, deployed); diff != "" {
		t.Errorf("deploy/ is not the chart (-chart +deploy):\n%s", diff)
	}
}

// dropLabels removes what only Helm has a use for.
func dropLabels(object *unstructured.Unstructured) {
	labels := object.GetLabels()
	for key := range labels {
		if strings.HasPrefix(key, "helm.sh/") || key == "app.kubernetes.io/managed-by" {
			delete(labels, key)
		}
	}
	object.SetLabels(labels)
}
