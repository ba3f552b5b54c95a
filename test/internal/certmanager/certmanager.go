// Package certmanager runs the parts of a real cert-manager on which the chart
// relies: see hack/tools/cert-manager.
package certmanager

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
	"github.com/oidc-injector/oidc-injector/test/internal/tool"
)

const module = "github.com/cert-manager/cert-manager"

// Define has the API server know cert-manager's kinds, as the release that the
// repository pins defines them. Root is the repository.
func Define(t *testing.T, root string, kube *cluster.Cluster) {
	t.Helper()
	download := exec.CommandContext(t.Context(), "go", "-C", filepath.Join(root, "hack", "tools", "cert-manager"), "mod", "download",
		"-json", module)
	out, err := download.Output()
	if err != nil {
		t.Fatalf("could not download cert-manager: %v: %s", err, out)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		t.Fatal(err)
	}
	// Some are longer than the annotation in which a client-side apply keeps them.
	for _, args := range [][]string{
		{"apply", "--server-side", "--filename=" + filepath.Join(downloaded.Dir, "deploy", "crds")},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"},
	} {
		if _, err := kube.Kubectl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
}

// Start runs cert-manager until the end of the test, beside the cluster.
func Start(t *testing.T, root string, kube *cluster.Cluster) {
	t.Helper()
	Define(t, root, kube)
	path, err := tool.Path(t.Context(), root, "cert-manager")
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Host{}.Start(process.Command{
		Name: "cert-manager", Path: path, Args: []string{kube.Kubeconfig()}, Log: filepath.Join(t.TempDir(), "cert-manager.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Failure(); err != nil {
			t.Error(err)
		}
		if err := p.Stop(5 * time.Second); err != nil {
			t.Error(err)
		}
	})
}
