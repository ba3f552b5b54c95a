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

// Progress turns the output of `go build -v`, a line for each module that is
// downloaded and for each package that is compiled, into a line now and then.
type Progress struct {
	out     io.Writer
	what    string
	started time.Time
	done    chan struct{}
	stopped sync.WaitGroup

	mu         sync.Mutex
	partial    []byte
	downloaded int
	// compiled of so many expected packages, of which nothing is known at first,
	// since a moment.
	compiled, expected int
	compiling          time.Time
}

// StartProgress says what is being built, and then that it still is, until Stop.
func StartProgress(out io.Writer, what string) *Progress {
	p := &Progress{out: out, what: what, started: time.Now(), done: make(chan struct{})}
	fmt.Fprintf(out, "cache: %s; this takes minutes the first time\n", what)
	p.stopped.Go(p.report)
	return p
}

// Expect says how many packages there are to compile.
func (p *Progress) Expect(packages int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected, p.compiling = packages, time.Now()
}

// Write counts the modules that are downloaded, and lines that are nothing but an
// import path.
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
		switch {
		case bytes.HasPrefix(line, []byte("go: downloading ")):
			p.downloaded++
		case len(line) > 0 && !strings.ContainsAny(string(line), " #:\t"):
			p.compiled++
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
		case now := <-ticker.C:
			p.say(p.state(now))
		}
	}
}

// minShare is the share from which on an estimate is worth something.
const minShare = 0.05

// state is how far it is. Large packages come late, so that the estimate is rather
// too short in the beginning.
func (p *Progress) state(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expected == 0 {
		return fmt.Sprintf("%d modules downloaded", p.downloaded)
	}
	share := min(float64(p.compiled)/float64(p.expected), 1)
	state := fmt.Sprintf("%.0f %%, %d of %d packages compiled", 100*share, p.compiled, p.expected)
	if share >= minShare {
		left := time.Duration(float64(now.Sub(p.compiling)) * (1 - share) / share)
		state += fmt.Sprintf(", about %s left", left.Round(10*time.Second))
	}
	return state
}

func (p *Progress) say(state string) {
	fmt.Fprintf(p.out, "cache: %s: %s, after %s\n", p.what, state, time.Since(p.started).Round(time.Second))
}

// Stop says what became of it.
func (p *Progress) Stop(err error) {
	close(p.done)
	p.stopped.Wait()
	if err != nil {
		p.say("failed, " + p.state(time.Now()))
		return
	}
	p.say("done")
}
