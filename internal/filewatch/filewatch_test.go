package filewatch_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/filewatch"
)

// follower follows a file and remembers what it was told.
type follower struct {
	mu      sync.Mutex
	reports []string
}

func follow(ctx context.Context, path, known string) *follower {
	f := &follower{}
	go filewatch.Follow(ctx, path, time.Second, []byte(known), func(data []byte, err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case err == nil:
			f.reports = append(f.reports, string(data))
		case data != nil:
			f.reports = append(f.reports, "content beside an error")
		case errors.Is(err, fs.ErrNotExist):
			f.reports = append(f.reports, "gone")
		default:
			f.reports = append(f.reports, "unreadable")
		}
	})
	return f
}

// expect lets several intervals pass and takes the reports of that time.
func (f *follower) expect(t *testing.T, after string, want ...string) {
	t.Helper()
	time.Sleep(3*time.Second + time.Second/2)
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff(want, f.reports); diff != "" {
		t.Errorf("reports after %s (-want +got):\n%s", after, diff)
	}
	f.reports = nil
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFollow: each change is reported once.
func TestFollow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	synctest.Test(t, func(t *testing.T) {
		f := follow(t.Context(), path, "one")
		f.expect(t, "the start")
		write(t, path, "one")
		f.expect(t, "the same content was written again")
		write(t, path, "two")
		f.expect(t, "a change", "two")
		write(t, path, "")
		f.expect(t, "the file was emptied", "")
		write(t, path, "one")
		f.expect(t, "the first content came back", "one")
	})
}

func TestFollowChangedBeforeStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "two")
	synctest.Test(t, func(t *testing.T) {
		follow(t.Context(), path, "one").expect(t, "the start", "two")
	})
}

// TestFollowRemovedAndRestored: the end is reported once, and the return whatever is in the file.
func TestFollowRemovedAndRestored(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	synctest.Test(t, func(t *testing.T) {
		f := follow(t.Context(), path, "one")
		must(t, os.Remove(path))
		f.expect(t, "the removal", "gone")
		write(t, path, "one")
		f.expect(t, "the return of the same content", "one")
		must(t, os.Remove(path))
		f.expect(t, "the second removal", "gone")
		must(t, os.Mkdir(path, 0o700))
		f.expect(t, "a directory took its place", "unreadable")
		must(t, os.Remove(path))
		f.expect(t, "the directory was removed", "gone")
		write(t, path, "")
		f.expect(t, "the return of an empty file", "")
	})
}

// The kubelet writes a new directory and points the link ..data to it; the file
// is a link through ..data.
func TestFollowSwappedByKubelet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish := func(version, content string) {
		must(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "file"), content)
		must(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	publish("..1", "one")
	path := filepath.Join(dir, "file")
	must(t, os.Symlink(filepath.Join("..data", "file"), path))
	synctest.Test(t, func(t *testing.T) {
		f := follow(t.Context(), path, "one")
		publish("..2", "two")
		must(t, os.RemoveAll(filepath.Join(dir, "..1")))
		f.expect(t, "the swap", "two")
		publish("..3", "two")
		f.expect(t, "a swap that changed another file")
	})
}

func TestFollowEndsWithContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := follow(ctx, path, "one")
		f.expect(t, "the start")
		cancel()
		synctest.Wait()
		write(t, path, "two")
		f.expect(t, "the end")
	})
}
