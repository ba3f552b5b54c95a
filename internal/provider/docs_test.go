package provider_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var update = flag.Bool("update", false, "rewrite what is generated from the providers")

const docs = "../../docs/providers.md"

// The table of the documentation is made of the files of providers.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	testutil.Generated(t, docs, *update, func(text string) string {
		for _, name := range provider.BuiltIn().Names() {
			if !strings.Contains(text, "\n### "+name+"\n") {
				t.Errorf("%s says nothing of the other side of %s", docs, name)
			}
		}
		return testutil.Section(t, text, "providers", table())
	})
}

func table() string {
	var b strings.Builder
	b.WriteString("| provider | audience | annotations | what the SDK finds |\n|---|---|---|---|\n")
	for _, name := range provider.BuiltIn().Names() {
		p := provider.BuiltIn().Get(name)
		var keys, found []string
		for _, q := range p.Parameters {
			key := fmt.Sprintf("`%s-%s`", name, q.Name)
			if q.Required {
				key = "**" + key + "**"
			}
			keys = append(keys, key)
		}
		for _, v := range p.Env {
			found = append(found, "`"+v.Name+"`")
		}
		if p.File != nil {
			found = append(found, "file `"+p.File.Name+"`")
		}
		audience := "`" + p.Audience + "`"
		if before, parameter, variable := strings.Cut(strings.TrimSuffix(p.Audience, "}"), "${"); variable {
			audience = fmt.Sprintf("what `%s-%s` says", name, parameter)
			if before != "" {
				audience = "`" + before + "` and " + audience
			}
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", name, name, audience, strings.Join(keys, " "), strings.Join(found, " "))
	}
	return b.String()
}
