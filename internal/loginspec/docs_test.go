package loginspec_test

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var update = flag.Bool("update", false, "rewrite what is generated from the rows")

const docs = "../../docs/login-reference.md"

// The tables of the documentation are made of the rows.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	testutil.Generated(t, docs, *update, func(text string) string {
		text = testutil.Section(t, text, "methods", methodTable())
		return testutil.Section(t, text, "keys", keyTable())
	})
}

func methodTable() string {
	var b strings.Builder
	b.WriteString("| `login` | is | the path of the result is in | further variables of the app |\n|---|---|---|---|\n")
	for i := range loginspec.Methods {
		m := &loginspec.Methods[i]
		clients := make([]string, 0, len(m.Clients))
		for _, c := range m.Clients {
			clients = append(clients, c.Name)
		}
		summary := m.Summary
		if !strings.Contains(summary, m.Family) {
			summary = m.Family + ", " + summary
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", m.Name, summary, m.FileVariable, code(clients))
	}
	return b.String()
}

func keyTable() string {
	var b strings.Builder
	b.WriteString("| key | for | value | default | example |\n|---|---|---|---|---|\n")
	for _, o := range loginspec.All() {
		if o.Key == "" || o.Key == loginspec.MethodKey {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | `%s` |\n", o.Key, strings.Join(familiesOf(&o), ", "), help(&o), defaultOf(&o),
			exampleOf(&o))
	}
	return b.String()
}

// help is what the option is, as an annotation.
func help(o *loginspec.Option) string {
	const in = " From a Secret of the pod's namespace, "
	switch {
	case o.Secret == "":
		return o.Help
	case o.Name == loginspec.ClientCert:
		return o.Help + in + "with the entries `" + o.Secret + "` and `" + loginspec.ClientKeyFile + "`."
	default:
		return o.Help + in + "as name or name/key; the key is else `" + o.Secret + "`."
	}
}

// familiesOf are those whose methods have exactly this form of an option; none where
// it is every method's.
func familiesOf(o *loginspec.Option) []string {
	var families []string
	for i := range loginspec.Methods {
		m := &loginspec.Methods[i]
		if own := m.Key(o.Key); own != nil && own.Help == o.Help && !slices.Contains(families, m.Family) {
			families = append(families, m.Family)
		}
	}
	return families
}

func defaultOf(o *loginspec.Option) string {
	for i := range loginspec.Methods {
		m := &loginspec.Methods[i]
		own := m.Key(o.Key)
		if own == nil || own.Help != o.Help {
			continue
		}
		for _, name := range m.Needs {
			if name == o.Name && len(m.Needs) == 1 {
				return "required"
			} else if name == o.Name {
				return "one is required"
			}
		}
	}
	if o.Default == "" {
		return "–"
	}
	return code([]string{o.Default})
}

// exampleOf is a value other than the default.
func exampleOf(o *loginspec.Option) string {
	switch {
	case o.Example != "":
		return o.Example
	case o.Value == loginspec.Boolean:
		return strconv.FormatBool(o.Default != "true")
	}
	for _, value := range o.OneOf {
		if value != o.Default {
			return value
		}
	}
	return ""
}

func code(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return "`" + strings.Join(words, "`, `") + "`"
}
