package cluster

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/oidc-injector/oidc-injector/test/cmd"
	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
)

// ownPrograms builds the small programs of package cmd and returns the folder
// in which they are.
func ownPrograms(ctx context.Context, progress io.Writer) (dir string, err error) {
	toolchain, err := buildcache.GoVersion(ctx)
	if err != nil {
		return "", err
	}
	names := slices.Sorted(maps.Keys(cmd.Sources))
	inputs := []string{toolchain, runtime.GOOS, runtime.GOARCH}
	files := map[string][]byte{"go.mod": []byte("module example.invalid/programs\n\ngo 1.26\n")}
	for _, name := range names {
		inputs = append(inputs, name, cmd.Sources[name])
		files[filepath.Join(name, "main.go")] = []byte(cmd.Sources[name])
	}
	entry, err := buildcache.NewEntry(progress, "programs", inputs...)
	if err != nil {
		return "", err
	}
	err = entry.Fill(ctx, names, func(dir string, _ []string) error {
		return buildPrograms(ctx, dir, files)
	})
	if err != nil {
		return "", fmt.Errorf("could not build the programs of the node: %w", err)
	}
	return entry.Dir, nil
}

func buildPrograms(ctx context.Context, dir string, files map[string][]byte) error {
	source := filepath.Join(dir, "source")
	if err := buildcache.WriteFiles(source, files); err != nil {
		return err
	}
	out := dir + string(os.PathSeparator)
	return buildcache.GoCommand{Dir: source}.Run(ctx, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./...")
}
