package testutil

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// asProgram is the variable that makes a test binary be the program.
const asProgram = "OIDC_INJECTOR_TEST_AS_PROGRAM"

// Main runs the tests of a package main, or its program where Spawn started that.
func Main(m interface{ Run() int }, program func()) {
	if os.Getenv(asProgram) != "" { //nolint:forbidigo // it decides what main is
		program()
	}
	m.Run() // whose outcome package testing exits with
}

// Process is the program in a process of its own.
type Process struct {
	*exec.Cmd
	// Output is what it wrote, to stdout and stderr.
	Output *Log
}

// Spawn starts the program, for two minutes at most.
func Spawn(t TB, environ []string, args ...string) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	t.Cleanup(cancel)
	p := &Process{exec.CommandContext(ctx, os.Args[0], args...), &Log{}} //nolint:gosec // it is this program
	p.Env = append(slices.Clip(environ), asProgram+"=1")
	p.Stdout, p.Stderr = p.Output, p.Output
	if err := p.Start(); err != nil {
		t.Fatalf("could not start the program: %v", err)
	}
	return p
}

// Await waits until the process has written a text.
func (p *Process) Await(t TB, text string) {
	t.Helper()
	Eventually(t, "the process has written "+text, func() bool { return p.Output.Has(text) })
}

// KillBySecondSignal sends signals to a process that takes its time after the first
// one, as text says, until one of them ends it.
func (p *Process) KillBySecondSignal(t TB, text string) {
	t.Helper()
	_ = p.Process.Signal(syscall.SIGTERM)
	p.Await(t, text)
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	for {
		_ = p.Process.Signal(syscall.SIGTERM) // again, until the first one's handler is gone
		select {
		case err := <-ended:
			if status, ok := p.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
				t.Fatalf("it ended with: %v\n%s", err, p.Output)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
