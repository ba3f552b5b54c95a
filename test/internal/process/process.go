// Package process runs the programs of tests: each with a log file of its own,
// and none longer than the process that started it.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Command says what to start; all of its output goes to one log file.
type Command struct {
	Name string   // of the program in messages, and of its log file
	Path string   // of the executable, absolute
	Args []string // without the program's own name
	Env  []string // instead of the environment of this process, if not nil
	Log  string   // path of the log file, which is appended to
}

// Process is a started command.
type Process struct {
	Command

	// PID is the id on the host; 0 inside of namespaces.
	PID int

	signal func(syscall.Signal) error
	done   chan struct{} // closed when the process has ended
	err    error         // how it ended; to be read after done
}

// Starter starts processes, either on the host or inside of namespaces.
type Starter interface {
	Start(cmd Command) (*Process, error)
}

// errEnded is the cause when a process that should stay has ended.
var errEnded = errors.New("process ended")

// New is a process which a Starter has started or is about to. It is told how
// to send a signal, which does nothing once the process has ended; the Starter
// calls End when that happens.
func New(cmd Command, signal func(syscall.Signal) error) *Process {
	return &Process{Command: cmd, signal: signal, done: make(chan struct{})}
}

// End says that the process has ended: as it should if err is nil.
func (p *Process) End(err error) {
	p.err = err
	close(p.done)
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitError tells how the process ended: nil for exit status 0. It is to be
// called when Done is closed.
func (p *Process) ExitError() error { return p.err }

// Failure is nil as long as the process runs, and afterwards tells how it
// ended along with the last lines of its log.
func (p *Process) Failure() error {
	select {
	case <-p.done:
		err := p.err
		if err == nil {
			err = errors.New("exit status 0")
		}
		return fmt.Errorf("%w: %s: %w, the end of its log:\n%s", errEnded, p.Name, err, tail(p.Log, 2<<10))
	default:
		return nil
	}
}

// Signal sends a signal, and does nothing once the process has ended.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := p.signal(signal); err != nil {
		return fmt.Errorf("could not send signal %q to %s: %w", signal, p.Name, err)
	}
	return nil
}

// Stop asks the process to end and kills it after the grace period. With no
// grace it is killed at once.
func (p *Process) Stop(grace time.Duration) error {
	if grace > 0 {
		if err := p.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(grace):
		}
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Run runs a command, waits for its end, and reports what it said if it failed.
func Run(ctx context.Context, s Starter, cmd Command) error {
	log, err := os.CreateTemp(filepath.Dir(cmd.Log), filepath.Base(cmd.Name)+"-*.log")
	if err != nil {
		return fmt.Errorf("could not create a log for %s: %w", cmd.Name, err)
	}
	defer os.Remove(log.Name())
	defer log.Close()
	cmd.Log = log.Name()

	p, err := s.Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("could not run %s: %w", cmd.Name, ctx.Err()), p.Stop(0))
	}
	if p.err != nil {
		return fmt.Errorf("could not run %s %q: %w: %s", cmd.Name, cmd.Args, p.err, tail(cmd.Log, 2<<10))
	}
	return nil
}

// tail returns the last lines of a file, at most size bytes of them.
func tail(path string, size int64) []byte {
	f, err := os.Open(path)
	if err != nil {
		return []byte(err.Error())
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return []byte(err.Error())
	}
	start := max(0, info.Size()-size)
	text, err := io.ReadAll(io.NewSectionReader(f, start, size))
	if err != nil {
		return []byte(err.Error())
	}
	if _, rest, found := bytes.Cut(text, []byte("\n")); start > 0 && found {
		text = rest
	}
	return bytes.TrimSpace(text)
}
