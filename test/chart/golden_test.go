package chart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestGolden compares everything that the variants render with what it was. Order
// and comments are left to Helm.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, values := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rendered := render(t, values)
			delete(rendered, "ConfigMap/oidc-injector-dashboard") // long, and a file of its own
			compareGolden(t, name, rendered)
		})
	}
}

func compareGolden(t *testing.T, name string, rendered objects) {
	t.Helper()
	got, err := yaml.Marshal(rendered)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", name+".golden.yaml")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the chart renders something else (-want +got); if that is meant, `make golden`:\n%s", diff)
	}
}
