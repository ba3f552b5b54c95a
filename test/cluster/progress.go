package cluster

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progressInterval is how often a long build tells that it is alive.
const progressInterval = 15 * time.Second

// progress turns the output of `go build -v`, a line for each compiled package,
// into a line now and then.
type progress struct {
	out     io.Writer
	what    string
	started time.Time
	done    chan struct{}
	stopped sync.WaitGroup

	mu      sync.Mutex
	partial []byte
	count   int
}

func startProgress(out io.Writer, what string) *progress {
	p := &progress{out: out, what: what, started: time.Now(), done: make(chan struct{})}
	fmt.Fprintf(out, "cluster: %s; this takes minutes the first time\n", what)
	p.stopped.Go(p.report)
	return p
}

// Write counts lines that are nothing but an import path.
func (p *progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.partial = append(p.partial, text...)
	for {
		line, rest, found := bytes.Cut(p.partial, []byte("\n"))
		if !found {
			return len(text), nil
		}
		p.partial = rest
		if len(line) > 0 && !strings.ContainsAny(string(line), " #:\t") {
			p.count++
		}
	}
}

func (p *progress) report() {
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-ticker.C:
			p.say("still at it")
		}
	}
}

func (p *progress) say(state string) {
	p.mu.Lock()
	count := p.count
	p.mu.Unlock()
	elapsed := time.Since(p.started).Round(time.Second)
	fmt.Fprintf(p.out, "cluster: %s: %s, %d packages compiled, %s\n", p.what, state, count, elapsed)
}

func (p *progress) stop(err error) {
	close(p.done)
	p.stopped.Wait()
	if err != nil {
		p.say("failed")
		return
	}
	p.say("done")
}
