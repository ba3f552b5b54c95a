//go:debug x509usefallbackroots=1

package providers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// tests has the test of each provider whose SDK there is in Go.
var tests = map[string]func(t *testing.T){
	"alibaba":    testAlibaba,
	"anthropic":  testAnthropic,
	"aws":        testAWS,
	"azure":      testAzure,
	"ceph":       testCeph,
	"gcp":        testGCP,
	"huawei":     testHuawei,
	"kubernetes": testKubernetes,
	"minio":      testMinIO,
	"snowflake":  testSnowflake,
	"stackit":    testSTACKIT,
	"tencent":    testTencent,
}

func TestProviders(t *testing.T) {
	for _, name := range provider.BuiltIn().Names() {
		if test, found := tests[name]; found {
			t.Run(name, test)
		}
	}
}

// TestTried: people rely on what the first line of a provider says.
func TestTried(t *testing.T) {
	const folder = "../../internal/provider/builtin"
	for _, name := range provider.BuiltIn().Names() {
		text, err := os.ReadFile(filepath.Join(folder, name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"# Read, not tried.", "# Tried by hand with "}
		if _, found := tests[name]; found {
			want = []string{"# Tried with the SDK: test/providers."}
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if !slices.ContainsFunc(want, func(beginning string) bool { return strings.HasPrefix(first, beginning) }) {
			t.Errorf("%s begins with %q: want one of %q", name, first, want)
		}
	}
	for name := range tests {
		if provider.BuiltIn().Get(name) == nil {
			t.Errorf("there is no provider %s", name)
		}
	}
}
