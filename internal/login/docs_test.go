package login

import (
	"crypto/x509"
	"go/ast"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// What the documentation says that the program says, it says.
func TestFailuresAreQuoted(t *testing.T) {
	_, table, found := strings.Cut(string(readFile(t, "../../docs/login.md")), "| class | the program says | what to do |\n|---|---|---|\n")
	table, _, ended := strings.Cut(table, "\n\n")
	if !found || !ended {
		t.Fatal("docs/login.md has no table of what the program says")
	}
	said := textsOfGo(t)
	eachFile(t, ".", func(_ string, file *ast.File) { said = append(said, texts(file)...) })
	quoted := 0
	for row := range strings.Lines(table) {
		cell := strings.Split(row, " | ")[1]
		for _, span := range regexp.MustCompile("`[^`]+`").FindAllString(cell, -1) {
			for fragment := range strings.SplitSeq(strings.Trim(span, "`"), "…") {
				quoted++
				fragment = strings.TrimPrefix(fragment, "could not ") // which failure.Error begins with
				if fragment != "" && !slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, fragment) }) {
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
