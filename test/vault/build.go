package vault

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
)

// DefaultVersion is the release that is built. Not every one can be built from
// public modules: v1.21.4 does not compile with the vault/sdk that is published.
const DefaultVersion = "v1.21.0"

const (
	module  = "github.com/hashicorp/vault" // also the path of the main package
	program = "vault"
)

// pinned holds go.mod and go.sum of the module from which Vault is built.
//
//go:embed modules
var pinned embed.FS

// flags make the program static, so that it needs no C compiler, and small.
var flags = []string{"-tags=minimal", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"}

// Build makes sure that Vault is in the cache. It takes minutes the first time
// and no time afterwards.
func Build(ctx context.Context, options Options) error {
	_, err := build(ctx, options.withDefaults().Progress)
	return err
}

// build returns the path of the program.
func build(ctx context.Context, progress io.Writer) (path string, err error) {
	toolchain, err := buildcache.GoVersion(ctx)
	if err != nil {
		return "", err
	}
	mod, sum, err := pinnedModule()
	if err != nil {
		return "", err
	}
	entry, err := buildcache.NewEntry(progress, "vault-"+DefaultVersion, inputs(toolchain, mod, sum)...)
	if err != nil {
		return "", err
	}
	err = entry.Fill(ctx, []string{program}, func(dir string, _ []string) error {
		source := filepath.Join(dir, "module")
		if err := buildcache.WriteFiles(source, map[string][]byte{"go.mod": mod, "go.sum": sum}); err != nil {
			return err
		}
		return buildcache.Programs{
			What:     "Vault " + DefaultVersion,
			Module:   source,
			Flags:    flags,
			Packages: []string{module},
		}.Build(ctx, progress, dir)
	})
	if err != nil {
		return "", fmt.Errorf("could not build Vault %s: %w", DefaultVersion, err)
	}
	return filepath.Join(entry.Dir, program), nil
}

// inputs are all that the program depends on.
func inputs(toolchain string, mod, sum []byte) []string {
	return append([]string{DefaultVersion, toolchain, runtime.GOOS, runtime.GOARCH, string(mod), string(sum)}, flags...)
}

func pinnedModule() (mod, sum []byte, err error) {
	files, err := fs.Sub(pinned, "modules")
	if err != nil {
		return nil, nil, fmt.Errorf("could not read the pinned module: %w", err)
	}
	mod, sum, found := buildcache.Module(files, program)
	if !found {
		return nil, nil, fmt.Errorf("could not read the pinned module: %w", os.ErrNotExist)
	}
	return mod, sum, nil
}

// PinModule resolves the module of DefaultVersion into files of a folder, which
// is to be test/vault/modules.
func PinModule(ctx context.Context, dir string) error {
	return buildcache.PinModule(dir, program, func(dir string) error {
		return buildcache.ResolveModule(ctx, dir, dependent(), []string{module})
	})
}

// dependent is the go.mod of a module that requires Vault. Vault replaces its
// own submodules by folders of its repository, which no dependent can do; their
// published versions, which it requires, do as well. The other replacements are
// repeated, for only those of the main module count.
func dependent() []byte {
	return fmt.Appendf(nil, `module example.invalid/vault-program

go 1.25.1

require %s %s

replace github.com/99designs/keyring => github.com/Jeffail/keyring v1.2.3

replace github.com/ma314smith/signedxml v1.1.1 => github.com/moov-io/signedxml v1.1.1
`, module, DefaultVersion)
}
