package annotations_test

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var update = flag.Bool("update", false, "rewrite what is generated from the keys")

const schema = "../../charts/oidc-injector/values.schema.json"

// The chart's schema has the keys that the configuration may have.
func TestSchemaOfTheChart(t *testing.T) {
	t.Parallel()
	testutil.Generated(t, schema, *update, func(text string) string {
		return replaceOnce(t, text, `(?s)("defaults": \{[^{}]*"properties": \{\n)(.*?)(\n          \}\n)`, schemaOfDefaults())
	})
	testutil.Generated(t, "../../charts/oidc-injector/files/keys.yaml", *update, func(string) string {
		return "# Generated from the program: the keys of profiles, and the built-in providers.\n" +
			"profiles: [" + strings.Join(annotations.PresetKeys(), ", ") + "]\nproviders: [" +
			strings.Join(provider.BuiltIn().Names(), ", ") + "]\n"
	})
}

// replaceOnce replaces the second of three groups of a pattern, which has to be
// found once.
func replaceOnce(t *testing.T, text, pattern, with string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindAllStringSubmatchIndex(text, -1)
	if len(found) != 1 {
		t.Fatalf("%s has %d places like %s", schema, len(found), pattern)
	}
	return text[:found[0][4]] + with + text[found[0][5]:]
}

func schemaOfDefaults() string {
	var b strings.Builder
	for i, key := range annotations.DefaultKeys() {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "            %q: {\n              \"type\": \"string\"", key)
		if values := valuesOf(key); len(values) > 0 {
			const indent = "\n                "
			fmt.Fprintf(&b, ",\n              \"enum\": ["+indent+"\"%s\"\n              ]", strings.Join(values, `",`+indent+`"`))
		}
		if key == annotations.Expiration {
			b.WriteString(",\n              \"pattern\": \"^([0-9]+|([0-9]+(\\\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$\"")
		}
		b.WriteString("\n            }")
	}
	return b.String()
}

// valuesOf are the only values of a key, where there are few.
func valuesOf(key string) []string {
	all := loginspec.All()
	i := slices.IndexFunc(all, func(o loginspec.Option) bool { return o.Key == key })
	switch {
	case i < 0:
		return nil
	case all[i].Value == loginspec.Boolean:
		return []string{"true", "false"}
	default:
		return all[i].OneOf
	}
}
