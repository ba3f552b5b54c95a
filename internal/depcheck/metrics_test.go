package depcheck

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// metricName is what the name of each metric begins with.
var metricName = regexp.MustCompile(`\boidc_(injector|login)_[a-z_]+`)

// TestMetrics makes the table of metrics of their names, labels and help in the source.
func TestMetrics(t *testing.T) {
	t.Parallel()
	metrics, named := map[string]metric{}, map[string]bool{}
	for _, dir := range []string{"internal", "cmd"} {
		eachSource(t, dir, func(path string) error {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				expression, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				if name := literal(expression); name != "" && metricName.FindString(name) == name {
					named[name] = true
				}
				if m := metricOf(expression); m.name != "" && len(m.labels) >= len(metrics[m.name].labels) {
					metrics[m.name] = m
				}
				return true
			})
			return nil
		})
	}
	for name := range named {
		if metrics[name].help == "" {
			t.Errorf("the help of %s stands somewhere else than its name", name)
		}
	}
	if len(metrics) < 30 {
		t.Errorf("only %d metrics", len(metrics))
	}
	testutil.Generated(t, filepath.Join(root, "docs/metrics.md"), *update, func(text string) string {
		var b strings.Builder
		b.WriteString("| metric | labels | what |\n|---|---|---|\n")
		for _, name := range slices.Sorted(maps.Keys(metrics)) {
			labels := ""
			if of := metrics[name].labels; len(of) > 0 {
				labels = "`" + strings.Join(of, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, labels, metrics[name].help)
		}
		return testutil.Section(t, text, "metrics", b.String())
	})
}

type metric struct {
	name, help string
	labels     []string
}

// counted is what a help ends with that names the label.
var counted = regexp.MustCompile(`, by (\w+)\.$`)

// metricOf is the metric that a call or a literal describes, with its labels if the call
// has them; empty for others.
func metricOf(e ast.Expr) (m metric) {
	var parts []ast.Expr
	switch e := e.(type) {
	case *ast.CallExpr:
		parts = e.Args
	case *ast.CompositeLit:
		for _, element := range e.Elts {
			if field, ok := element.(*ast.KeyValueExpr); ok {
				parts = append(parts, field.Value)
			}
		}
	}
	for _, part := range parts {
		text := literal(part)
		switch inner := metricOf(part); {
		case metricName.FindString(text) == text && text != "":
			m.name = text
		case strings.HasSuffix(text, "."):
			m.help = text
		case inner.name != "":
			m.name, m.help = inner.name, inner.help
		}
		if list, ok := part.(*ast.CompositeLit); ok && list.Type != nil {
			if _, texts := list.Type.(*ast.ArrayType); texts {
				for _, element := range list.Elts {
					if label := literal(element); label != "" {
						m.labels = append(m.labels, label)
					}
				}
			}
		}
	}
	if m.name == "" || m.help == "" {
		return metric{}
	}
	if match := counted.FindStringSubmatch(m.help); match != nil && len(m.labels) == 0 {
		m.labels = match[1:]
	}
	return m
}

// TestMetricsAreNamedInFull: a name that is put together is found by nobody who looks for
// it, nor by the test above.
func TestMetricsAreNamedInFull(t *testing.T) {
	t.Parallel()
	eachSource(t, "internal", func(path string) error {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			options, ok := n.(*ast.CompositeLit)
			if !ok || !strings.HasSuffix(nameOf(options.Type), "Opts") {
				return true
			}
			for _, element := range options.Elts {
				field, ok := element.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				name, text := nameOf(field.Key), literal(field.Value)
				if name == "Namespace" || name == "Subsystem" || name == "Name" && text != "" && metricName.FindString(text) != text {
					t.Errorf("%s: %s %q: the name has to be whole, and begin with oidc_injector_", path, name, text)
				}
			}
			return true
		})
		return nil
	})
}
