package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

const namespaceFlags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// namespaces are private mount, process, network, host name and IPC namespaces
// with nsinit as their first process, which starts all others there.
type namespaces struct {
	init      *process.Process
	requests  *os.File
	responses *os.File

	mu        sync.Mutex
	lastID    int
	processes map[int]*pending
}

// request and response are those of cmd/nsinit, which is documented there.
type request struct {
	ID     int
	Path   string   `json:",omitempty"`
	Args   []string `json:",omitempty"`
	Env    []string `json:",omitempty"`
	Log    string   `json:",omitempty"`
	Signal int      `json:",omitempty"`
}

type response struct {
	ID    int
	PID   int
	Error string
	Ended string
}

// pending is a process along with the response to the request that starts it.
type pending struct {
	id      int
	process *process.Process
	started chan response
}

func newNamespaces(nsinit, hostname, logDir string) (*namespaces, error) {
	requestsHere, requests, responsesHere, responses, err := pipes()
	if err != nil {
		return nil, err
	}
	defer requests.Close()
	defer responses.Close()
	attributes := process.ChildAttributes()
	attributes.Cloneflags = namespaceFlags
	cmd := process.Command{Name: "nsinit", Path: nsinit, Args: []string{hostname}, Log: filepath.Join(logDir, "nsinit.log")}
	first, err := process.StartChild(cmd, attributes, requests, responses)
	if err != nil {
		requestsHere.Close()
		responsesHere.Close()
		return nil, fmt.Errorf("could not create namespaces: %w", err)
	}
	n := &namespaces{init: first, requests: requestsHere, responses: responsesHere, processes: map[int]*pending{}}
	decoder := json.NewDecoder(n.responses)
	var ready response
	if err := decoder.Decode(&ready); err != nil || ready.Error != "" {
		return nil, errors.Join(fmt.Errorf("could not prepare namespaces: %s: %w", ready.Error, err), n.stop())
	}
	go n.receive(decoder)
	return n, nil
}

//nolint:revive // two pipes have four ends
func pipes() (requestsHere, requests, responsesHere, responses *os.File, err error) {
	requests, requestsHere, err = os.Pipe()
	if err != nil {
		return nil, nil, nil, nil, fmt.Errorf("could not create a pipe: %w", err)
	}
	responsesHere, responses, err = os.Pipe()
	if err != nil {
		requests.Close()
		requestsHere.Close()
		return nil, nil, nil, nil, fmt.Errorf("could not create a pipe: %w", err)
	}
	return requestsHere, requests, responsesHere, responses, nil
}

// Start starts a process inside.
func (n *namespaces) Start(cmd process.Command) (*process.Process, error) {
	env := cmd.Env
	if env == nil {
		env = os.Environ()
	}
	p := n.register(cmd)
	r := request{ID: p.id, Path: cmd.Path, Args: cmd.Args, Env: env, Log: cmd.Log}
	if err := n.send(r); err != nil {
		return nil, err
	}
	select {
	case r := <-p.started:
		if r.Error != "" {
			return nil, fmt.Errorf("could not start %s: %s", cmd.Name, r.Error)
		}
		return p.process, nil
	case <-n.init.Done():
		return nil, fmt.Errorf("could not start %s: %w", cmd.Name, n.init.Failure())
	}
}

func (n *namespaces) register(cmd process.Command) *pending {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastID++
	id := n.lastID
	p := &pending{id: id, started: make(chan response, 1)}
	p.process = process.New(cmd, func(s syscall.Signal) error {
		return n.send(request{ID: id, Signal: int(s)})
	})
	n.processes[id] = p
	return p
}

func (n *namespaces) send(r request) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := json.NewEncoder(n.requests).Encode(r); err != nil {
		return fmt.Errorf("could not reach the first process of the namespaces: %w", err)
	}
	return nil
}

// receive passes responses on until nsinit ends, and all others with it.
func (n *namespaces) receive(decoder *json.Decoder) {
	for {
		var r response
		if err := decoder.Decode(&r); err != nil {
			break
		}
		n.dispatch(r)
	}
	<-n.init.Done()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.processes {
		p.end("the namespaces ended")
	}
	n.processes = nil
}

func (n *namespaces) dispatch(r response) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, found := n.processes[r.ID]
	if !found {
		return
	}
	if r.Ended == "" {
		p.started <- r
	}
	if r.Ended != "" || r.Error != "" {
		delete(n.processes, r.ID)
		p.end(r.Ended)
	}
}

// end takes the words of os/exec, by which "exit status 0" is no error.
func (p *pending) end(how string) {
	var err error
	if how != "exit status 0" {
		err = errors.New(how)
	}
	p.process.End(err)
}

// stop ends all processes and thereby the namespaces. The kernel lets the
// first process end only after all others.
func (n *namespaces) stop() error {
	defer n.requests.Close()
	defer n.responses.Close()
	return n.init.Stop(0)
}
