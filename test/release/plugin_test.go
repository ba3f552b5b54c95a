package release

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/internal/tool"
)

const root = "../.."

// TestPlugin packs the plugin for the platform of this machine, has krew install it, and
// calls it.
func TestPlugin(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("releases are made on Linux, with GNU tar")
	}
	dir := t.TempDir()
	platform := runtime.GOOS + "/" + runtime.GOARCH
	run(t, []string{"VERSION=v1.2.3", "PLATFORMS=" + platform}, filepath.Join(root, "hack", "plugin"), dir)
	archive := filepath.Join(dir, "kubectl-oidc_injector-"+strings.ReplaceAll(platform, "/", "-")+".tar.gz")

	t.Run("krew", func(t *testing.T) {
		krew, err := tool.Path(t.Context(), root, "krew")
		if err != nil {
			t.Fatal(err)
		}
		at := t.TempDir()
		// It reads the manifest by krew's own types, and refuses another digest.
		run(t, []string{"KREW_ROOT=" + at, "KREW_NO_UPGRADE_CHECK=1"}, krew, "install",
			"--manifest="+filepath.Join(dir, "krew-oidc-injector.yaml"), "--archive="+archive)
		if out := run(t, nil, filepath.Join(at, "bin", "kubectl-oidc_injector"), "version"); !strings.Contains(out, " v1.2.3 ") {
			t.Errorf("version %q", out)
		}
		installed, err := filepath.Glob(filepath.Join(at, "store", "oidc-injector", "v1.2.3", "*"))
		if err != nil || len(installed) != 2 { // krew's index wants the licence with each program
			t.Errorf("krew has installed %q, %v", installed, err)
		}
	})
	t.Run("Homebrew", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join(dir, "kubectl-oidc-injector.rb"))
		if err != nil {
			t.Fatal(err)
		}
		formula := regexp.MustCompile(`(?s)\n  version "(.*?)"\n.* on_linux do\n    on_(arm|intel) do\n` +
			`      url "(.*?)"\n      sha256 "(.*?)"\n`)
		found := formula.FindStringSubmatch(string(text))
		if found == nil {
			t.Fatalf("no URL and digest in the formula:\n%s", text)
		}
		packed, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(packed)
		if found[1] != "1.2.3" || !strings.HasSuffix(found[3], "/v1.2.3/"+filepath.Base(archive)) ||
			found[4] != hex.EncodeToString(sum[:]) ||
			(found[2] == "arm") != (runtime.GOARCH == "arm64") {
			t.Errorf("the formula has %q", found[1:])
		}
		if ruby, err := exec.LookPath("ruby"); err == nil {
			run(t, nil, ruby, "-c", filepath.Join(dir, "kubectl-oidc-injector.rb"))
		}
		for _, name := range regexp.MustCompile(`bin\.install "(.*?)", "(.*?)"`).FindStringSubmatch(string(text))[1:] {
			if !strings.Contains(run(t, nil, "tar", "--list", "--file="+archive), name+"\n") {
				t.Errorf("the archive has no %s", name)
			}
		}
	})
}

// run runs a program without an input, and returns its output.
func run(t *testing.T, environ []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), environ...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}
