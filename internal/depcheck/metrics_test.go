package depcheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// metricName is what the name of each metric begins with.
var metricName = regexp.MustCompile(`\boidc_(injector|login)_[a-z_]+`)

// TestMetricsAreDocumented compares the names of metrics in the programs with the first
// columns of the reference tables, both ways.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, cell := range firstCells(t, []string{"audit.md", "certificates.md", "login-reference.md", "running.md"}) {
		for _, metric := range metricName.FindAllString(cell.text, -1) {
			documented[metric] = false
		}
	}
	for _, text := range printed(t).whole {
		if metric := metricName.FindString(text); metric == text && metric != "" {
			if _, found := documented[metric]; !found {
				t.Errorf("no table of a page has %s", metric)
			}
			documented[metric] = true
		}
	}
	for metric, exists := range documented {
		if !exists {
			t.Errorf("%s is documented, and there is no such metric", metric)
		}
	}
	if len(documented) < 15 {
		t.Errorf("only %d metrics", len(documented))
	}
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
