package cluster

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	statePrefix = "oidc-injector-cluster-"
	logsPrefix  = "oidc-injector-logs-"
)

// state is the folder of one cluster. Its lock is held as long as the cluster
// lives and is let go by the kernel when this process is killed, which is how
// the next cluster knows what may be removed.
type state struct {
	dir  string
	lock *os.File
}

func newState(parent string) (*state, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return nil, fmt.Errorf("could not find the folder for clusters: %w", err)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("could not create the folder for clusters: %w", err)
	}
	removeAbandoned(parent)
	id := strings.ToLower(rand.Text()[:10])
	// It gets the name by which others find it only once it is locked.
	hidden, dir := filepath.Join(parent, ".new-"+statePrefix+id), filepath.Join(parent, statePrefix+id)
	if err := os.Mkdir(hidden, 0o700); err != nil {
		return nil, fmt.Errorf("could not create the folder of the cluster: %w", err)
	}
	lock, err := tryLock(filepath.Join(hidden, "lock"))
	if err != nil {
		return nil, err
	}
	if err := os.Rename(hidden, dir); err != nil {
		return nil, fmt.Errorf("could not name the folder of the cluster: %w", err)
	}
	return &state{dir: dir, lock: lock}, nil
}

// name is unique among the clusters of the machine.
func (s *state) name() string {
	return filepath.Base(s.dir)
}

func (s *state) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// remove removes the folder, and the control groups of the same name.
func (s *state) remove() error {
	defer s.lock.Close()
	return removeStateDir(s.dir)
}

// removeAbandoned removes what clusters left behind whose process was killed.
// What cannot be removed is left to the next one: it may be in use, somebody
// else's, or its processes may still be dying.
func removeAbandoned(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, statePrefix+"*")) // only a bad pattern fails
	for _, dir := range dirs {
		if lock, err := tryLock(filepath.Join(dir, "lock")); err == nil {
			_ = removeStateDir(dir)
			lock.Close()
		}
	}
}

func removeStateDir(dir string) error {
	if err := removeControlGroups(filepath.Base(dir)); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("could not remove the folder of a cluster: %w", err)
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
