package output

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Skipped, the exit code of a child that may not mount anything.
const skipped = 75

func TestFullAndReadOnlyDisks(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], t.TempDir())
	cmd.Env = append(os.Environ(), asChild+"=full")
	// What is mounted there is seen by nobody else, and goes with the process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	output, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrPermission) || cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == skipped {
		t.Skipf("SKIPPED: a small disk needs the right to mount: %v %s", err, output)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// writeToFullDisks is that process.
func writeToFullDisks() int {
	dir := os.Args[1]
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		fmt.Println(err)
		return skipped
	}
	if err := errors.Join(fullDisk(dir), readOnlyDisk(dir)); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func fullDisk(dir string) error {
	file := &File{Path: filepath.Join(dir, "token"), Mode: 0o400}
	old := bytes.Repeat([]byte("o"), 8<<10)
	if err := file.Write(old); err != nil {
		return err
	}
	if err := file.Write(bytes.Repeat([]byte("n"), 80<<10)); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("a full disk: %w", err)
	}
	if err := holds(file, old); err != nil {
		return err
	}
	// The half that fitted has made room again.
	return file.Write(bytes.Repeat([]byte("s"), 32<<10))
}

func readOnlyDisk(dir string) error {
	file := &File{Path: filepath.Join(dir, "token"), Mode: 0o400}
	if err := file.Write([]byte("old")); err != nil {
		return err
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	if err := file.Write([]byte("new")); !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("a read-only disk: %w", err)
	}
	if err := file.Remove(); !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("to remove from a read-only disk: %w", err)
	}
	return holds(file, []byte("old"))
}

func holds(file *File, want []byte) error {
	got, err := os.ReadFile(file.Path)
	if err == nil && !bytes.Equal(got, want) {
		return fmt.Errorf("the file has %d bytes instead of %d", len(got), len(want))
	}
	if entries, _ := os.ReadDir(filepath.Dir(file.Path)); len(entries) != 1 {
		return fmt.Errorf("%d files", len(entries))
	}
	return err
}
