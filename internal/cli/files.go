package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
)

// fileFlags say which manifests a verb reads.
type fileFlags struct {
	names     []string
	recursive bool
}

func (f *fileFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringSliceVarP(&f.names, "filename", "f", nil,
		"Files or directories of manifests, in YAML or JSON; - is the standard input. "+
			"Without it, the standard input is read unless it is a terminal.")
	f.addRecursive(fs)
}

func (f *fileFlags) addRecursive(fs *pflag.FlagSet) {
	fs.BoolVarP(&f.recursive, "recursive", "R", false, "Read the directories in directories, too.")
}

// each calls do with every document, in the order of the files. Documents are not kept.
func (f *fileFlags) each(g *globals, do func(file string, d manifest.Document) error) error {
	names := f.names
	if len(names) == 0 {
		if g.Terminal {
			return withHint(errors.New("no manifests"), "name them with -f FILE, or pipe them in")
		}
		names = []string{stdin}
	}
	for _, name := range names {
		files, err := f.expand(name)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := eachDocument(g, file, do); err != nil {
				return err
			}
		}
	}
	return nil
}

// stdin is the name of the standard input.
const stdin = "-"

// expand lists the manifests of a directory, in the order of their names.
func (f *fileFlags) expand(name string) ([]string, error) {
	if name == stdin {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	switch {
	case err != nil && strings.Contains(name, "://"):
		return nil, withHint(err, "URLs are not read: curl --location %s | kubectl oidc-injector … -f -", name)
	case err != nil || !info.IsDir():
		return []string{name}, err
	}
	var files []string
	err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != name && !f.recursive:
			return fs.SkipDir
		case !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			files = append(files, path)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: the directory has no file that ends in .yaml, .yml or .json", name)
		if !f.recursive {
			err = withHint(err, "-R reads the directories in it, too")
		}
	}
	return files, err
}

func eachDocument(g *globals, name string, do func(file string, d manifest.Document) error) error {
	in := g.In
	if name != stdin {
		file, err := os.Open(name)
		if err != nil {
			return err //nolint:wrapcheck // it names the file
		}
		defer file.Close()
		in = file
	}
	for documents := manifest.NewReader(in); ; {
		d, err := documents.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("could not read %s: %w", displayName(name), err)
		}
		if err := do(name, d); err != nil {
			return err
		}
	}
}

// displayName is a file as people know it.
func displayName(file string) string {
	if file == stdin {
		return "the standard input"
	}
	return file
}
