package cluster

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

// command says what to start; all of its output goes to one log file.
type command struct {
	name string   // of the program in messages, and of its log file
	path string   // of the executable, absolute
	args []string // without the program's own name
	env  []string // instead of the environment of this process, if not nil
	log  string   // path of the log file, which is appended to
}

// process is a started command.
type process struct {
	command

	pid    int                        // on the host; 0 inside of namespaces
	signal func(syscall.Signal) error // does nothing once the process has ended
	done   chan struct{}              // closed when the process has ended
	err    error                      // how it ended; to be read after done
}

// starter starts processes, either on the host or inside the namespaces.
type starter interface {
	start(command) (*process, error)
}

// errEnded is the cause when a process that should stay has ended.
var errEnded = errors.New("process ended")

// failure is nil as long as the process runs, and afterwards tells how it
// ended along with the last lines of its log.
func (p *process) failure() error {
	select {
	case <-p.done:
		return fmt.Errorf("%w: %s: %w, the end of its log:\n%s", errEnded, p.name, p.err, tail(p.log, 2<<10))
	default:
		return nil
	}
}

// stop asks the process to end and kills it after the grace period. With no
// grace it is killed at once.
func (p *process) stop(grace time.Duration) error {
	if grace > 0 {
		if err := p.signal(syscall.SIGTERM); err != nil {
			return fmt.Errorf("could not terminate %s: %w", p.name, err)
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(grace):
		}
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("could not kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// run starts a command, waits for its end, and reports what it said if it failed.
func run(ctx context.Context, s starter, cmd command) error {
	log, err := os.CreateTemp(filepath.Dir(cmd.log), filepath.Base(cmd.name)+"-*.log")
	if err != nil {
		return fmt.Errorf("could not create a log for %s: %w", cmd.name, err)
	}
	defer os.Remove(log.Name())
	defer log.Close()
	cmd.log = log.Name()

	p, err := s.start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("could not run %s: %w", cmd.name, ctx.Err()), p.stop(0))
	}
	if p.err != nil {
		return fmt.Errorf("could not run %s %q: %w: %s", cmd.name, cmd.args, p.err, tail(cmd.log, 2<<10))
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
