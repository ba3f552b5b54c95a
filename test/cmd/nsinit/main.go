//go:build linux

// Nsinit is the first process of the private namespaces of a cluster: it
// prepares them, starts other processes on request, and reaps whoever is
// orphaned there. The kernel kills all others when it ends.
//
// Requests come as JSON, one after the other, by file descriptor 3, responses
// go to file descriptor 4. At the end of the requests nsinit ends.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// request starts a process, or signals it if Signal is not zero. The caller
// chooses the ID.
type request struct {
	ID     int
	Path   string   `json:",omitempty"`
	Args   []string `json:",omitempty"` // without the program's own name
	Env    []string `json:",omitempty"`
	Log    string   `json:",omitempty"` // the file to which all output is appended
	Signal int      `json:",omitempty"`
}

// response says either that a process was started, as PID, or why it was not,
// or how it ended. The very first one, with ID 0, is about nsinit itself.
type response struct {
	ID    int
	PID   int    `json:",omitempty"`
	Error string `json:",omitempty"`
	Ended string `json:",omitempty"`
}

func main() {
	if err := run(os.NewFile(3, "requests"), os.NewFile(4, "responses")); err != nil {
		fmt.Fprintln(os.Stderr, "nsinit:", err)
		os.Exit(1)
	}
}

func run(requests io.Reader, responses io.Writer) error {
	// Children get only what they are given: else they would keep the pipes open.
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	s := &supervisor{responses: json.NewEncoder(responses), ids: map[int]int{}, pids: map[int]int{}}
	childEnded := make(chan os.Signal, 1)
	signal.Notify(childEnded, syscall.SIGCHLD)
	go s.reap(childEnded)

	if err := prepare(os.Args[1]); err != nil {
		return errors.Join(err, s.respond(response{Error: err.Error()}))
	}
	if err := s.respond(response{PID: os.Getpid()}); err != nil {
		return err
	}
	for decoder := json.NewDecoder(requests); ; {
		var r request
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("could not read a request: %w", err)
		}
		if err := s.handle(r); err != nil {
			return err
		}
	}
}

// prepare makes mounts private before anything else, so that none reaches the
// machine, and then shared among themselves, which the kubelet demands.
func prepare(hostname string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("could not make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("could not mount /proc: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("could not make mounts shared: %w", err)
	}
	if err := syscall.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("could not set the host name: %w", err)
	}
	return nil
}

type supervisor struct {
	mu        sync.Mutex
	responses *json.Encoder
	ids       map[int]int // by process id
	pids      map[int]int // by the caller's id
}

func (s *supervisor) respond(r response) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.responses.Encode(r)
}

func (s *supervisor) handle(r request) error {
	// While the lock is held no child is reaped: none can end unknown, and no
	// process id can pass to somebody else between look-up and signal.
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Signal != 0 {
		if pid, found := s.pids[r.ID]; found {
			return syscall.Kill(pid, syscall.Signal(r.Signal))
		}
		return nil
	}
	pid, err := start(r)
	if err != nil {
		return s.responses.Encode(response{ID: r.ID, Error: err.Error()})
	}
	s.ids[pid], s.pids[r.ID] = r.ID, pid
	return s.responses.Encode(response{ID: r.ID, PID: pid})
}

func start(r request) (pid int, err error) {
	log, err := os.OpenFile(r.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	return syscall.ForkExec(r.Path, append([]string{r.Path}, r.Args...), &syscall.ProcAttr{
		Env:   r.Env,
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
}

func (s *supervisor) reap(childEnded <-chan os.Signal) {
	for range childEnded {
		for s.reapOne() {
		}
	}
}

// reapOne reports whether there might be another one.
func (s *supervisor) reapOne() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if errors.Is(err, syscall.EINTR) {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	id, started := s.ids[pid]
	if !started {
		return true // an orphan
	}
	delete(s.ids, pid)
	delete(s.pids, id)
	if err := s.responses.Encode(response{ID: id, Ended: describe(status)}); err != nil {
		fmt.Fprintln(os.Stderr, "nsinit: could not respond:", err)
	}
	return true
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal: " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}
