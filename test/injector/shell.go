package injector

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/cluster"
)

// Shell runs commands as those who run the cluster do: with kubectl, the plugin, and
// perhaps further programs.
type Shell struct {
	// Dir is where commands run; empty for where the test does.
	Dir string
	env []string
}

// NewShell builds the plugin. Programs are paths by their names, and env has further
// variables.
func NewShell(t *testing.T, kube *cluster.Cluster, programs map[string]string, env ...string) Shell {
	t.Helper()
	dir := t.TempDir()
	if _, err := Build(t.Context(), "kubectl-oidc_injector", dir); err != nil {
		t.Fatal(err)
	}
	link := func(name, path string) {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("kubectl", kube.KubectlPath())
	for name, path := range programs {
		link(name, path)
	}
	return Shell{env: append(append(os.Environ(),
		"PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+dir, "KUBECONFIG="+kube.Kubeconfig(), "KUBERC=off"), env...)}
}

// Try runs a command, and returns what it prints.
func (s Shell) Try(t *testing.T, command string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-ec", command)
	cmd.Env, cmd.Dir = s.env, s.Dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Fix is the command that the output of explain ends with, if that has a cross at a step,
// with a text.
func Fix(explained, step, text string) (fix string, found bool) {
	for line := range strings.Lines(explained) {
		if strings.Contains(line, "✗ "+step+": ") && strings.Contains(line, text) {
			_, fix, _ = strings.Cut(explained, "\nfix:\n")
			return strings.TrimSpace(fix), true
		}
	}
	return "", false
}
