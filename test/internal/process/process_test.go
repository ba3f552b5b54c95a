package process_test

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

func shell(t *testing.T, script string) process.Command {
	t.Helper()
	return process.Command{
		Name: "shell",
		Path: "/bin/sh",
		Args: []string{"-c", script},
		Log:  filepath.Join(t.TempDir(), "shell.log"),
	}
}

func TestFailureHasExit(t *testing.T) {
	for script, want := range map[string]string{
		"echo bad news; exit 3": "exit status 3, the end of its log:\nbad news",
		"echo all is done":      "exit status 0, the end of its log:\nall is done",
		"kill -9 $$":            "signal: killed",
	} {
		p, err := process.Host{}.Start(shell(t, script))
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if err := p.Failure(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", script, err, want)
		}
	}
}

func TestStop(t *testing.T) {
	for script, grace := range map[string]time.Duration{
		"exec sleep 60": time.Minute,
		"trap '' TERM; while :; do sleep 0.01; done": 50 * time.Millisecond,
	} {
		p, err := process.Host{}.Start(shell(t, script))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Failure(); err != nil {
			t.Error(err)
		}
		if err := p.Stop(grace); err != nil {
			t.Error(err)
		}
		if p.Failure() == nil {
			t.Errorf("%s: it still runs", script)
		}
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("%s: got error %v of a signal that comes too late", script, err)
		}
	}
}

func TestRun(t *testing.T) {
	if err := process.Run(t.Context(), process.Host{}, shell(t, "exit 0")); err != nil {
		t.Error(err)
	}
	err := process.Run(t.Context(), process.Host{}, shell(t, "echo why; exit 1"))
	if err == nil || !strings.Contains(err.Error(), "why") {
		t.Errorf("got error %v, want one that tells why", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := process.Run(ctx, process.Host{}, shell(t, "exec sleep 60")); err == nil {
		t.Error("the end of the context was ignored")
	}
}
