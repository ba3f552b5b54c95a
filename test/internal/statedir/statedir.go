// Package statedir keeps the files of what tests start, and removes those of
// what was killed.
package statedir

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const logsPrefix = "oidc-injector-logs-"

// Kind is what the folders of one kind of program have in common.
type Kind struct {
	// Name is a part of the names of the folders, such as cluster.
	Name string
	// Remove removes what else bears the name of a folder; it may be nil.
	Remove func(name string) error
}

func (k Kind) prefix() string { return "oidc-injector-" + k.Name + "-" }

// Dir is the folder of one instance. Its lock is held as long as the instance
// lives and is let go by the kernel when this process is killed, which is how
// the next instance knows what may be removed.
type Dir struct {
	// Root is the path of the folder.
	Root string

	kind Kind
	lock *os.File
}

// New makes a folder in another one, which is os.TempDir if it is "".
func New(parent string, kind Kind) (*Dir, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, fmt.Errorf("could not find the folder for a %s: %w", kind.Name, err)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("could not create the folder for a %s: %w", kind.Name, err)
	}
	removeAbandoned(parent, kind)
	name := kind.prefix() + strings.ToLower(rand.Text()[:10])
	// It gets the name by which others find it only once it is locked.
	hidden, root := filepath.Join(parent, ".new-"+name), filepath.Join(parent, name)
	if err := os.Mkdir(hidden, 0o700); err != nil {
		return nil, fmt.Errorf("could not create the folder of a %s: %w", kind.Name, err)
	}
	lock, err := tryLock(filepath.Join(hidden, "lock"))
	if err != nil {
		return nil, err
	}
	if err := os.Rename(hidden, root); err != nil {
		return nil, fmt.Errorf("could not name the folder of a %s: %w", kind.Name, err)
	}
	return &Dir{Root: root, kind: kind, lock: lock}, nil
}

// Name is unique among those of the machine.
func (d *Dir) Name() string {
	return filepath.Base(d.Root)
}

// Path is that of something in the folder.
func (d *Dir) Path(elements ...string) string {
	return filepath.Join(append([]string{d.Root}, elements...)...)
}

// MakeLogs makes a folder for logs: the given one, or one in the folder if it
// is "".
func (d *Dir) MakeLogs(dir string) (string, error) {
	if dir == "" {
		dir = d.logs()
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("could not find the folder for logs: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("could not create the folder for logs: %w", err)
	}
	return dir, nil
}

// KeepLogs saves the logs from being removed with the folder. It returns where
// they are now: those that are not in the folder stay.
func (d *Dir) KeepLogs(dir string) (string, error) {
	if dir != d.logs() {
		return dir, nil
	}
	id := strings.TrimPrefix(d.Name(), d.kind.prefix())
	to := filepath.Join(filepath.Dir(d.Root), logsPrefix+id)
	if err := os.Rename(dir, to); err != nil {
		return dir, fmt.Errorf("could not keep the logs: %w", err)
	}
	return to, nil
}

func (d *Dir) logs() string { return d.Path("logs") }

// Remove removes the folder, and what else bears its name.
func (d *Dir) Remove() error {
	defer d.lock.Close()
	return d.kind.remove(d.Root)
}

// removeAbandoned removes what others left behind whose process was killed.
// What cannot be removed is left to the next one: it may be in use, somebody
// else's, or its processes may still be dying.
func removeAbandoned(parent string, kind Kind) {
	dirs, _ := filepath.Glob(filepath.Join(parent, kind.prefix()+"*")) // only a bad pattern fails
	for _, dir := range dirs {
		if lock, err := tryLock(filepath.Join(dir, "lock")); err == nil {
			_ = kind.remove(dir)
			lock.Close()
		}
	}
}

func (k Kind) remove(dir string) error {
	if k.Remove != nil {
		if err := k.Remove(filepath.Base(dir)); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("could not remove the folder of a %s: %w", k.Name, err)
	}
	return nil
}

func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("could not open a lock file: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("could not lock %s: %w", path, err)
	}
	return file, nil
}
