package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// hierarchies are the folders in which control groups are made: one for each
// controller with version 1, a single one with version 2.
func hierarchies() ([]string, error) {
	var info unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &info); err != nil {
		return nil, fmt.Errorf("could not find control groups: %w", os.NewSyscallError("statfs", err))
	}
	if info.Type == unix.CGROUP2_SUPER_MAGIC {
		return []string{cgroupRoot}, nil
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil, fmt.Errorf("could not find control groups: %w", err)
	}
	var dirs []string
	for _, entry := range entries {
		// Links are other names of hierarchies, such as cpu of cpu,cpuacct.
		if entry.IsDir() {
			dirs = append(dirs, filepath.Join(cgroupRoot, entry.Name()))
		}
	}
	return dirs, nil
}

// makeControlGroups makes a root of its own for each kubelet, so that it does
// not take the pods of another one for its own orphans.
func makeControlGroups(name string) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return fmt.Errorf("could not create a control group: %w", err)
		}
	}
	return inheritCPUs(filepath.Join(cgroupRoot, "cpuset"), name)
}

// inheritCPUs fills what a new group of version 1 does not inherit, and without
// which no process can join it.
func inheritCPUs(dir, name string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && len(bytes.TrimSpace(value)) > 0 {
			err = os.WriteFile(filepath.Join(dir, name, file), value, 0o644)
		}
		if err != nil {
			return fmt.Errorf("could not give a control group its CPUs: %w", err)
		}
	}
	return nil
}

// removeControlGroups removes all groups below and including those of a name.
func removeControlGroups(name string) error {
	dirs, err := hierarchies()
	if err != nil {
		return nil //nolint:nilerr // there are none, then
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, removeControlGroup(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

func removeControlGroup(root string) error {
	var groups []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return ignoreNotExist(err)
	})
	slices.Reverse(groups) // children before their parents
	for _, group := range groups {
		err = errors.Join(err, ignoreNotExist(os.Remove(group)))
	}
	if err != nil {
		return fmt.Errorf("could not remove a control group: %w", err)
	}
	return nil
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
