package depcheck

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestToolchains: whatever is built here, tools included, is built with a standard
// library that has its security fixes, also where the installed Go is older.
func TestToolchains(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`(?m)^toolchain (go\S+)$`)
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "go.mod" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		version := "none"
		if match := line.FindSubmatch(text); match != nil {
			version = string(match[1])
		}
		found[version] = append(found[version], path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found["none"] != nil {
		t.Errorf("the modules name different toolchains: %v", found)
	}
}

// TestWorkflowsPinTheirActions: a tag can be moved to other code, a hash cannot.
func TestWorkflowsPinTheirActions(t *testing.T) {
	t.Parallel()
	pinned := regexp.MustCompile(`^(\./\S+|[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$`)
	paths, err := filepath.Glob(filepath.Join(root, ".github/workflows/*"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if _, action, uses := strings.Cut(line, "uses: "); uses && !pinned.MatchString(strings.TrimSpace(action)) {
				t.Errorf("%s: %s", filepath.Base(path), strings.TrimSpace(action))
			}
		}
	}
}
