package depcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestChartValues finds what was forgotten when a value was added to the chart:
// CONTRIBUTING.md has the steps.
func TestChartValues(t *testing.T) {
	t.Parallel()
	chart := filepath.Join(root, "charts", "oidc-injector")
	values := describedValues(t, readText(t, filepath.Join(chart, "values.yaml")))
	if len(values) < 100 {
		t.Fatalf("only %d values", len(values))
	}
	readme, set := readText(t, filepath.Join(chart, "README.md")), valuesOfTests(t)
	for _, value := range values {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(readme, "\n| "+value+" | ") {
				t.Error("the chart's README does not have it: make generate")
			}
			if !set[value] {
				t.Error("no test of test/chart sets it: add a row to values_test.go")
			}
		})
	}
}

// describedValues are the paths that have a comment with "# --", which each value has, or
// one around it.
func describedValues(t *testing.T, text string) []string {
	t.Helper()
	key := regexp.MustCompile(`^( *)([A-Za-z]\w*):(.*)$`)
	var described, path []string
	inside, comment := -1, false // the depth below which a value belongs to another's
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "#") || trimmed == "" {
			comment = (comment || strings.HasPrefix(trimmed, "# --")) && trimmed != ""
			continue
		}
		match := key.FindStringSubmatch(line)
		if match == nil {
			continue // an element of a list
		}
		depth := len(match[1]) / 2
		path = append(path[:min(depth, len(path))], match[2])
		if inside >= 0 && depth <= inside {
			inside = -1
		}
		switch value := strings.TrimSpace(match[3]); {
		case inside >= 0:
		case comment:
			described, inside = append(described, strings.Join(path, ".")), depth
		case value != "":
			t.Errorf("values.yaml: %s has no comment that begins with # --", strings.Join(path, "."))
		}
		comment = false
	}
	return described
}

// valuesOfTests are the paths of values, and of what is around them, that the tests of
// the chart set: by --set, or in YAML.
func valuesOfTests(t *testing.T) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "test", "chart", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	assignment := regexp.MustCompile(`([A-Za-z][\w.]*)(\[\d+\][\w.]*)*(\.\w+\\\S*)?=`)
	for _, path := range paths {
		err := eachLiteral(path, func(text string) {
			for _, match := range assignment.FindAllStringSubmatch(text, -1) {
				for at := match[1]; at != ""; at = at[:max(strings.LastIndexByte(at, '.'), 0)] {
					set[at] = true
				}
			}
			var values map[string]any
			if yaml.Unmarshal([]byte(text), &values) == nil {
				addPaths(set, "", values)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return set
}

func addPaths(set map[string]bool, prefix string, values map[string]any) {
	for name, value := range values {
		set[prefix+name] = true
		if inner, ok := value.(map[string]any); ok {
			addPaths(set, prefix+name+".", inner)
		}
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
