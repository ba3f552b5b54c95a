package depcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// root is the repository, as seen from this package.
const root = "../.."

// link is the target of a Markdown link.
var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// TestLinks follows the links between the documents of the repository, to the
// heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	documents := documentsOf(t)
	for path, text := range documents {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, heading, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s: %s: there is no such file", path, match[1])
				continue
			}
			if heading != "" && !hasHeading(documents[file], heading) {
				t.Errorf("%s: %s: there is no such heading", path, match[1])
			}
		}
	}
}

// TestNamedTestsExist: CONTRIBUTING.md says which test finds what was forgotten.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+|Fuzz\w+)\(`)
	for _, dir := range []string{"cmd", "internal", "test"} {
		eachFile(t, dir, func(path string) error {
			if strings.HasSuffix(path, "_test.go") {
				for _, match := range declared.FindAllStringSubmatch(readText(t, filepath.Join(root, path)), -1) {
					tests[match[1]] = true
				}
			}
			return nil
		})
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`").FindAllStringSubmatch(readText(t, filepath.Join(root, "CONTRIBUTING.md")), -1)
	if len(named) < 20 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, match := range named {
		if !tests[match[1]] {
			t.Errorf("CONTRIBUTING.md names %s, which is nowhere", match[1])
		}
	}
}

// documentsOf are the texts of all documents by their paths.
func documentsOf(t *testing.T) map[string]string {
	t.Helper()
	documents := map[string]string{}
	for _, pattern := range []string{"*.md", "*/*.md", "*/*/*.md", "*/*/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			documents[name] = string(text)
		}
	}
	if len(documents) < 10 {
		t.Fatalf("only %d documents", len(documents))
	}
	return documents
}

// hasHeading reports whether a document has a heading of that anchor, as GitHub
// makes them: small letters, dashes for blanks, no other punctuation.
func hasHeading(text, anchor string) bool {
	inCode := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inCode = !inCode
		}
		title := strings.TrimLeft(line, "#")
		if inCode || title == line {
			continue
		}
		if strings.EqualFold(anchorOf(strings.TrimSpace(title)), anchor) {
			return true
		}
	}
	return false
}

func anchorOf(title string) string {
	title = link.ReplaceAllString(title, "]")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}

// TestAlertsHaveRunbooks compares the alerts of the chart with the sections of the page that they
// link to, both ways.
func TestAlertsHaveRunbooks(t *testing.T) {
	t.Parallel()
	names := func(file string, pattern *regexp.Regexp) []string {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, match := range pattern.FindAllStringSubmatch(string(text), -1) {
			all = append(all, match[1])
		}
		slices.Sort(all)
		return all
	}
	alerts := names("charts/oidc-injector/templates/prometheusrule.yaml", regexp.MustCompile(`dict "alert" "(\w+)"`))
	runbooks := names("docs/runbooks.md", regexp.MustCompile(`(?m)^<a id="OIDC\w+"></a>\n\n## (OIDC\w+)$`))
	if !slices.Equal(alerts, runbooks) || len(alerts) < 10 {
		t.Errorf("alerts  %v\nrunbooks %v", alerts, runbooks)
	}
}

// TestPackagesAreOnTheMap: whoever looks for a package finds what it is for.
func TestPackagesAreOnTheMap(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs/design/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	packages, err := os.ReadDir(filepath.Join(root, "internal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		if !strings.Contains(string(page), "`internal/"+p.Name()+"`") {
			t.Errorf("docs/design/README.md does not name internal/%s", p.Name())
		}
	}
}
