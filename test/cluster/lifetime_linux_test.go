package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/cluster"
)

// helperEnv makes the test binary a process that starts a cluster in the named
// folder and waits to be killed.
const helperEnv = "OIDC_INJECTOR_TEST_HELPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		if err := help(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	m.Run()
}

func help(dir string) error {
	c, err := cluster.Start(context.Background(), cluster.Options{
		Node:     cluster.NodeSupported() == nil,
		StateDir: dir,
		Progress: os.Stderr,
	})
	if err != nil {
		return err
	}
	fmt.Println(c.Issuer())
	select {}
}

func TestStopLeavesNothing(t *testing.T) {
	for name, options := range map[string]cluster.Options{"control plane": {}, "node": {Node: true}} {
		t.Run(name, func(t *testing.T) {
			if options.Node {
				cluster.RequireNode(t)
			}
			options.StateDir = t.TempDir()
			c, err := cluster.Start(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			if len(mentioning(t, options.StateDir)) == 0 {
				t.Error("no process was found while the cluster runs, so that none would be found later")
			}
			for range 2 {
				if err := c.Stop(); err != nil {
					t.Error(err)
				}
			}
			checkNothingLeft(t, options.StateDir, c.Issuer())
		})
	}
}

func TestKilledProcessLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	helper := exec.Command(os.Args[0])
	helper.Env = append(os.Environ(), helperEnv+"="+dir)
	helper.Stderr = os.Stderr
	stdout, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	issuer, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(errors.Join(err, helper.Wait()))
	}
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := helper.Wait(); err == nil {
		t.Error("the helper was not killed")
	}
	eventually(t, func() error {
		if left := mentioning(t, dir); len(left) > 0 {
			return fmt.Errorf("left processes %q", left)
		}
		return nil
	})
	// The next cluster clears away what could not be cleared by the killed one.
	c := cluster.StartForTest(t, cluster.Options{StateDir: dir})
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	checkNothingLeft(t, dir, strings.TrimSpace(issuer))
}

func checkNothingLeft(t *testing.T, stateDir, issuer string) {
	t.Helper()
	if left := mentioning(t, stateDir); len(left) > 0 {
		t.Errorf("left processes %q", left)
	}
	if left, err := os.ReadDir(stateDir); err != nil || len(left) > 0 {
		t.Errorf("left files %v, error %v", left, err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(issuer, "https://")); err == nil {
		conn.Close()
		t.Error("somebody still listens on the port of the API server")
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), stateDir) {
		t.Errorf("left mounts, error %v:\n%s", err, mounts)
	}
}

// mentioning are the command lines that contain a text.
func mentioning(t *testing.T, text string) (lines []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(line), text) {
			lines = append(lines, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return lines
}
