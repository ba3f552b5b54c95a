// Package contained finds the processes of a node's containers, which are processes of
// this machine, too, and measures them.
package contained

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Process is the id of a process of the node, on this machine.
type Process int

// Find finds the first process of a container. Those of probes come later.
func Find(t *testing.T, c corev1.ContainerStatus) Process {
	t.Helper()
	_, container, _ := strings.Cut(c.ContainerID, "://")
	if container == "" {
		t.Fatalf("the container has no id: %+v", c)
	}
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	for _, path := range groups {
		content, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(content, []byte(container)) {
			continue // another one, or one that has ended
		}
		if id, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && (first == 0 || id < first) {
			first = id
		}
	}
	if first == 0 {
		t.Fatalf("container %s has no process", container)
	}
	return Process(first)
}

// Kill kills the process, as the kernel does where memory ends.
func (p Process) Kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(int(p), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func (p Process) path(name string) string { return filepath.Join("/proc", strconv.Itoa(int(p)), name) }

// Memory is a size of the process in bytes, by its name in the file status.
func (p Process) Memory(t *testing.T, name string) int {
	t.Helper()
	content, err := os.ReadFile(p.path("status"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(content), "\n"+name+":")
	kibibytes, err := strconv.Atoi(strings.Fields(after + " ?")[0])
	if err != nil {
		t.Fatalf("could not find %s: %v", name, err)
	}
	return kibibytes << 10
}

// Files is how many files the process has open.
func (p Process) Files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(p.path("fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Cgroup is what the control group of the process is charged for, now and at
// most. It includes what the kernel has for it, and files in memory. With
// version 1 of control groups each controller has a line of its own.
func (p Process) Cgroup(t *testing.T) (now, peak int) {
	t.Helper()
	content, err := os.ReadFile(p.path("cgroup"))
	if err != nil {
		t.Fatal(err)
	}
	const root = "/sys/fs/cgroup"
	unified := ""
	for line := range strings.Lines(string(content)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		switch controllers {
		case "memory":
			dir := filepath.Join(root, "memory", path)
			return readNumber(t, filepath.Join(dir, "memory.usage_in_bytes")),
				readNumber(t, filepath.Join(dir, "memory.max_usage_in_bytes"))
		case "":
			unified = filepath.Join(root, path)
		}
	}
	return readNumber(t, filepath.Join(unified, "memory.current")), readNumber(t, filepath.Join(unified, "memory.peak"))
}

func readNumber(t *testing.T, path string) int {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	return number
}
