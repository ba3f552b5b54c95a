package shapes

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestExamplesOfProviders has the API server take each example, with the variables that
// the SDK reads, and its file.
func TestExamplesOfProviders(t *testing.T) {
	t.Parallel()
	for _, name := range provider.BuiltIn().Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(filepath.Join("../../../examples/providers", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			_, manifest, _ := bytes.Cut(content, []byte("\n---\n"))
			var pod corev1.Pod
			if err := yaml.UnmarshalStrict(manifest, &pod); err != nil {
				t.Fatal(err)
			}
			pod.Name, pod.Spec.ServiceAccountName = "provider-"+name, "default"
			got := podtest.Create(t, kube, ns, &pod)
			at := slices.IndexFunc(got.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "oidc-token-"+name })
			if at < 0 {
				t.Fatalf("volumes %v", got.Spec.Volumes)
			}
			sources := got.Spec.Volumes[at].Projected.Sources
			p := provider.BuiltIn().Get(name)
			if withFile := len(sources) == 2 && got.Annotations[podtest.Prefix+"file."+name] != ""; withFile != (p.File != nil) {
				t.Errorf("sources %v", sources)
			}
			for _, v := range p.Env {
				if !slices.ContainsFunc(p.Parameters, func(q provider.Parameter) bool { return v.Value == "${"+q.Name+"}" }) &&
					podtest.Env(got, "app", v.Name) == "" {
					t.Errorf("the app has no %s", v.Name)
				}
			}
		})
	}
}
