package depcheck

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// injected are the names of what is injected into pods.
var injected = []string{
	loginspec.TokenVolume, loginspec.Container, loginspec.Volume, loginspec.CAVolume, loginspec.ClientVolume,
}

// sameWord are files where such a word is the name of something else.
var sameWord = map[string]string{
	"internal/annotations/parse.go": "the file of a token",
}

// TestNamesHaveOneHome: what a pod's volumes and containers are called stands in package
// loginspec alone, and the documentation follows.
func TestNamesHaveOneHome(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"cmd", "internal"} {
		eachSource(t, dir, func(path string) error {
			if strings.HasPrefix(path, "internal/loginspec/") || sameWord[path] != "" || strings.HasSuffix(filepath.Dir(path), "test") {
				return nil
			}
			return eachLiteral(filepath.Join(root, path), func(text string) {
				if slices.Contains(injected, text) {
					t.Errorf("%s names %q: take the constant of internal/loginspec", path, text)
				}
			})
		})
	}
	documents := documentsOf(t)
	_, table, _ := strings.Cut(documents["docs/annotations.md"], "\n## What is added\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for _, name := range injected {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf(`docs/annotations.md does not have %q in "What is added"`, name)
		}
	}
	container := regexp.MustCompile(`(?:--container[= ]|@\.name==")(oidc-[\w-]+)`)
	for path, text := range documents {
		for _, match := range container.FindAllStringSubmatch(text, -1) {
			if match[1] != loginspec.Container && !strings.HasPrefix(match[1], loginspec.Container+"-") {
				t.Errorf("%s has a container %s", path, match[1])
			}
		}
	}
}
