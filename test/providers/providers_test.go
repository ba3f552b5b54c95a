//go:debug x509usefallbackroots=1

package providers

import (
	"maps"
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
	// Its own packages are internal, and its SDK reads no variables.
	"terraform-azurerm": testTerraformAzureRM,
}

// documented has a test for each that has no such SDK, of what its SDKs are documented to read.
var documented = map[string]func(t *testing.T){
	"databricks": testDatabricks,
}

func TestProviders(t *testing.T) {
	for _, name := range provider.BuiltIn().Names() {
		test, found := tests[name]
		if !found {
			test, found = documented[name]
		}
		if !found {
			t.Errorf("nothing tries %s", name)
			continue
		}
		t.Run(name, test)
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
		want := "# As documented: test/providers."
		if _, found := tests[name]; found {
			want = "# Tried with the SDK: test/providers."
		}
		if first, _, _ := strings.Cut(string(text), "\n"); !strings.HasPrefix(first, want) {
			t.Errorf("%s begins with %q: want %q", name, first, want)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(tests)), slices.Collect(maps.Keys(documented))) {
		if provider.BuiltIn().Get(name) == nil {
			t.Errorf("there is no provider %s", name)
		}
	}
}
