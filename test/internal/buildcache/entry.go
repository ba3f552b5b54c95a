// Package buildcache builds programs from Go modules, once, into folders that
// live from run to run.
package buildcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// cacheRoot is where built programs and unpacked packages live from run to run.
func cacheRoot() (string, error) {
	if dir := os.Getenv("OIDC_INJECTOR_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("could not find a cache folder, set OIDC_INJECTOR_CACHE: %w", err)
	}
	return filepath.Join(dir, "oidc-injector"), nil
}

// Entry is a folder of the cache which is filled once.
type Entry struct {
	// Dir is the path of the folder.
	Dir string

	progress io.Writer
}

// NewEntry names the folder after what its content depends on: whatever changes
// the content has to be among the inputs.
func NewEntry(progress io.Writer, name string, inputs ...string) (*Entry, error) {
	dir, err := cacheRoot()
	if err != nil {
		return nil, err
	}
	return &Entry{Dir: filepath.Join(dir, name+"-"+Key(inputs...)), progress: progress}, nil
}

// Key depends on every input and on where one ends and the next begins.
func Key(inputs ...string) string {
	hash := sha256.New()
	for _, input := range inputs {
		fmt.Fprintf(hash, "%d:%s", len(input), input)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}

// Fill makes sure that the folder has the named entries. Those that are
// missing are made by create in a temporary folder beside it and appear by
// renaming, so that an interrupted run leaves nothing half done.
func (e *Entry) Fill(ctx context.Context, names []string, create func(dir string, missing []string) error) error {
	if e.Has(names) {
		return nil
	}
	if err := os.MkdirAll(e.Dir, 0o755); err != nil {
		return fmt.Errorf("could not create a cache folder: %w", err)
	}
	// Go tests each package in a process of its own: the second one waits.
	unlock, err := e.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	missing := e.missing(names)
	if len(missing) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp(e.Dir, ".new-")
	if err != nil {
		return fmt.Errorf("could not create a temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := create(dir, missing); err != nil {
		return err
	}
	for _, name := range missing {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(e.Dir, name)); err != nil {
			return fmt.Errorf("could not put %s into the cache: %w", name, err)
		}
	}
	return nil
}

// Has reports whether the folder has the named entries.
func (e *Entry) Has(names []string) bool { return len(e.missing(names)) == 0 }

func (e *Entry) missing(names []string) (missing []string) {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(e.Dir, name)); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
		}
	}
	return missing
}

// lock waits until no other process fills the folder.
func (e *Entry) lock(ctx context.Context) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(e.Dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("could not open a lock file: %w", err)
	}
	for told := false; ; told = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { file.Close() }, nil // closing unlocks
		case !errors.Is(err, unix.EWOULDBLOCK):
			file.Close()
			return nil, fmt.Errorf("could not lock %s: %w", file.Name(), err)
		case !told:
			fmt.Fprintf(e.progress, "cache: waiting for another process which fills %s\n", e.Dir)
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("could not lock %s: %w", file.Name(), ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
