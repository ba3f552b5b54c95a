package depcheck

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var update = flag.Bool("update", false, "rewrite what is generated from the source")

// TestRules makes the page of the rules: what is wrong, what to do, and what the programs
// print, as it stands in the source.
func TestRules(t *testing.T) {
	t.Parallel()
	messages := messagesOfRules(t)
	testutil.Generated(t, filepath.Join(root, "docs/rules.md"), *update, func(text string) string {
		var b strings.Builder
		for _, r := range finding.Rules {
			fmt.Fprintf(&b, "## %s\n\n%s %s", r.Rule, r.Summary, r.Fix)
			if page, _, _ := strings.Cut(r.Page, "#"); page != "" {
				fmt.Fprintf(&b, " More: [%s](%s).", page, r.Page)
			}
			b.WriteString("\n\n")
			for i, message := range messages[r.Rule] {
				fmt.Fprintf(&b, "- `%s`\n", message)
				if i == len(messages[r.Rule])-1 {
					b.WriteByte('\n')
				}
			}
		}
		return testutil.Section(t, text, "rules", strings.TrimSuffix(b.String(), "\n"))
	})
}

// policyFiles are the files of package policy with the rule of what they refuse. Those of
// policy.go are about everything that a policy lists.
var policyFiles = map[string][]finding.Rule{
	"audiences.go": {finding.PolicyAudience},
	"addresses.go": {finding.PolicyAddress},
	"env.go":       {finding.PolicyVariable},
	"policy.go": {
		finding.PolicyAudience, finding.PolicyAddress, finding.PolicyVariable, finding.PolicyMountPath, finding.PolicySecret,
	},
}

// messagesOfRules are the texts of findings by their rules, with … for what varies.
func messagesOfRules(t *testing.T) map[finding.Rule][]string {
	t.Helper()
	messages := map[finding.Rule][]string{}
	for _, dir := range []string{"annotations", "mutate", "admission", "policy", "cli/preview"} {
		texts := textsInRules{t: t, callers: map[string]finding.Rule{}, takers: map[string]finding.Rule{}, messages: messages}
		var files []*ast.File
		eachSource(t, filepath.Join("internal", dir), func(path string) error {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, 0)
			files = append(files, file)
			if dir == "policy" {
				texts.refusals(file, policyFiles[filepath.Base(path)])
			}
			return err
		})
		// First to know which functions make and take texts of a rule, which those of others may say.
		for range 3 {
			for _, file := range files {
				texts.read(file)
			}
		}
	}
	for rule := range messages {
		slices.Sort(messages[rule])
		messages[rule] = slices.Compact(messages[rule])
	}
	return messages
}

// textsInRules finds the texts of a package's findings. A text is of the rule that the
// innermost call or literal around it names, also if it comes there by a variable, by a
// function that makes the error, or by one that takes the text.
type textsInRules struct {
	t               *testing.T
	callers, takers map[string]finding.Rule
	messages        map[finding.Rule][]string
}

// refusals are what the policy says, whose callers name the rule by what they judge.
func (x textsInRules) refusals(file *ast.File, rules []finding.Rule) {
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && nameOf(call.Fun) == "refuse" {
			for _, rule := range rules {
				x.messages[rule] = append(x.messages[rule], shown(call.Args[1]))
			}
		}
		return true
	})
}

func (x textsInRules) read(file *ast.File) {
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		var rule finding.Rule
		if makesErrors(function.Type) {
			rule = x.callers[function.Name.Name]
		}
		variables := map[string]finding.Rule{}
		for range 2 { // a variable is assigned before it is used
			x.walk(function.Body, rule, variables)
		}
		for _, parameter := range function.Type.Params.List {
			for _, name := range parameter.Names {
				if nameOf(parameter.Type) == "string" && variables[name.Name] != "" {
					x.takers[function.Name.Name] = variables[name.Name]
				}
			}
		}
	}
}

// makesErrors reports whether a function returns errors of fields.
func makesErrors(function *ast.FuncType) bool {
	made := false
	ast.Inspect(function, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		made = made || ok && nameOf(selector.X) == "field" && strings.HasPrefix(selector.Sel.Name, "Error")
		return true
	})
	return made
}

func (x textsInRules) walk(n ast.Node, rule finding.Rule, variables map[string]finding.Rule) {
	inside := rule
	switch n := n.(type) {
	case *ast.CallExpr:
		inside = ruleAmong(x.t, rule, n.Args)
		if taker := x.takers[nameOf(n.Fun)]; taker != "" {
			inside = taker
		}
		if inside != "" {
			x.callers[nameOf(n.Fun)] = inside
		}
	case *ast.CompositeLit:
		inside = ruleAmong(x.t, rule, n.Elts)
	case *ast.AssignStmt:
		if name, ok := n.Lhs[len(n.Lhs)-1].(*ast.Ident); ok && variables[name.Name] != "" {
			inside = variables[name.Name]
		}
	case *ast.Ident:
		if rule != "" {
			variables[n.Name] = rule
		}
	case ast.Expr:
		if text := shown(n); text != "" {
			if rule != "" && strings.Count(text, " ") >= 3 {
				x.messages[rule] = append(x.messages[rule], text)
			}
			return // its parts are no texts
		}
	}
	ast.Inspect(n, func(child ast.Node) bool {
		if child == nil || child == n {
			return child != nil
		}
		x.walk(child, inside, variables)
		return false
	})
}

// ruleAmong is the rule that one of the expressions names, as it is or as the field of a
// literal.
func ruleAmong(t *testing.T, rule finding.Rule, expressions []ast.Expr) finding.Rule {
	t.Helper()
	for _, e := range expressions {
		if field, ok := e.(*ast.KeyValueExpr); ok {
			e = field.Value
		}
		selector, ok := e.(*ast.SelectorExpr)
		if !ok || nameOf(selector.X) != "finding" {
			continue
		}
		for _, r := range finding.Rules {
			if strings.EqualFold(strings.ReplaceAll(string(r.Rule), "-", ""), selector.Sel.Name) {
				return r.Rule
			}
		}
		t.Errorf("no rule is called %s", selector.Sel.Name)
	}
	return rule
}

// shown is a text as people see it, with … for what varies; empty for other expressions.
func shown(e ast.Expr) string {
	text := pattern(e)
	if literal(e) == "" {
		return ""
	}
	text = strings.ReplaceAll(text, "%q", `"…"`)
	return strings.ReplaceAll(verb.ReplaceAllString(text, "…"), "……", "…")
}

func pattern(e ast.Expr) string {
	if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		return pattern(sum.X) + pattern(sum.Y)
	}
	if text := literal(e); text != "" {
		return text
	}
	return "…"
}
