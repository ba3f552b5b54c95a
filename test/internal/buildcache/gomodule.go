package buildcache

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Module returns go.mod and go.sum of a module that was pinned by PinModule.
func Module(files fs.FS, name string) (mod, sum []byte, found bool) {
	mod, err := fs.ReadFile(files, name+".mod")
	if err != nil {
		return nil, nil, false
	}
	sum, err = fs.ReadFile(files, name+".sum")
	return mod, sum, err == nil
}

// PinModule resolves a module and writes its go.mod and go.sum into a folder as
// NAME.mod and NAME.sum. They do not bear their own names, as the go command
// takes a folder with a go.mod out of the module that surrounds it, and of what
// it can embed.
func PinModule(dir, name string, resolve func(dir string) error) error {
	temporary, err := os.MkdirTemp("", "oidc-injector-module-")
	if err != nil {
		return fmt.Errorf("could not create a temporary folder: %w", err)
	}
	defer os.RemoveAll(temporary)
	if err := resolve(temporary); err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, kind := range []string{"mod", "sum"} {
		if files[name+"."+kind], err = os.ReadFile(filepath.Join(temporary, "go."+kind)); err != nil {
			return fmt.Errorf("could not read the module: %w", err)
		}
	}
	return WriteFiles(dir, files)
}

// ResolveModule writes go.mod and go.sum of a module that has one file of Go, given
// the part of its go.mod that is not found by `go mod tidy`.
func ResolveModule(ctx context.Context, dir string, mod, file []byte) error {
	files := map[string][]byte{"go.mod": mod, "programs.go": file}
	if err := WriteFiles(dir, files); err != nil {
		return err
	}
	return GoCommand{Dir: dir}.Run(ctx, "mod", "tidy")
}

// ImportPrograms is a Go file by which `go mod tidy` learns what is built. It
// is never compiled, as programs cannot be imported.
func ImportPrograms(packages []string) []byte {
	var out strings.Builder
	out.WriteString("//go:build never\n\npackage programs\n\nimport (\n")
	for _, path := range packages {
		fmt.Fprintf(&out, "\t_ %q\n", path)
	}
	out.WriteString(")\n")
	return []byte(out.String())
}

// Programs says what to build from a module.
type Programs struct {
	// What is built, in words.
	What string
	// Module is the folder of the module.
	Module string
	// Flags are those of `go build`.
	Flags []string
	// Packages are the main packages, after whose last elements the go command
	// names the programs.
	Packages []string
}

// Quick are flags by which large programs compile in two thirds of the time: without
// inlining and without what only debuggers read. What the programs do is the same,
// and what they cost at run time is not measured by tests. To leave out the other
// optimisations saves nothing more, and neither does one program instead of
// several: six take eight seconds to link.
var Quick = []string{"-trimpath", "-buildvcs=false", "-gcflags=all=-l -dwarf=false"}

// Build builds programs into a folder.
func (p Programs) Build(ctx context.Context, out io.Writer, dir string) (err error) {
	progress := StartProgress(out, "building "+p.What)
	defer func() { progress.Stop(err) }()
	command := GoCommand{Dir: p.Module, Output: progress}
	stale, err := command.Stdout(ctx, append(append([]string{"list", "-deps", "-f={{if .Stale}}{{.ImportPath}}{{end}}"}, p.Flags...),
		p.Packages...)...)
	if err != nil {
		return err
	}
	progress.Expect(len(strings.Fields(string(stale))))
	arguments := append([]string{"build", "-v", "-o", dir + string(filepath.Separator)}, p.Flags...)
	return command.Run(ctx, append(arguments, p.Packages...)...)
}

// WriteFiles writes files named by paths relative to a folder.
func WriteFiles(dir string, files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("could not create a folder: %w", err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("could not write a file: %w", err)
		}
	}
	return nil
}
