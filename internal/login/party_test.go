package login

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// TestMethods finds what was forgotten when a method was added: CONTRIBUTING.md has the
// steps.
func TestMethods(t *testing.T) {
	t.Parallel()
	page := "\n" + string(readFile(t, "../../docs/relying-parties.md"))
	for _, name := range loginspec.MethodNames() {
		if parties[name] == nil {
			t.Errorf("%s: the table of party.go has no entry", name)
		}
		if !slices.ContainsFunc(behaviours, func(b behaviour) bool { return b.methodOrDefault() == name }) {
			t.Errorf("%s: behaviours_test.go has no row of its server", name)
		}
		if !strings.Contains(page, "\noidc-injector.io/login: "+name+"\n") {
			t.Errorf("%s: no block of docs/relying-parties.md has it", name)
		}
	}
	if len(parties) != len(loginspec.Methods) {
		t.Errorf("%d parties for %d methods", len(parties), len(loginspec.Methods))
	}
	for _, dir := range partyDirs(t) {
		tests, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		fuzzed := func(path string) bool { return strings.Contains(string(readFile(t, path)), "\nfunc Fuzz") }
		if !slices.ContainsFunc(tests, fuzzed) {
			t.Errorf("%s has no fuzz target for what it reads", dir)
		}
	}
}

// TestOptionsAreUsed finds options that nobody reads.
func TestOptionsAreUsed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, dir := range []string{".", "../../cmd/oidc-login"} {
		eachFile(t, dir, func(_ string, file *ast.File) {
			for _, name := range selected(file, "loginspec") {
				used[name] = true
			}
		})
	}
	for constant, name := range constantsOf(t, "Name") {
		if !used[constant] {
			t.Errorf("nothing in the login program reads loginspec.%s (--%s)", constant, name)
		}
	}
}

// TestNothingElseNamesAMethod: a method is a row of loginspec, an entry in the table of
// parties, and a directory, so that adding one changes nothing else.
func TestNothingElseNamesAMethod(t *testing.T) {
	t.Parallel()
	methods := map[string]bool{}
	for constant, value := range constantsOf(t, "") {
		if strings.HasPrefix(constant, "Method") && loginspec.MethodOf(value) != nil {
			methods[constant] = true
		}
	}
	if len(methods) != len(loginspec.Methods) {
		t.Fatalf("%d constants for %d methods: %v", len(methods), len(loginspec.Methods), methods)
	}
	// What is generated for a party, or moved from its injector, is by its method, and so is the command that makes
	// a role which a login lacks; in examples of keys, "vault" is an audience.
	allowed := append(partyDirs(t), "party.go", "../loginspec", "../cli/generate", "../cli/migrate", "../cli/migrate.go",
		"../annotations/describe.go", "../diagnose/login.go")
	for _, top := range []string{"../../cmd", ".."} {
		eachFile(t, top, func(path string, file *ast.File) {
			rel, err := filepath.Rel("../login", path)
			if err != nil {
				t.Fatal(err)
			}
			within := func(place string) bool { return rel == place || strings.HasPrefix(rel, place+"/") }
			if slices.ContainsFunc(allowed, within) || strings.HasSuffix(filepath.Dir(path), "test") {
				return
			}
			for _, name := range selected(file, "loginspec") {
				if methods[name] {
					t.Errorf("%s names the method loginspec.%s", path, name)
				}
			}
			for _, text := range texts(file) {
				// What is a word of everyday use, too, is not looked for.
				if loginspec.MethodOf(text) != nil && text != loginspec.MethodHTTP {
					t.Errorf("%s names the method %q", path, text)
				}
			}
		})
	}
}

// partyDirs are the directories of the parties, seen from here.
func partyDirs(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), "party.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, spec := range file.Imports {
		_, dir, ours := strings.Cut(strings.Trim(spec.Path.Value, `"`), "/internal/login/")
		entry := func(selector string) bool { return strings.HasPrefix(selector, "New") }
		if ours && slices.ContainsFunc(selected(file, dir), entry) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) < 3 {
		t.Fatalf("party.go has the parties of %v", dirs)
	}
	return dirs
}

// constantsOf are the constants of loginspec that are strings, by their names; those of
// one type, if it is given.
func constantsOf(t *testing.T, typeName string) map[string]string {
	t.Helper()
	values := map[string]string{}
	eachFile(t, "../loginspec", func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != len(spec.Names) {
				return true
			}
			kind, _ := spec.Type.(*ast.Ident)
			for i, name := range spec.Names {
				value, ok := spec.Values[i].(*ast.BasicLit)
				if ok && value.Kind == gotoken.STRING && (typeName == "" || kind != nil && kind.Name == typeName) {
					values[name.Name], _ = strconv.Unquote(value.Value)
				}
			}
			return true
		})
	})
	return values
}

// eachFile visits the sources below a directory, tests aside.
func eachFile(t *testing.T, dir string, visit func(path string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, 0)
		if err == nil {
			visit(path, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// selected are the names that a file takes from a package.
func selected(file *ast.File, name string) []string {
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == name {
				names = append(names, s.Sel.Name)
			}
		}
		return true
	})
	return names
}

// texts are the strings of a file; those that a plus sign puts together are one.
func texts(file *ast.File) []string {
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		if expression, ok := n.(ast.Expr); ok {
			all = append(all, textOf(expression))
		}
		return true
	})
	return all
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
