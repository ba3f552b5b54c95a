package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
)

// debianPackages hold the parts of a node that are not Kubernetes' own. runc
// needs libseccomp, and it costs little to unpack it even where it is installed.
var debianPackages = []string{"containerd", "runc", "containernetworking-plugins", "libseccomp2"}

// nodeRoot is a folder with usr/bin/containerd, usr/bin/runc and usr/lib/cni:
// the one that OIDC_INJECTOR_NODE_ROOT names, else packages of the
// distribution, unpacked into the cache and not installed.
func nodeRoot(ctx context.Context, progress io.Writer) (string, error) {
	if dir := os.Getenv("OIDC_INJECTOR_NODE_ROOT"); dir != "" {
		return filepath.Abs(dir)
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("could not find out the distribution: %w", err)
	}
	entry, err := buildcache.NewEntry(progress, "packages", append([]string{string(release), runtime.GOARCH}, debianPackages...)...)
	if err != nil {
		return "", err
	}
	err = entry.Fill(ctx, []string{"root"}, func(dir string, _ []string) error {
		fmt.Fprintf(progress, "cluster: unpacking packages: %s\n", strings.Join(debianPackages, ", "))
		return unpackPackages(ctx, dir)
	})
	if err != nil {
		return "", fmt.Errorf("could not unpack the packages of the node: %w", err)
	}
	return filepath.Join(entry.Dir, "root"), nil
}

func unpackPackages(ctx context.Context, dir string) error {
	download := append([]string{"download"}, debianPackages...)
	if err := runIn(ctx, dir, "apt-get", download...); err != nil {
		// Perhaps the lists are missing or too old.
		if updateErr := runIn(ctx, dir, "apt-get", "update"); updateErr != nil {
			return errors.Join(err, updateErr)
		}
		if err := runIn(ctx, dir, "apt-get", download...); err != nil {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return fmt.Errorf("could not find the packages: %w", err)
	}
	for _, path := range packages {
		if err := runIn(ctx, dir, "dpkg-deb", "-x", path, "root"); err != nil {
			return err
		}
	}
	return nil
}

// runIn runs a program that is not part of the cluster.
func runIn(ctx context.Context, dir, name string, args ...string) error {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("could not run %s %s: %w: %s", name, args[0], err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// libraryPath is where the libraries of a root are, which differs by architecture.
func libraryPath(root string) string {
	var dirs []string
	for _, pattern := range []string{"usr/lib/*/libseccomp.so.2", "lib/*/libseccomp.so.2"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern)) // only a bad pattern fails
		for _, path := range found {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	return strings.Join(dirs, ":")
}
