package chart

import (
	"context"
	"flag"
	"os"
	"path/filepath"
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
	os.Exit(cluster.ExitCode(run(m)))
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "oidc-injector-helm-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(home)
	if helms, err = helm.Both(ctx, root, home); err != nil {
		return 1, err
	}
	if kube, err = cluster.Start(ctx, cluster.Options{Progress: os.Stderr}); err != nil {
		return 1, err
	}
	for i := range helms {
		helms[i].Kubeconfig = kube.Kubeconfig()
	}
	defer func() {
		if stopErr := kube.Stop(); err == nil {
			err = stopErr
		}
	}()
	return m.Run(), nil
}
