package vault_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/vault"
)

// helperEnv makes the test binary a process that starts a server in the named
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
	s, err := vault.Start(context.Background(), vault.Options{StateDir: dir, Progress: os.Stderr})
	if err != nil {
		return err
	}
	fmt.Println(s.Address())
	select {}
}

func TestStopLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := vault.Start(t.Context(), vault.Options{StateDir: dir, Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	if len(mentioning(t, dir)) == 0 {
		t.Error("no process was found while the server runs, so that none would be found later")
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	checkNothingLeft(t, dir)
}

func TestKilledProcessEndsServer(t *testing.T) {
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
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
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
	// The next server clears away what could not be cleared by the killed one.
	s := vault.StartForTest(t, vault.Options{StateDir: dir})
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	checkNothingLeft(t, dir)
}

func TestKeptLogOutlivesStop(t *testing.T) {
	s, err := vault.Start(t.Context(), vault.Options{StateDir: t.TempDir(), Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	s.KeepLog()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if log, err := os.ReadFile(s.LogFile()); err != nil || !strings.Contains(string(log), "Vault server started") {
		t.Errorf("the log is %q, error %v", log, err)
	}
}

func checkNothingLeft(t *testing.T, dir string) {
	t.Helper()
	if left := mentioning(t, dir); len(left) > 0 {
		t.Errorf("left processes %q", left)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left files %v, error %v", left, err)
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
