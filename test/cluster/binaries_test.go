package cluster

import (
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
)

func TestCacheKeyDependsOnEveryInput(t *testing.T) {
	base := kubernetesBuild{version: "v1.37.2"}
	keys := map[string]string{
		"base":      buildcache.Key(base.inputs("go1.26.8")...),
		"toolchain": buildcache.Key(base.inputs("go1.27.0")...),
		"version":   buildcache.Key((&kubernetesBuild{version: "v1.36.0"}).inputs("go1.26.8")...),
		"flag":      buildcache.Key(append(base.inputs("go1.26.8"), "-race")...),
	}
	seen := map[string]string{}
	for name, key := range keys {
		if other, found := seen[key]; found {
			t.Errorf("%s and %s have the same key %s", name, other, key)
		}
		seen[key] = name
	}
	if again := buildcache.Key(base.inputs("go1.26.8")...); again != keys["base"] {
		t.Errorf("the key changed from %s to %s", keys["base"], again)
	}
}

func TestBuildFlagsHaveVersion(t *testing.T) {
	flags := strings.Join((&kubernetesBuild{version: "v1.34.4"}).flags(), " ")
	for _, want := range []string{"version.gitVersion=v1.34.4 ", "version.gitMajor=1 ", "version.gitMinor=34 ", "-s -w"} {
		if !strings.Contains(flags, want) {
			t.Errorf("flags %q lack %q", flags, want)
		}
	}
}

func TestDefaultVersionIsPinned(t *testing.T) {
	mod, sum, found := pinnedModule(DefaultKubernetesVersion)
	if !found || len(sum) == 0 || !strings.Contains(string(mod), "k8s.io/kubernetes "+DefaultKubernetesVersion) {
		t.Errorf("modules/%s.mod or .sum is missing or of another release", DefaultKubernetesVersion)
	}
}
