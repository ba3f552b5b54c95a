package login

import (
	"crypto/x509"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What the documentation says that the program says, it says.
func TestFailuresAreQuotedExactly(t *testing.T) {
	page, err := os.ReadFile("../../docs/login.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| class | the program says | what to do |\n|---|---|---|\n")
	table, _, ended := strings.Cut(table, "\n\n")
	if !found || !ended {
		t.Fatal("docs/login.md has no table of what the program says")
	}
	texts := append(literals(t, "."), textsOfGo(t)...)
	quoted := 0
	for row := range strings.Lines(table) {
		cell := strings.Split(row, " | ")[1]
		for _, span := range regexp.MustCompile("`[^`]+`").FindAllString(cell, -1) {
			for fragment := range strings.SplitSeq(strings.Trim(span, "`"), "…") {
				quoted++
				fragment = strings.TrimPrefix(fragment, "could not ") // which failure.Error begins with
				if fragment != "" && !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, fragment) }) {
					t.Errorf("docs/login.md quotes %q, which the program does not say", fragment)
				}
			}
		}
	}
	if quoted < 20 {
		t.Errorf("only %d texts are quoted", quoted)
	}
}

// textsOfGo are errors of the standard library that the program passes on.
func textsOfGo(t *testing.T) []string {
	t.Helper()
	name := x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a"}}, Host: "b"}
	_, notFound := net.DefaultResolver.LookupHost(t.Context(), "")
	return []string{
		name.Error(), x509.UnknownAuthorityError{}.Error(), syscall.ECONNREFUSED.Error(), io.ErrUnexpectedEOF.Error(), notFound.Error(),
	}
}

// literals are the strings in the source of the program, those that are put together
// by a plus sign as one.
func literals(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if expression, ok := n.(ast.Expr); ok {
				all = append(all, textOf(expression))
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func textOf(n ast.Expr) string {
	switch n := n.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(n.Value)
		return text
	case *ast.BinaryExpr:
		return textOf(n.X) + textOf(n.Y)
	default:
		return ""
	}
}
