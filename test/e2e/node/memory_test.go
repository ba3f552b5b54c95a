package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/contract"
)

// renewing is a pod that renews its token about every 700 ms, while the other
// tests run.
type renewing struct {
	*node
	pod *corev1.Pod
}

func (n *node) startRenewing(t *testing.T) *renewing {
	t.Helper()
	n.writeRole(t, "second", map[string]any{"token_ttl": "1s"})
	pod := newPod("renewing", container("app"))
	pod.Annotations = n.login("login-role=second")
	return &renewing{node: n, pod: n.create(t, pod)}
}

// The bounds of testMemory: what a login container may take, of its 32 MiB.
const (
	minRenewals = 200
	maxResident = 16 << 20
	maxCharged  = 24 << 20
	maxFiles    = 24
)

// testMemory measures a login container that has renewed its token many times.
func (r *renewing) testMemory(t *testing.T) {
	pod := r.waitReady(t, r.pod.Name)
	login := status(t, pod, contract.LoginContainer)
	if login.RestartCount != 0 {
		t.Errorf("the login container was started again %d times: %+v", login.RestartCount, login.LastTerminationState)
	}
	var renewals, logins int
	r.eventually(t, func() error {
		logs := r.kubectl(t, "logs", pod.Name, "--container="+contract.LoginContainer)
		renewals, logins = strings.Count(logs, "msg=renewed"), strings.Count(logs, `msg="logged in"`)
		if renewals < minRenewals {
			return fmt.Errorf("%d renewals are too few to say anything", renewals)
		}
		return nil
	})
	process := findProcess(t, login)
	resident, peak, files := process.memory(t, "VmRSS"), process.memory(t, "VmHWM"), process.files(t)
	charged, chargedPeak := process.cgroup(t)
	t.Logf("after %d renewals and %d logins: resident %s, at most %s; charged to the control group %s, at most %s; %d open files",
		renewals, logins, mebibytes(resident), mebibytes(peak), mebibytes(charged), mebibytes(chargedPeak), files)
	if peak > maxResident {
		t.Errorf("the login container had %s resident, want at most %s", mebibytes(peak), mebibytes(maxResident))
	}
	if chargedPeak > maxCharged {
		t.Errorf("the login container was charged for %s, want at most %s", mebibytes(chargedPeak), mebibytes(maxCharged))
	}
	if files > maxFiles {
		t.Errorf("the login container has %d open files, want at most %d", files, maxFiles)
	}
}

// testKilled kills the login container, as the kernel does where memory ends. The
// token in the file serves on, and is revoked along with the new one at the end.
func (n *node) testKilled(t *testing.T) {
	t.Parallel()
	pod := newPod("killed", container("app"))
	pod.Annotations = n.login()
	pod = n.run(t, pod)
	before := n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "app")
	findProcess(t, status(t, pod, contract.LoginContainer)).kill(t)
	n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "app")
	again := n.waitFor(t, pod.Name, "has its login container again", func(pod *corev1.Pod) bool {
		login := status(t, pod, contract.LoginContainer)
		return login.RestartCount == 1 && login.Started != nil && *login.Started
	})
	if count := status(t, again, "app").RestartCount; count != 0 {
		t.Errorf("the app was started again %d times", count)
	}
	after := before
	n.eventually(t, func() error {
		after = n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "app")
		if after == before {
			return errors.New("there is no new login")
		}
		return nil
	})
	n.delete(t, pod.Name, *pod.Spec.TerminationGracePeriodSeconds)
	n.waitDead(t, after)
	n.waitDead(t, before)
}

func mebibytes(n int) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// process is the id of a process of the node, on this machine.
type process int

// findProcess finds the first process of a container. Those of probes come later.
func findProcess(t *testing.T, c corev1.ContainerStatus) process {
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
	return process(first)
}

func (p process) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(int(p), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func (p process) path(name string) string { return filepath.Join("/proc", strconv.Itoa(int(p)), name) }

// memory is a size of the process in bytes, by its name in the file status.
func (p process) memory(t *testing.T, name string) int {
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

// files is how many files the process has open.
func (p process) files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(p.path("fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// cgroup is what the control group of the process is charged for, now and at
// most. It includes what the kernel has for it, and files in memory. With
// version 1 of control groups each controller has a line of its own.
func (p process) cgroup(t *testing.T) (now, peak int) {
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
			return readNumber(t, filepath.Join(dir, "memory.usage_in_bytes")), readNumber(t, filepath.Join(dir, "memory.max_usage_in_bytes"))
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
