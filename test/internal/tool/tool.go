// Package tool finds the programs of hack/tools.
package tool

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Path is that of a tool, at the version that the repository pins. It is built the
// first time. Root is the repository.
func Path(ctx context.Context, root, name string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "hack", "tool"), "--path", name)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("could not build %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}
