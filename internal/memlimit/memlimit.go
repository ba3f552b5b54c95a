// Package memlimit tells the Go runtime how much memory the container may use, as
// the runtime itself tells GOMAXPROCS from its processors. Without it, the heap may
// grow to twice of what is in use, beyond the container's limit, instead of being
// collected more often.
package memlimit

import (
	"io/fs"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// Share is the part of the container's limit that the Go runtime gets. The rest is
// for what it does not count: the program's file and the kernel's buffers.
const Share = 0.8

// Set limits the memory of this process to its share of what its control group may
// use. Where there is no limit, and where the variable GOMEMLIMIT has one already,
// it changes nothing. The root is that of the file system.
func Set(root fs.FS, gomemlimit string) {
	if gomemlimit != "" {
		return
	}
	if limit, ok := ofControlGroup(root); ok {
		debug.SetMemoryLimit(int64(float64(limit) * Share))
	}
}

// ofControlGroup is the limit of the control group of this process, in bytes.
func ofControlGroup(root fs.FS) (int64, bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false // not Linux
	}
	for line := range strings.Lines(string(groups)) { // hierarchy:controllers:path, cgroups(7)
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		dir, file := "sys/fs/cgroup", "memory.max"
		switch controllers {
		case "":
		case "memory":
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// With version 1, a container often sees the group's path on the node, and its
		// own group as the root.
		for _, p := range []string{path.Join(dir, group, file), path.Join(dir, file)} {
			if limit, ok := readLimit(root, p); ok {
				return limit, true
			}
		}
	}
	return 0, false
}

// unlimited is less than what version 1 says where there is no limit, and more than
// any machine has.
const unlimited = 1 << 50

func readLimit(root fs.FS, file string) (int64, bool) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is none
	return limit, err == nil && limit > 0 && limit < unlimited
}
