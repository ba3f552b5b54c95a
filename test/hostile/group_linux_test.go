package hostile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// group is a control group with a limit of memory.
type group struct {
	dir     string
	version int
}

const root = "/sys/fs/cgroup"

// newGroup makes a control group for the time of a test. Where that is not
// possible the test is skipped; with CI set it fails, as there nobody would notice.
func newGroup(t *testing.T, limit int) *group {
	t.Helper()
	g, err := makeGroup("oidc-injector-hostile-"+strconv.Itoa(os.Getpid()), limit)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("no control group can be made here, which CI must not skip: %v", err)
	default:
		t.Skipf("SKIPPED, no control group can be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(g.dir); err != nil {
			t.Error(err)
		}
	})
	return g
}

func makeGroup(name string, limit int) (*group, error) {
	g, file := &group{filepath.Join(root, "memory", name), 1}, "memory.limit_in_bytes"
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		g, file = &group{filepath.Join(root, name), 2}, "memory.max"
		// A container may not be allowed to: then there is no such file below.
		_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0o600)
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(g.dir, file), []byte(strconv.Itoa(limit)), 0o600); err != nil {
		return nil, errors.Join(err, os.Remove(g.dir))
	}
	return g, nil
}

// procs is the file by which a process joins.
func (g *group) procs() string { return filepath.Join(g.dir, "cgroup.procs") }

// peak is the most memory that the group ever had, in MiB.
func (g *group) peak(t *testing.T) float64 {
	t.Helper()
	name := map[int]string{1: "memory.max_usage_in_bytes", 2: "memory.peak"}[g.version]
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return float64(bytes) / (1 << 20)
}

// killed is how often the kernel killed a process of the group for its memory.
func (g *group) killed(t *testing.T) int {
	t.Helper()
	name := map[int]string{1: "memory.oom_control", 2: "memory.events"}[g.version]
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kills int
		if n, _ := fmt.Sscanf(line, "oom_kill %d", &kills); n == 1 {
			return kills
		}
	}
	t.Fatalf("%s has no oom_kill:\n%s", name, text)
	return 0
}

// ticks is the unit of CPU times in /proc, a second (sysconf(_SC_CLK_TCK)), which is
// the same on all architectures that Go runs on.
const ticks = 100

// cpuSeconds is how much CPU a process has used.
func cpuSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name may hold spaces
	fields := strings.Fields(after)
	if len(fields) < 13 {
		t.Fatalf("unexpected %s", text)
	}
	var total float64
	for _, field := range fields[11:13] { // utime and stime, proc_pid_stat(5)
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		total += float64(n)
	}
	return total / ticks
}
