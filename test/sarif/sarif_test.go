package sarif

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	// It has the schema, though none of its functions compares a text as it is.
	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/oidc-injector/oidc-injector/test/injector"
)

// schemaOf is OASIS' schema of SARIF 2.1.0, as a constant of go-sarif: its licence does not
// say that others may have the file.
func schemaOf(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}",
		"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && len(literal.Value) > len(text) {
			text = literal.Value
		}
		return true
	})
	if text, err = strconv.Unquote(text); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.UseLoader(jsonschema.SchemeURLLoader{}) // nothing is fetched
	if err := compiler.AddResource(url, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(url)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestLint holds that the log is one of SARIF.
func TestLint(t *testing.T) {
	plugin, err := injector.Build(t.Context(), "kubectl-oidc_injector", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	schema := schemaOf(t)
	if schema.Validate(map[string]any{"version": "2.1.0"}) == nil {
		t.Fatal("a log without runs is valid")
	}
	for name, tt := range map[string]struct {
		manifest string
		results  int
	}{
		"no_findings": {"{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: app}]}}", 0},
		"findings": {`
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, annotations: {oidc-injector.io/audience: vault}}
spec:
  template:
    metadata:
      annotations: {oidc-injector.io/audience: vault, oidc-injector.io/expiration: soon, oidc-injector.io/audiense: "é\n"}
    spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: b, annotations: {oidc-injector.io/audience: vault, oidc-injector.io/containers: other}}
spec: {containers: [{name: app}]}
`, 4},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), plugin, "lint", "-f", "-", "-n", "default", "-o", "sarif")
			var out, errOut bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(tt.manifest), &out, &errOut
			if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != 1 { // which says that there are findings
				t.Fatal(err, errOut.String())
			}
			log, err := jsonschema.UnmarshalJSON(bytes.NewReader(out.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(log); err != nil {
				t.Errorf("%v:\n%s", err, out.String())
			}
			if n := strings.Count(out.String(), `"ruleId"`); n != tt.results {
				t.Errorf("%d results, want %d:\n%s", n, tt.results, out.String())
			}
		})
	}
}
