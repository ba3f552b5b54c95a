package vault

import (
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
)

func TestPinnedModuleIsOfTheDefaultVersion(t *testing.T) {
	mod, sum, err := pinnedModule()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(dependent()), "\n") {
		if !strings.Contains(string(mod), strings.TrimPrefix(line, "require ")) {
			t.Errorf("vault.mod lacks %q: pin it again, as modules/README.md says", line)
		}
	}
	if !strings.Contains(string(sum), module+" "+DefaultVersion+" h1:") {
		t.Errorf("vault.sum lacks %s: pin it again, as modules/README.md says", DefaultVersion)
	}
}

func TestCacheKeyDependsOnToolchainAndModule(t *testing.T) {
	base := buildcache.Key(inputs("go1.26.8", []byte("mod"), []byte("sum"))...)
	for name, other := range map[string][]string{
		"toolchain": inputs("go1.27.0", []byte("mod"), []byte("sum")),
		"mod":       inputs("go1.26.8", []byte("other"), []byte("sum")),
		"sum":       inputs("go1.26.8", []byte("mod"), []byte("other")),
	} {
		if buildcache.Key(other...) == base {
			t.Errorf("the key does not depend on %s", name)
		}
	}
}
