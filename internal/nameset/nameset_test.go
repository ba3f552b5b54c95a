package nameset_test

import (
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/nameset"
)

func TestSet(t *testing.T) {
	t.Parallel()
	s := nameset.New([]string{"istio-proxy", "datadog-lib-*-init", "linkerd-?"})
	for name, want := range map[string]bool{
		"istio-proxy": true, "istio-proxy2": false, "istio": false, "": false,
		"datadog-lib-java-init": true, "datadog-lib--init": true, "datadog-lib-java": false,
		"linkerd-1": true, "linkerd-": false, "linkerd-12": false,
	} {
		if s.Has(name) != want {
			t.Errorf("Has(%q) is %t", name, !want)
		}
	}
	if s.Len() != 3 {
		t.Errorf("Len() is %d", s.Len())
	}
	if none := (nameset.Set{}); none.Has("") || none.Len() != 0 {
		t.Error("the zero value is not empty")
	}
}
