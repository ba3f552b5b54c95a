package chart

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/cluster"
)

var (
	update = flag.Bool("update", false, "rewrite the golden files")

	// kube is the control plane that all tests share.
	kube *cluster.Cluster
	// helms are the two versions that the chart has to work with.
	helms []helm
)

// root is the repository, seen from this package.
const root = "../.."

// chartDir is the chart.
var chartDir = filepath.Join(root, "charts", "oidc-injector")

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "oidc-injector-helm-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(home)
	for _, name := range []string{"helm3", "helm4"} {
		path, err := tool(ctx, name)
		if err != nil {
			return 1, err
		}
		helms = append(helms, helm{name: name, path: path, home: filepath.Join(home, name)})
	}
	if kube, err = cluster.Start(ctx, cluster.Options{Progress: os.Stderr}); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := kube.Stop(); err == nil {
			err = stopErr
		}
	}()
	return m.Run(), nil
}

// tool is the path of a developer tool, which is built the first time.
func tool(ctx context.Context, name string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "hack", "tool"), "--path", name)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("could not build %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// helm is one version of Helm, with a home of its own: nothing of the user's, such
// as a plugin or a context, has a part in the tests.
type helm struct{ name, path, home string }

func (h helm) run(ctx context.Context, args ...string) (string, error) {
	return h.runWithInput(ctx, "", args...)
}

func (h helm) runWithInput(ctx context.Context, input string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, h.path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.home, "KUBECONFIG=" + kube.Kubeconfig(), "HELM_NAMESPACE=oidc-injector",
		"HELM_CACHE_HOME=" + filepath.Join(h.home, "cache"), "HELM_CONFIG_HOME=" + filepath.Join(h.home, "config"),
		"HELM_DATA_HOME=" + filepath.Join(h.home, "data"),
	}
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", h.name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

func (h helm) mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
