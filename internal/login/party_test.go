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

func TestEveryMethodHasAParty(t *testing.T) {
	for _, name := range loginspec.MethodNames() {
		if parties[name] == nil {
			t.Errorf("method %s has none", name)
		}
	}
	if len(parties) != len(loginspec.Methods) {
		t.Errorf("%d parties for %d methods", len(parties), len(loginspec.Methods))
	}
}

// A method is a row of loginspec, an entry in the table of parties, and a directory.
// No other code names one, so that adding one changes nothing else.
func TestNothingElseNamesAMethod(t *testing.T) {
	root := filepath.Join("..", "..")
	allowed := []string{
		"internal/loginspec", "internal/login/party.go", "internal/login/vault", "internal/login/oauth",
		"internal/login/httplogin",
		// What is generated for a party is for logins by its method.
		"internal/cli/generate",
	}
	for _, top := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			name, _ := filepath.Rel(root, path)
			name = filepath.ToSlash(name)
			switch {
			case err != nil:
				return err
			case slices.Contains(allowed, name) && entry.IsDir(), strings.HasSuffix(name, "test") && entry.IsDir():
				return fs.SkipDir
			case slices.Contains(allowed, name), !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
				return nil
			}
			for _, found := range methodsIn(t, path) {
				t.Errorf("%s names the method %s", name, found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// methodsIn are the methods that a file names, by a constant or by a string.
func methodsIn(t *testing.T, path string) []string {
	t.Helper()
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(gotoken.NewFileSet(), path, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "loginspec" && strings.HasPrefix(n.Sel.Name, "Method") &&
				strings.Contains(constants, " "+n.Sel.Name+" ") {
				found = append(found, n.Sel.Name)
			}
		case *ast.BasicLit:
			text, err := strconv.Unquote(n.Value)
			// What is a word of everyday use, too, is not looked for.
			if err == nil && n.Kind == gotoken.STRING && slices.Contains(loginspec.MethodNames(), text) && text != loginspec.MethodHTTP {
				found = append(found, text)
			}
		}
		return true
	})
	return found
}

const constants = " MethodVault MethodTokenExchange MethodJWTBearer MethodClientAssertion MethodHTTP "
