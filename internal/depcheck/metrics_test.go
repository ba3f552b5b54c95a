package depcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestMetricsAreDocumented compares the names of metrics in the programs with those in
// the reference pages, both ways.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`\boidc_(injector|login)_[a-z_]+`)
	documented := map[string]bool{}
	for _, page := range []string{"audit.md", "certificates.md", "login-reference.md", "running.md"} {
		text, err := os.ReadFile(filepath.Join(root, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range name.FindAllString(string(text), -1) {
			documented[metric] = false
		}
	}
	for _, text := range printed(t).whole {
		if metric := name.FindString(text); metric == text && metric != "" {
			if _, found := documented[metric]; !found {
				t.Errorf("no page has %s", metric)
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
