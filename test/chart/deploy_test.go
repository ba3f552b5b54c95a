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
	deployed, want := parse(t, out), render(t, "", "--no-hooks")
	if got := deployed.at(t, `Namespace/oidc-injector {.metadata.labels.pod-security\.kubernetes\.io/enforce}`); got != "restricted" {
		t.Errorf("the namespace enforces %q", got)
	}
	delete(deployed, "Namespace/oidc-injector")
	for _, object := range want {
		dropLabels(object)
	}
	// Its name is that of kustomize, and a comment stands before it.
	const config = "ConfigMap/oidc-injector-config"
	if got := deployed.at(t, configMap); !strings.HasSuffix(got, "\n"+want.at(t, configMap)) ||
		deployed.at(t, config+" {.immutable}") != "true" {
		t.Errorf("deploy/ has the configuration\n%s", got)
	}
	if got, name := deployed.at(t, deployment+` {.spec.template.spec.volumes[?(@.name=="config")].configMap.name}`),
		deployed.at(t, configMapName); got != name {
		t.Errorf("the Deployment has the ConfigMap %s, and there is %s", got, name)
	}
	template := want["Deployment/oidc-injector"].Object["spec"].(map[string]any)["template"].(map[string]any)
	volumes := template["spec"].(map[string]any)["volumes"].([]any)
	volumes[0].(map[string]any)["configMap"].(map[string]any)["name"] = deployed[config].GetName()
	delete(deployed, config)
	delete(want, config)
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
