package chart

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/internal/helm"
)

var (
	update = flag.Bool("update", false, "rewrite the golden files")

	// kube is the control plane that all tests share.
	kube *cluster.Cluster
	// helms are the two versions that the chart has to work with.
	helms []helm.Helm
)

// root is the repository, seen from this package.
const root = "../.."

// chartDir is the chart.
var chartDir = filepath.Join(root, "charts", "oidc-injector")

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.Setup{Name: "helm", Options: options, Prepare: prepare}))
}

// options have the API server read policies from its disk, as docs/hardening.md says.
func options(dir string) (cluster.Options, error) {
	staticManifests = filepath.Join(dir, "admission")
	if err := os.Mkdir(staticManifests, 0o700); err != nil {
		return cluster.Options{}, err
	}
	example, err := os.ReadFile(filepath.Join(root, "examples", "hardening", "admission-configuration.yaml"))
	if err != nil {
		return cluster.Options{}, err
	}
	file := filepath.Join(dir, "admission.yaml")
	text := strings.ReplaceAll(string(example), "/etc/kubernetes/admission", staticManifests)
	return cluster.Options{APIServerArgs: []string{"--admission-control-config-file=" + file}}, os.WriteFile(file, []byte(text), 0o600)
}

func prepare(ctx context.Context, c *cluster.Cluster, home string) (_ func(context.Context, int) error, err error) {
	kube = c
	if helms, err = helm.Both(ctx, root, home); err != nil {
		return nil, err
	}
	for i := range helms {
		helms[i].Kubeconfig = kube.Kubeconfig()
	}
	return nil, nil
}
