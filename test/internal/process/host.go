package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// Host starts processes as children of this one.
type Host struct{}

// Start starts a command.
func (Host) Start(cmd Command) (*Process, error) {
	return StartChild(cmd, ChildAttributes())
}

// StartChild starts a command with the given attributes and no inherited files
// beside its log and those in extra, which become file descriptors 3, 4, and on.
func StartChild(cmd Command, attributes *syscall.SysProcAttr, extra ...*os.File) (*Process, error) {
	log, err := os.OpenFile(cmd.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("could not open the log of %s: %w", cmd.Name, err)
	}
	defer log.Close()

	child := exec.Command(cmd.Path, cmd.Args...)
	child.Env = cmd.Env
	child.Stdout, child.Stderr = log, log
	child.ExtraFiles = extra
	child.SysProcAttr = attributes
	onLastingThread(func() { err = child.Start() })
	if err != nil {
		return nil, fmt.Errorf("could not start %s: %w", cmd.Name, err)
	}

	p := New(cmd, func(s syscall.Signal) error {
		err := child.Process.Signal(s)
		if errors.Is(err, os.ErrProcessDone) {
			return nil
		}
		return err
	})
	p.PID = child.Process.Pid
	go func() { p.End(child.Wait()) }()
	return p, nil
}

var (
	lastingThread     sync.Once
	lastingThreadWork = make(chan func())
)

// onLastingThread calls f on a thread that lives as long as this process.
// Linux sends the parent death signal when the thread that started a child
// ends, not when the process does, and Go ends idle threads as it likes.
func onLastingThread(f func()) {
	lastingThread.Do(func() {
		go func() {
			runtime.LockOSThread()
			for work := range lastingThreadWork {
				work()
			}
		}()
	})
	done := make(chan struct{})
	lastingThreadWork <- func() {
		defer close(done)
		f()
	}
	<-done
}
