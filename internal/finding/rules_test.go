package finding_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/finding"
)

// TestEveryRuleHasARow reads the constants, as Go cannot list them.
func TestEveryRuleHasARow(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "rules.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Type == nil || fmt.Sprint(spec.Type) != "Rule" {
			return true
		}
		name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		constants[name] = true
		return true
	})
	if len(constants) < 30 {
		t.Fatalf("%d constants", len(constants))
	}
	for _, r := range finding.Rules {
		if !constants[string(r.Rule)] {
			t.Errorf("%s is there twice, or has no constant", r.Rule)
		}
		delete(constants, string(r.Rule))
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(string(r.Rule)) {
			t.Errorf("%q is no name of a rule", r.Rule)
		}
		for _, text := range []string{r.Summary, r.Fix} {
			if !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q is no sentence", r.Rule, text)
			}
		}
		if found, ok := finding.Find(r.Rule); !ok || found != r {
			t.Errorf("%s is not found", r.Rule)
		}
	}
	for name := range constants {
		t.Errorf("%s has no row", name)
	}
}

func TestRulesAreNotInTexts(t *testing.T) {
	t.Parallel()
	err := field.Invalid(field.NewPath("a"), "b", "c")
	text := err.Error()
	if finding.Error(finding.TooLarge, err).Error() != text || finding.Of(err) != finding.TooLarge {
		t.Error(err)
	}
	if _, found := finding.Find(finding.Of(field.Invalid(field.NewPath("a"), "b", "c"))); found {
		t.Error("an error without a rule has one")
	}
	w := finding.Warnings{{Rule: finding.StaticPod, Text: "a"}, {Text: "b"}}
	if got := w.Texts(); len(got) != 2 || got[1] != "b" || !w.Has("a") || w.Has("c") || finding.Warnings(nil).Texts() != nil {
		t.Errorf("%q", got)
	}
}
