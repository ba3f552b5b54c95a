package cluster

import (
	"context"
	"fmt"
	"go/version"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
)

// DefaultKubernetesVersion is built unless OIDC_INJECTOR_KUBERNETES_VERSION or
// Options.KubernetesVersion say otherwise.
const DefaultKubernetesVersion = "v1.37.2"

// packages are the main packages of the Kubernetes programs and of etcd.
var packages = map[string]string{
	"etcd":                    "go.etcd.io/etcd/server/v3",
	"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
	"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
	"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
	"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
	"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
}

var (
	controlPlanePrograms = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kubectl"}
	nodePrograms         = []string{"kube-scheduler", "kubelet"}
)

// binaries is the folder of the programs of Kubernetes, and etcd.
type binaries struct {
	dir string
}

func (b *binaries) path(name string) string {
	return filepath.Join(b.dir, name)
}

func (b *binaries) has(name string) bool {
	_, err := os.Stat(b.path(name))
	return err == nil
}

// Build makes sure that everything which Start needs is in the cache. It takes
// minutes the first time and no time afterwards.
func Build(ctx context.Context, options Options) error {
	options = options.withDefaults()
	if _, err := kubernetesBinaries(ctx, options); err != nil {
		return err
	}
	if !options.Node {
		return nil
	}
	_, err := newNodePrograms(ctx, options)
	return err
}

func kubernetesBinaries(ctx context.Context, options Options) (*binaries, error) {
	// The folder that setup-envtest fills has no kubelet.
	if options.Assets != "" && !options.Node {
		return assetBinaries(options.Assets)
	}
	names := slices.Clone(controlPlanePrograms)
	if options.Node {
		names = append(names, nodePrograms...)
	}
	entry, err := kubernetesEntry(ctx, options)
	if err != nil {
		return nil, err
	}
	build := kubernetesBuild{version: options.KubernetesVersion, progress: options.Progress}
	if err := entry.Fill(ctx, names, func(dir string, missing []string) error {
		return build.run(ctx, dir, missing)
	}); err != nil {
		return nil, fmt.Errorf("could not build Kubernetes %s: %w", build.version, err)
	}
	return &binaries{dir: entry.Dir}, nil
}

// kubernetesEntry is the place of a release in the cache.
func kubernetesEntry(ctx context.Context, options Options) (*buildcache.Entry, error) {
	toolchain, err := buildcache.GoVersion(ctx)
	if err != nil {
		return nil, err
	}
	build := kubernetesBuild{version: options.KubernetesVersion}
	return buildcache.NewEntry(options.Progress, "kubernetes-"+build.version, build.inputs(toolchain)...)
}

// Installed is a folder of programs that spares building them, or "": the one that
// KUBEBUILDER_ASSETS names, or, as long as nothing was built, the newest that
// setup-envtest has filled.
func Installed(ctx context.Context) string {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return dir
	}
	if built(ctx) {
		return ""
	}
	var newest string
	for _, pattern := range envtestFolders() {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		for _, dir := range found {
			if _, err := assetBinaries(dir); err == nil && (newest == "" || version.Compare(kubernetesOf(newest), kubernetesOf(dir)) < 0) {
				newest = dir
			}
		}
	}
	return newest
}

// envtestFolders are where setup-envtest puts the releases, as patterns.
func envtestFolders() []string {
	release := "k8s/*-" + runtime.GOOS + "-" + runtime.GOARCH
	data := os.Getenv("XDG_DATA_HOME")
	home, err := os.UserHomeDir()
	if data == "" && err == nil {
		data = filepath.Join(home, ".local/share")
	}
	return []string{
		filepath.Join(data, "kubebuilder-envtest", release),
		filepath.Join(home, "Library/Application Support/io.kubebuilder.envtest", release),
		"/usr/local/kubebuilder/bin",
	}
}

// kubernetesOf is the release in the name of a folder, in the form of
// package version; empty is the oldest.
func kubernetesOf(dir string) string {
	release, _, _ := strings.Cut(filepath.Base(dir), "-")
	return "go" + release
}

// built reports whether the default release is in the cache.
func built(ctx context.Context) bool {
	entry, err := kubernetesEntry(ctx, Options{}.withDefaults())
	return err == nil && entry.Has(controlPlanePrograms)
}

// assetBinaries uses a folder that somebody else has filled. All but the
// controller manager is necessary.
func assetBinaries(dir string) (*binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("could not use installed programs: %w", err)
	}
	b := &binaries{dir: dir}
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if _, err := os.Stat(b.path(name)); err != nil {
			return nil, fmt.Errorf("could not use installed programs: %w", err)
		}
	}
	return b, nil
}

// kubernetesBuild builds the programs of one release.
type kubernetesBuild struct {
	version  string
	progress io.Writer
}

// flags make the programs static, so that they need no C compiler, small, and
// able to tell their version.
func (b *kubernetesBuild) flags() []string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(b.version, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	ldflags := []string{"-s", "-w"}
	for _, variable := range []string{
		"k8s.io/component-base/version.gitVersion=" + b.version,
		"k8s.io/component-base/version.gitMajor=" + major,
		"k8s.io/component-base/version.gitMinor=" + minor,
		"k8s.io/client-go/pkg/version.gitVersion=" + b.version,
	} {
		ldflags = append(ldflags, "-X", variable)
	}
	return append([]string{"-ldflags=" + strings.Join(ldflags, " ")}, buildcache.Quick...)
}

// inputs are all that the programs depend on. The module of a release which is
// not pinned depends on the release alone.
func (b *kubernetesBuild) inputs(toolchain string) []string {
	mod, sum, _ := pinnedModule(b.version)
	return append([]string{b.version, toolchain, runtime.GOOS, runtime.GOARCH, string(mod), string(sum)}, b.flags()...)
}

func (b *kubernetesBuild) run(ctx context.Context, dir string, names []string) error {
	module := filepath.Join(dir, "module")
	if err := writeKubernetesModule(ctx, module, b.version); err != nil {
		return err
	}
	programs := buildcache.Programs{
		What:   fmt.Sprintf("Kubernetes %s: %s", b.version, strings.Join(names, ", ")),
		Module: module,
		Flags:  b.flags(),
	}
	for _, name := range names {
		programs.Packages = append(programs.Packages, packages[name])
	}
	if err := programs.Build(ctx, b.progress, dir); err != nil {
		return err
	}
	if !slices.Contains(names, "etcd") {
		return nil
	}
	// The go command names a program after the last element of its package.
	if err := os.Rename(filepath.Join(dir, "server"), filepath.Join(dir, "etcd")); err != nil {
		return fmt.Errorf("could not name etcd: %w", err)
	}
	return nil
}
