package depcheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
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
	for _, page := range pages {
		content, err := os.ReadFile(filepath.Join(root, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			cells := strings.Split(line, " | ")
			if !strings.HasPrefix(line, "| ") || len(cells) < 2 {
				continue
			}
			for _, message := range span.FindAllString(cells[0], -1) {
				message = strings.Trim(message, "`")
				if strings.Count(message, " ") >= 3 {
					quoted++
				}
				for _, fragment := range between.Split(message, -1) {
					if strings.Count(fragment, " ") >= 2 && !notOurs.MatchString(fragment) && !texts.have(fragment) {
						t.Errorf("docs/%s quotes %q, of which %q is nowhere", page, message, fragment)
					}
				}
			}
		}
	}
	if quoted < 50 {
		t.Errorf("only %d messages are quoted", quoted)
	}
}

// messages are literals of the source: as they are, and the pieces between the verbs
// of those that have some.
type messages struct{ whole, pieces []string }

// verb is one of package fmt.
var verb = regexp.MustCompile(`%[+#]?[a-zA-Z]`)

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
	for _, dir := range []string{"internal", "cmd", "charts/oidc-injector"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			switch {
			case strings.HasSuffix(path, "_test.go"):
			case strings.HasSuffix(path, ".go"):
				return eachLiteral(path, add)
			case strings.Contains(path, "charts/"):
				text, err := os.ReadFile(path)
				m.whole = append(m.whole, string(text))
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
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
