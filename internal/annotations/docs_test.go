package annotations_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// TestRelyingParties reads every block of the page that people copy from: it is valid,
// without a warning, and is of the method in whose row of the table on top it stands.
func TestRelyingParties(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/relying-parties.md")
	if err != nil {
		t.Fatal(err)
	}
	parties := strings.Split(string(content), "\n### ")
	table, parties := parties[0], parties[1:]
	if links := strings.Count(table, "](#"); links != len(parties) {
		t.Errorf("the table has %d parties, the page %d", links, len(parties))
	}
	blocks := regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```\n")
	for _, party := range parties {
		name, text, _ := strings.Cut(party, "\n")
		var methods []string
		for _, block := range blocks.FindAllStringSubmatch(text, -1) {
			methods = append(methods, methodOf(t, name, block[1]))
		}
		cell := "one of the three"
		if len(methods) == 1 {
			cell = methods[0]
		}
		anchor := regexp.MustCompile(`[^a-z0-9-]`).ReplaceAllString(strings.ReplaceAll(strings.ToLower(name), " ", "-"), "")
		_, row, _ := strings.Cut(table, "\n| "+cell+" | ")
		row, _, _ = strings.Cut(row, "\n")
		if link := "[" + name + "](#" + anchor + ")"; len(methods) == 0 || !strings.Contains(row, link) {
			t.Errorf("the row %q of the table has no %s", cell, link)
		}
	}
}

// methodOf reads a block of annotations, and says in the words of the table how the
// token is used.
func methodOf(t *testing.T, party, block string) string {
	t.Helper()
	var all map[string]string
	if err := yaml.UnmarshalStrict([]byte(block), &all); err != nil {
		t.Fatalf("%s: %v", party, err)
	}
	spec, warnings, errs := newParser().Parse(annotations.Input{Annotations: annotations.FromMap(all)})
	expect(t, party+": errors", nil, texts(errs))
	expect(t, party+": warnings", nil, warnings)
	switch {
	case len(spec.Tokens) != 1 || len(spec.Logins) > 1:
		t.Errorf("%s: %d tokens, %d logins", party, len(spec.Tokens), len(spec.Logins))
	case len(spec.Logins) == 1:
		return "`" + spec.Logins[0].Spec().Name + "`"
	}
	return "the token alone"
}
