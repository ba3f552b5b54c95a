package depcheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pages quote what the programs print, in the first column of their tables.
var pages = []string{"annotations.md", "audit.md", "certificates.md", "running.md", "runbooks.md", "troubleshooting.md"}

// notOurs are words of others that the pages quote.
var notOurs = regexp.MustCompile("^(" + strings.Join([]string{
	// Go's.
	`certificate (is valid for|has expired|signed by).*`, `, not .*`, `(failed to verify|unknown) certificate.*`, "address already in use",
	"context deadline exceeded", "no (route to|such) host", "server gave HTTP response to HTTPS client",
	// Kubernetes', Helm's and OpenShift's.
	"failed calling webhook", "(failed to call|received invalid) webhook.*", "ValidatingAdmissionPolicy .*", "missing property .*",
	"no endpoints available for service", "the server is currently unable to handle the request",
	"field is immutable", "pods is forbidden", "cannot create resource", `must have at most|may not be more than`,
	"insufficient quota to match these scopes", "must specify limits.cpu for", "(minimum cpu usage|cpu max limit).*", ", but .*",
	"MountVolume.SetUp failed for volume", "failed to fetch token", "container has runAsNonRoot.*", "unable to validate against.*",
	"kubectl get pod",
	"values don't meet the specifications.*", "chart requires kubeVersion", "which is incompatible with Kubernetes",
	"pod oidc-injector-test failed", "pre-(install|upgrade) hooks failed",
}, "|") + ")$")

// between are where a message is put together, or cut short.
var between = regexp.MustCompile(` ?(…|\.\.\.|"|: |\d+) ?`)

// TestMessagesAreQuotedAsPrinted looks for each message of the pages in the source, so
// that a message that changes there changes here.
func TestMessagesAreQuotedAsPrinted(t *testing.T) {
	t.Parallel()
	texts := printed(t)
	span := regexp.MustCompile("`[^`]+`")
	quoted := 0
	for _, cell := range firstCells(t, pages) {
		for _, message := range span.FindAllString(cell.text, -1) {
			message = strings.Trim(message, "`")
			if strings.Count(message, " ") >= 3 {
				quoted++
			}
			for _, fragment := range between.Split(message, -1) {
				if strings.Count(fragment, " ") >= 2 && !notOurs.MatchString(fragment) && !texts.have(fragment) {
					t.Errorf("docs/%s quotes %q, of which %q is nowhere", cell.page, message, fragment)
				}
			}
		}
	}
	if quoted < 50 {
		t.Errorf("only %d messages are quoted", quoted)
	}
}

// TestFindingsAreQuoted: whoever reads a warning, or that annotations contradict the pod
// or each other, finds it on the page of the rules.
func TestFindingsAreQuoted(t *testing.T) {
	t.Parallel()
	page := readText(t, filepath.Join(root, "docs/rules.md"))
	found := 0
	for _, dir := range []string{"annotations", "mutate", "policy", "admission"} {
		eachSource(t, filepath.Join("internal", dir), func(path string) error {
			for _, text := range findings(t, filepath.Join(root, path)) {
				found++
				if !strings.Contains(page, text) {
					t.Errorf("%s: no rule has %q", path, text)
				}
			}
			return nil
		})
	}
	if found < 40 {
		t.Errorf("only %d findings", found)
	}
}

// findings are the texts of a file's warnings, and of its errors but for those about a
// value, as they are shown.
func findings(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	add := func(argument ast.Expr) {
		if inner, ok := argument.(*ast.CallExpr); ok && nameOf(inner.Fun) == "Sprintf" {
			argument = inner.Args[0]
		}
		if text := shown(argument); strings.Count(text, " ") >= 3 {
			texts = append(texts, text)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			for _, element := range n.Elts {
				if field, ok := element.(*ast.KeyValueExpr); ok && nameOf(n.Type) == "Warning" && nameOf(field.Key) == "Text" {
					add(field.Value)
				}
			}
		case *ast.CallExpr:
			switch name := nameOf(n.Fun); {
			case name == "phrase": // a part of another one
				return false
			case name == "warn", name == "message", name == "Forbidden", filepath.Base(path) == "conflicts.go" && name == "Sprintf":
				for _, argument := range n.Args {
					add(argument)
				}
			}
		}
		return true
	})
	slices.Sort(texts)
	return slices.Compact(texts)
}

// nameOf is the last part of a name.
func nameOf(n ast.Expr) string {
	switch n := n.(type) {
	case *ast.Ident:
		return n.Name
	case *ast.SelectorExpr:
		return n.Sel.Name
	default:
		return ""
	}
}

// cell is one of a table.
type cell struct{ page, text string }

func firstCells(t *testing.T, pages []string) []cell {
	t.Helper()
	var cells []cell
	for _, page := range pages {
		for line := range strings.Lines(readText(t, filepath.Join(root, "docs", page))) {
			if first, _, more := strings.Cut(line, " | "); more && strings.HasPrefix(line, "| ") {
				cells = append(cells, cell{page, first})
			}
		}
	}
	return cells
}

// messages are literals of the source: as they are, and the pieces between the verbs
// of those that have some.
type messages struct{ whole, pieces []string }

// verb is one of package fmt.
var verb = regexp.MustCompile(`%[+#]?\d*[a-zA-Z]`)

// have reports whether a text is a part of a literal, or a piece of one is a part of
// it.
func (m messages) have(text string) bool {
	return slices.ContainsFunc(m.whole, func(s string) bool { return strings.Contains(s, text) }) ||
		slices.ContainsFunc(m.pieces, func(s string) bool { return strings.Contains(text, s) })
}

// printed are the literals of the programs and the templates of the chart.
func printed(t *testing.T) messages {
	t.Helper()
	var m messages
	add := func(text string) {
		m.whole = append(m.whole, text)
		for _, piece := range verb.Split(text, -1) {
			if piece = strings.Trim(piece, " :"); piece != text && strings.Count(piece, " ") >= 2 {
				m.pieces = append(m.pieces, piece)
			}
		}
	}
	for _, dir := range []string{"internal", "cmd"} {
		eachSource(t, dir, func(path string) error { return eachLiteral(filepath.Join(root, path), add) })
	}
	eachFile(t, "charts/oidc-injector", func(path string) error {
		m.whole = append(m.whole, readText(t, filepath.Join(root, path)))
		return nil
	})
	return m
}

// eachSource visits the Go files below a directory, tests aside; see eachFile.
func eachSource(t *testing.T, dir string, visit func(path string) error) {
	t.Helper()
	eachFile(t, dir, func(path string) error {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		return visit(path)
	})
}

// eachFile visits the files below a directory of the repository, by their paths there.
func eachFile(t *testing.T, dir string, visit func(path string) error) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(name))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// eachLiteral finds the strings of a file; those that a plus sign puts together are
// one.
func eachLiteral(path string, found func(string)) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if expression, ok := n.(ast.Expr); ok {
			if text := literal(expression); text != "" {
				found(text)
			}
		}
		return true
	})
	return nil
}

func literal(n ast.Expr) string {
	switch n := n.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(n.Value)
		if err != nil {
			return ""
		}
		return text
	case *ast.BinaryExpr:
		return literal(n.X) + literal(n.Y)
	default:
		return ""
	}
}
