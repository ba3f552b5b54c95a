package buildcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
)

// Server is a program that is built from one release of a public module.
type Server struct {
	// Name is that of the program, and of its files among the pinned ones.
	Name string
	// Title is what it is called in messages.
	Title string
	// Module is the path of the module, which is also that of the main package.
	Module string
	// Version is the release.
	Version string
	// Main is a program of our own that uses the module, where the module itself is
	// none. Its first line may keep it out of the module that surrounds it; Name is
	// then the last element of the path of the module that Dependent names.
	Main string
	// Flags are those of `go build`.
	Flags []string
	// Dependent is the go.mod of a module that requires the release, as far as
	// `go mod tidy` does not find it.
	Dependent string
	// Pinned has what Pin wrote, in the folder "modules".
	Pinned fs.FS
}

var errStale = errors.New("the pinned module is another one: pin it again, as its README.md says")

// Build makes sure that the program is in the cache and returns its path.
func (s Server) Build(ctx context.Context, progress io.Writer) (path string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("could not build %s %s: %w", s.Title, s.Version, err)
		}
	}()
	toolchain, err := GoVersion(ctx)
	if err != nil {
		return "", err
	}
	mod, sum, err := s.pinned()
	if err != nil {
		return "", err
	}
	entry, err := NewEntry(progress, s.Name+"-"+s.Version, s.inputs(toolchain, mod, sum)...)
	if err != nil {
		return "", err
	}
	err = entry.Fill(ctx, []string{s.Name}, func(dir string, _ []string) error {
		source := filepath.Join(dir, "module")
		files := map[string][]byte{"go.mod": mod, "go.sum": sum}
		packages := []string{s.Module}
		if s.Main != "" {
			files["main.go"], packages = s.main(), []string{"."}
		}
		if err := WriteFiles(source, files); err != nil {
			return err
		}
		return Programs{What: s.Title + " " + s.Version, Module: source, Flags: s.Flags, Packages: packages}.Build(ctx, progress, dir)
	})
	return filepath.Join(entry.Dir, s.Name), err
}

// inputs are all that the program depends on.
func (s Server) inputs(toolchain string, mod, sum []byte) []string {
	all := append([]string{s.Version, toolchain, runtime.GOOS, runtime.GOARCH, string(mod), string(sum)}, s.Flags...)
	if s.Main != "" {
		all = append(all, s.Main)
	}
	return all
}

// main is the program as it is compiled.
func (s Server) main() []byte { return []byte(strings.TrimPrefix(s.Main, "//go:build ignore\n")) }

// pinned returns go.mod and go.sum, if they are those of Dependent and Version.
func (s Server) pinned() (mod, sum []byte, err error) {
	files, err := fs.Sub(s.Pinned, "modules")
	if err != nil {
		return nil, nil, fmt.Errorf("could not read the pinned module: %w", err)
	}
	mod, sum, found := Module(files, s.Name)
	if !found || !strings.Contains(string(sum), s.Module+" "+s.Version+" h1:") {
		return nil, nil, errStale
	}
	for line := range strings.SplitSeq(s.Dependent, "\n") {
		if !strings.Contains(string(mod), line) {
			return nil, nil, fmt.Errorf("%w: it lacks %q", errStale, line)
		}
	}
	return mod, sum, nil
}

// Pin resolves the module of the release into files of a folder, which is to be
// the folder "modules" of Pinned.
func (s Server) Pin(ctx context.Context, dir string) error {
	return PinModule(dir, s.Name, func(dir string) error {
		imports := ImportPrograms([]string{s.Module})
		if s.Main != "" {
			imports = s.main()
		}
		return ResolveModule(ctx, dir, []byte(s.Dependent), imports)
	})
}
