// Package helm is what tests of the chart have in common: the Helms that it has to work
// with, and what an installation must not leave behind.
package helm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/internal/tool"
)

// Namespace is that of the installation.
const Namespace = "oidc-injector"

// Helm is one version of Helm, with a home of its own: nothing of the user's, such
// as a plugin or a context, has a part in the tests.
type Helm struct {
	Name string
	// Kubeconfig is of the cluster to install into; rendering takes none.
	Kubeconfig string

	path, home string
}

// Both are Helm 3 and Helm 4, at the versions that the repository pins. They are built
// the first time. Root is the repository; home gets a folder for each.
func Both(ctx context.Context, root, home string) ([]Helm, error) {
	var helms []Helm
	for _, name := range []string{"helm3", "helm4"} {
		path, err := tool.Path(ctx, root, name)
		if err != nil {
			return nil, err
		}
		helms = append(helms, Helm{Name: name, path: path, home: filepath.Join(home, name)})
	}
	return helms, nil
}

// Path is that of the program.
func (h Helm) Path() string { return h.path }

// Run runs Helm in the namespace of the installation.
func (h Helm) Run(ctx context.Context, args ...string) (string, error) {
	return h.RunWithInput(ctx, "", args...)
}

// RunWithInput runs Helm with an input, such as values.
func (h Helm) RunWithInput(ctx context.Context, input string, args ...string) (string, error) {
	stdout, _, err := h.run(ctx, input, args...)
	return stdout, err
}

// Saying runs Helm, which must not fail, and returns what it writes to stdout and to stderr,
// where the logs of hooks go.
func (h Helm) Saying(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := h.run(t.Context(), "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return stdout + stderr
}

func (h Helm) run(ctx context.Context, input string, args ...string) (string, string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, h.path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.home, "KUBECONFIG=" + h.Kubeconfig, "HELM_NAMESPACE=" + Namespace,
		"HELM_CACHE_HOME=" + filepath.Join(h.home, "cache"), "HELM_CONFIG_HOME=" + filepath.Join(h.home, "config"),
		"HELM_DATA_HOME=" + filepath.Join(h.home, "data"),
	}
	if err := cmd.Run(); err != nil {
		err = fmt.Errorf("%s %s: %w: %s", h.Name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
		return stdout.String(), stderr.String(), err
	}
	return stdout.String(), stderr.String(), nil
}

// MustRun runs Helm, which must not fail.
func (h Helm) MustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// inventory lists all objects of the cluster, but those that come and go by themselves.
func inventory(ctx context.Context, kube *cluster.Cluster) ([]string, error) {
	client, err := metadata.NewForConfig(kube.RESTConfig())
	if err != nil {
		return nil, err
	}
	lists, err := kube.Client().Discovery().ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	transient := []string{"events", "componentstatuses"}
	var names []string
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, kind := range list.APIResources {
			if !slices.Contains(kind.Verbs, "list") || slices.Contains(transient, kind.Name) {
				continue
			}
			found, err := client.Resource(gv.WithResource(kind.Name)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("could not list %s: %w", kind.Name, err)
			}
			for i := range found.Items {
				names = append(names, kind.Name+" "+found.Items[i].Namespace+"/"+found.Items[i].Name)
			}
		}
	}
	names = slices.DeleteFunc(names, isKubernetesLease)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// isKubernetesLease reports whether it is a Lease of Kubernetes' own programs and nodes.
func isKubernetesLease(name string) bool {
	return strings.HasPrefix(name, "leases kube-system/") || strings.HasPrefix(name, "leases kube-node-lease/")
}

// NothingIsLeft remembers what there is, and the function that it returns waits until
// there is no more.
func NothingIsLeft(t *testing.T, kube *cluster.Cluster) (check func()) {
	t.Helper()
	before, err := inventory(t.Context(), kube)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		var left error
		podtest.Eventually(t, "all to be gone", func(ctx context.Context) error {
			after, err := inventory(ctx, kube)
			if err != nil {
				return cmp.Or(left, err) // at the end of its time it says what was left before
			}
			left = nil
			if diff := gocmp.Diff(before, after); diff != "" {
				left = fmt.Errorf("left behind (-before +after):\n%s", diff)
			}
			return left
		})
	}
}
