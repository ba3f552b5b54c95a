package buildcache

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

// Progress turns the output of `go build -v`, a line for each compiled package,
// into a line now and then.
type Progress struct {
	out     io.Writer
	what    string
	started time.Time
	done    chan struct{}
	stopped sync.WaitGroup

	mu      sync.Mutex
	partial []byte
	count   int
}

// StartProgress says what is being built, and then that it still is, until Stop.
func StartProgress(out io.Writer, what string) *Progress {
	p := &Progress{out: out, what: what, started: time.Now(), done: make(chan struct{})}
	fmt.Fprintf(out, "cache: %s; this takes minutes the first time\n", what)
	p.stopped.Go(p.report)
	return p
}

// Write counts lines that are nothing but an import path.
func (p *Progress) Write(text []byte) (int, error) {
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

func (p *Progress) report() {
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

func (p *Progress) say(state string) {
	p.mu.Lock()
	count := p.count
	p.mu.Unlock()
	elapsed := time.Since(p.started).Round(time.Second)
	fmt.Fprintf(p.out, "cache: %s: %s, %d packages compiled, %s\n", p.what, state, count, elapsed)
}

// Stop says what became of it.
func (p *Progress) Stop(err error) {
	close(p.done)
	p.stopped.Wait()
	if err != nil {
		p.say("failed")
		return
	}
	p.say("done")
}
