package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// manifests are files as people and tools write them.
func manifests(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/manifests/*")
	if err != nil || len(files) < 80 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	all := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(text)
	}
	return all
}

// TestManifestsThatAskForNothingStay holds that not a byte changes where nothing is asked.
func TestManifestsThatAskForNothingStay(t *testing.T) {
	t.Parallel()
	for file, text := range manifests(t) {
		for _, args := range [][]string{{"--annotation-prefix=other.example.com"}, {"--namespace-labels=a=b"}} {
			code, out, errOut := call(t, text, append([]string{"render", "--config=testdata/config.yaml"}, args...)...)
			if code != ExitOK || out != text {
				t.Errorf("%s %s: exit code %d\n%s%s", file, args, code, errOut, cmp.Diff(text, out))
			}
		}
	}
}

// TestManifestsKeepTheirForm holds that what is there stays where something is added. What
// is added is in the golden file.
func TestManifestsKeepTheirForm(t *testing.T) {
	t.Parallel()
	for file, text := range manifests(t) {
		code, out, errOut := call(t, text, "render", "--config=testdata/config.yaml")
		if code != ExitOK || errOut != "" {
			t.Errorf("%s: exit code %d: %s", file, code, errOut)
		}
		switch filepath.Base(file) {
		case "merges.yaml", "odd-shared-annotations.yaml", "odd-shared-containers.yaml": // where an alias gives way to what is its own
		default:
			expectOnlyMore(t, text, out)
		}
		if strings.Count(out, "\ufeff") != strings.Count(text, "\ufeff") {
			t.Errorf("%s: other byte order marks", file)
		}
		code, more, errOut := call(t, out, "render", "--config=testdata/config.yaml")
		if code != ExitOK || more != out {
			t.Errorf("%s changes again: exit code %d\n%s%s", file, code, errOut, cmp.Diff(out, more))
		}
	}
	code, out, errOut := call(t, "", "render", "--config=testdata/config.yaml", "-f", "testdata/manifests", "-o", "diff")
	if code != ExitOK || errOut != "" {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	testutil.Generated(t, "testdata/manifests.diff", *update, func(string) string {
		return strings.ReplaceAll(out, version.Version(), "VERSION")
	})
}

// TestRenderAsJSON compares the values, which are those of the form as given.
func TestRenderAsJSON(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"deployment.yaml", "anchors.yaml", "windows-lines.yaml", "typed.yaml", "tabs.json", "list.json"} {
		text := manifests(t)["testdata/manifests/"+file]
		_, asGiven, _ := call(t, text, "render")
		_, asJSON, _ := call(t, text, "render", "-o", "json")
		_, asYAML, _ := call(t, text, "render", "-o", "yaml")
		expectSame(t, []byte(asJSON), toJSON(t, asGiven))
		expectSame(t, toJSON(t, asYAML), toJSON(t, asGiven))
		if bytes.HasPrefix([]byte(asYAML), []byte("{")) {
			t.Errorf("%s is no YAML:\n%s", file, asYAML)
		}
	}
}
