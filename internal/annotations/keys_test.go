package annotations_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// TestKeys finds what was forgotten when a key was added: CONTRIBUTING.md has the steps.
// Those of logins are rows of package loginspec, which has tests of its own.
func TestKeys(t *testing.T) {
	t.Parallel()
	written := []string{annotations.DefaultPrefix, annotations.Status, annotations.ProviderFile} // by nobody but the webhook
	page, seeds := read(t, "../../docs/annotations.md"), read(t, "fuzz_test.go")
	for _, key := range constants(t, "keys.go") {
		if slices.Contains(written, key) {
			continue
		}
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(annotations.InputKeys(), key) {
				t.Error("no list of keys.go has it, so that it is an unknown annotation")
			}
			if !strings.Contains(page, "\n| `"+key+"`") {
				t.Error("the table of docs/annotations.md has no row for it")
			}
			if !regexp.MustCompile(`f\.Add\(.*"` + key + `[".]`).MatchString(seeds) {
				t.Error("no seed of FuzzParse has it")
			}
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// constants are the strings that the constants of a file have literally.
func constants(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	ast.Inspect(file, func(n ast.Node) bool {
		declaration, ok := n.(*ast.GenDecl)
		if !ok || declaration.Tok != gotoken.CONST {
			return true
		}
		for _, spec := range declaration.Specs {
			for _, value := range spec.(*ast.ValueSpec).Values {
				if literal, ok := value.(*ast.BasicLit); ok {
					text, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					texts = append(texts, text)
				}
			}
		}
		return false
	})
	return texts
}
