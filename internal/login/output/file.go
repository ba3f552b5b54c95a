// Package output writes the result of a login so that a reader never sees half
// of it, and never with a wider mode than it is meant to have; and it reads back
// what an earlier run has left.
package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// File is a file that is replaced as a whole: written under another name in the
// same directory, closed to everybody else until it is complete, and renamed.
// It inherits the directory's group where that has the setgid bit, as a volume
// with an fsGroup has.
type File struct {
	Path string
	Mode fs.FileMode
	// Steps are how the file system is used; nil means for real.
	Steps Steps

	last []byte
}

// Steps are what it takes to replace a file. Tests make each of them fail.
type Steps interface {
	// Create makes a new file that only its owner can use; it must not exist.
	Create(path string) (Handle, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes a rename survive a crash of the machine.
	SyncDir(path string) error
}

// Handle is an open file.
type Handle interface {
	io.Writer
	Chmod(mode fs.FileMode) error
	Sync() error
	Close() error
}

// ErrUnsynced means that the new content is in place, but might be the old one
// again after a crash of the machine.
var ErrUnsynced = errors.New("the directory could not be synced")

// Write replaces the file, unless it has that very content. Where it fails the
// old file is still there, whole.
func (f *File) Write(content []byte) error {
	if f.isCurrent(content) {
		return nil
	}
	dir := filepath.Dir(f.Path)
	temporary := filepath.Join(dir, f.prefix()+strconv.FormatUint(rand.Uint64(), 36)+suffix) //nolint:gosec // a name, no secret
	err := f.fill(temporary, content)
	if err == nil {
		err = f.steps().Rename(temporary, f.Path)
	}
	if err != nil {
		// What cannot be removed now is removed at the next start.
		_ = f.steps().Remove(temporary)
		return err
	}
	f.last = bytes.Clone(content)
	if err := f.steps().SyncDir(dir); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsynced, err)
	}
	return nil
}

// isCurrent reports whether the file still has what was written last.
func (f *File) isCurrent(content []byte) bool {
	if f.last == nil || !bytes.Equal(f.last, content) {
		return false
	}
	_, err := os.Lstat(f.Path)
	return err == nil
}

// fill makes the temporary file. The final mode comes last, so that whatever is
// left behind by a crash is not for others to read.
func (f *File) fill(path string, content []byte) (err error) {
	handle, err := f.steps().Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, handle.Close()) }()
	if _, err := handle.Write(content); err != nil {
		return err
	}
	if err := handle.Chmod(f.Mode); err != nil {
		return err
	}
	return handle.Sync()
}

// Remove removes the file, if it is there.
func (f *File) Remove() error {
	f.last = nil
	if err := f.steps().Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// The name of a temporary file is .NAME.RANDOM.tmp.
const suffix = ".tmp"

func (f *File) prefix() string { return "." + filepath.Base(f.Path) + "." }

// CleanUp removes the temporary files of writes that were killed.
func (f *File) CleanUp() error {
	dir := filepath.Dir(f.Path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), f.prefix()) && strings.HasSuffix(entry.Name(), suffix) {
			errs = append(errs, f.steps().Remove(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

func (f *File) steps() Steps {
	if f.Steps != nil {
		return f.Steps
	}
	return Disk{}
}
