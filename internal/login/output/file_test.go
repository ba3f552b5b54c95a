package output

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asChild makes the test binary do something in a process of its own.
const asChild = "OIDC_INJECTOR_TEST_AS"

func TestMain(m *testing.M) {
	switch os.Getenv(asChild) {
	case "writer":
		os.Exit(writeForEver(os.Args[1]))
	case "full":
		os.Exit(writeToFullDisks())
	}
	m.Run()
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := &File{Path: filepath.Join(dir, "token"), Mode: 0o440}
	for _, content := range []string{"one", "two", "two", ""} {
		if err := file.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		wantFile(t, file.Path, content, 0o440)
	}
	if diff := cmp.Diff([]string{"token"}, list(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func wantFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != content || info.Mode() != mode {
		t.Errorf("%q with mode %s instead of %q with %s", data, info.Mode(), content, mode)
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestWriteSameContent(t *testing.T) {
	file := &File{Path: filepath.Join(t.TempDir(), "token"), Mode: 0o400}
	write := func(content string) os.FileInfo {
		t.Helper()
		if err := file.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file.Path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := write("one")
	if !os.SameFile(first, write("one")) {
		t.Error("it was written again")
	}
	if err := os.Remove(file.Path); err != nil {
		t.Fatal(err)
	}
	write("one") // somebody has removed it
	if err := file.Remove(); err != nil {
		t.Fatal(err)
	}
	write("one")
	if err := errors.Join(file.Remove(), file.Remove()); err != nil {
		t.Errorf("to remove what is not there: %v", err)
	}
}

// failing lets the named step fail, after half of the work where there are
// halves.
type failing struct {
	Disk
	step string
}

var errStep = errors.New("the step fails")

func (f failing) Create(path string) (Handle, error) {
	if f.step == "create" {
		return nil, errStep
	}
	handle, err := f.Disk.Create(path)
	return &failingHandle{handle, f.step}, err
}

func (f failing) Rename(from, to string) error {
	if f.step == "rename" {
		return errStep
	}
	return f.Disk.Rename(from, to)
}

func (f failing) Remove(path string) error {
	if f.step == "remove" || f.step == "rename+remove" {
		return errStep
	}
	return f.Disk.Remove(path)
}

func (f failing) SyncDir(path string) error {
	if f.step == "syncdir" {
		return errStep
	}
	return f.Disk.SyncDir(path)
}

type failingHandle struct {
	Handle
	step string
}

func (h *failingHandle) Write(data []byte) (int, error) {
	if h.step == "write" {
		n, _ := h.Handle.Write(data[:len(data)/2])
		return n, errStep
	}
	return h.Handle.Write(data)
}

func (h *failingHandle) Chmod(mode fs.FileMode) error {
	if h.step == "chmod" {
		return errStep
	}
	return h.Handle.Chmod(mode)
}

func (h *failingHandle) Sync() error {
	if h.step == "sync" {
		return errStep
	}
	return h.Handle.Sync()
}

func (h *failingHandle) Close() error {
	if err := h.Handle.Close(); err != nil || h.step != "close" {
		return err
	}
	return errStep
}

// TestWriteFails: the old file stays.
func TestWriteFails(t *testing.T) {
	for _, step := range []string{"create", "write", "chmod", "sync", "close", "rename"} {
		dir := t.TempDir()
		file := &File{Path: filepath.Join(dir, "token"), Mode: 0o440}
		if err := file.Write([]byte("old")); err != nil {
			t.Fatal(err)
		}
		file.Steps = failing{step: step}
		if err := file.Write([]byte("new content")); !errors.Is(err, errStep) || errors.Is(err, ErrUnsynced) {
			t.Errorf("%s: %v", step, err)
		}
		wantFile(t, file.Path, "old", 0o440)
		if diff := cmp.Diff([]string{"token"}, list(t, dir)); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", step, diff)
		}
		file.Steps = nil
		if err := file.Write([]byte("new content")); err != nil {
			t.Errorf("%s: afterwards: %v", step, err)
		}
		wantFile(t, file.Path, "new content", 0o440)
	}
}

// TestWriteSyncFails: where the directory alone cannot be synced, the new file is there.
func TestWriteSyncFails(t *testing.T) {
	file := &File{Path: filepath.Join(t.TempDir(), "token"), Mode: 0o440, Steps: failing{step: "syncdir"}}
	if err := file.Write([]byte("new")); !errors.Is(err, ErrUnsynced) || !errors.Is(err, errStep) {
		t.Errorf("%v", err)
	}
	wantFile(t, file.Path, "new", 0o440)
}

func TestRemoveFails(t *testing.T) {
	file := &File{Path: filepath.Join(t.TempDir(), "token"), Steps: failing{step: "remove"}}
	if err := file.Remove(); !errors.Is(err, errStep) {
		t.Errorf("%v", err)
	}
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".token.1x.tmp", ".token.status", ".token.status.2y.tmp", "token", "token.tmp", ".other.1.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := &File{Path: filepath.Join(dir, "token")}
	if err := file.CleanUp(); err != nil {
		t.Fatal(err)
	}
	want := []string{".other.1.tmp", ".token.status", "token", "token.tmp"}
	if diff := cmp.Diff(want, list(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	file.Path = "/no/such/directory/token"
	if err := file.CleanUp(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := file.Write(nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestWriteOverDirectory(t *testing.T) {
	dir := t.TempDir()
	file := &File{Path: filepath.Join(dir, "token")}
	if err := os.MkdirAll(filepath.Join(file.Path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := file.Write([]byte("x")); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff([]string{"token"}, list(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestWriteReadOnly(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere: see TestFullAndReadOnlyDisks")
	}
	dir := t.TempDir()
	file := &File{Path: filepath.Join(dir, "token"), Mode: 0o400}
	if err := file.Write([]byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := file.Write([]byte("new")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v", err)
	}
	wantFile(t, file.Path, "old", 0o400)
}

// contents are what writeForEver writes in turn: long enough for many pages, and
// each of one letter.
func contents() [][]byte {
	return [][]byte{bytes.Repeat([]byte("A"), 70_000), bytes.Repeat([]byte("B"), 50_000), bytes.Repeat([]byte("C"), 60_000)}
}

// writeForEver says with a line when the file is there for the first time.
func writeForEver(path string) int {
	file := &File{Path: path, Mode: 0o440}
	for i := 0; ; i++ {
		if err := file.Write(contents()[i%3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if i == 0 {
			fmt.Println("writing")
		}
	}
}

// A process is killed at any moment, again and again, while others read.
func TestWriteIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	reads := 0
	for round := range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0], path)
		cmd.Env = append(os.Environ(), asChild+"=writer")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// How long a program takes to start says nothing: the moments count from
		// its first file, and no two are alike.
		if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			t.Fatal(err, stderr.String())
		}
		ends := time.Now().Add(time.Duration(round) * 777 * time.Microsecond)
		for time.Now().Before(ends) {
			reads += readWhole(t, dir, path)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if stderr.Len() > 0 {
			t.Fatal(stderr.String())
		}
		reads += readWhole(t, dir, path)
	}
	if reads < rounds {
		t.Errorf("only %d reads", reads)
	}
	file := &File{Path: path}
	leftovers := len(list(t, dir)) - 1
	if err := file.CleanUp(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"token"}, list(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	t.Logf("%d reads, %d leftovers of %d killed writers", reads, leftovers, rounds)
}

// readWhole reads the file, and looks at the modes of all.
func readWhole(t *testing.T, dir, path string) int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(contents(), func(whole []byte) bool { return bytes.Equal(whole, data) }) {
		t.Fatalf("%d bytes of %q", len(data), bytes.TrimLeft(data, "ABC"))
	}
	for _, name := range list(t, dir) {
		info, err := os.Lstat(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was renamed meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		temporary := strings.HasSuffix(name, suffix)
		if mode := info.Mode(); mode != 0o440 && (!temporary || mode != 0o600) {
			t.Errorf("%s has the mode %s", name, mode)
		}
	}
	return 1
}

func BenchmarkWrite(b *testing.B) {
	file := &File{Path: filepath.Join(b.TempDir(), "token"), Mode: 0o440}
	contents := [2][]byte{bytes.Repeat([]byte("A"), 100), bytes.Repeat([]byte("B"), 100)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := file.Write(contents[i%2]); err != nil {
			b.Fatal(err)
		}
	}
}
