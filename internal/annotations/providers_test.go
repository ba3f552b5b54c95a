package annotations_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// TestExamplesOfProviders: each provider has one, which asks for its token and nothing
// else, without a warning.
func TestExamplesOfProviders(t *testing.T) {
	t.Parallel()
	p := newParser()
	p.Providers = provider.BuiltIn()
	for _, name := range provider.BuiltIn().Names() {
		content, err := os.ReadFile(filepath.Join("../../examples/providers", name+".yaml"))
		if err != nil {
			t.Error(err)
			continue
		}
		_, pod, _ := bytes.Cut(content, []byte("\n---\n"))
		var object struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		}
		if err := yaml.Unmarshal(pod, &object); err != nil {
			t.Fatal(err)
		}
		spec, warnings, errs := p.Parse(annotations.Input{
			Annotations: annotations.FromMap(object.Metadata.Annotations),
			Pod:         provider.Pod{Namespace: "shop", Name: "app", ServiceAccountName: "app"},
		})
		expect(t, name+": errors", nil, texts(errs))
		expect(t, name+": warnings", nil, warnings)
		if len(spec.Tokens) != 1 || spec.Tokens[0].Name != name || len(spec.Tokens[0].Variables) == 0 {
			t.Errorf("%s: tokens %+v", name, spec.Tokens)
		}
	}
	files, err := filepath.Glob("../../examples/providers/*.yaml")
	if err != nil || len(files) != len(provider.BuiltIn().Names()) {
		t.Errorf("%d examples, %v", len(files), err)
	}
}
