package admission

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"
)

// errOverloaded is what a request gets that timed out waiting for memory or for its
// turn, or that gave way to others.
var errOverloaded = errors.New("too many requests in flight")

const (
	// patience is how long a client may keep memory waiting for its bytes, or for
	// it to take ours, while others wait for that memory. The largest review takes
	// 60 ms at 1 Gbit/s.
	patience = time.Second
	// roomInterval is how often a request that waits looks for a client whose
	// time is up.
	roomInterval = patience / 10
)

// budget is what requests have to share: bytes of memory, or turns.
//
// It is a weighted semaphore with additions, without which a few slow clients hold
// all of it. Of the requests that wait, that of the lowest rank is served first, and
// of those the newest, because a client with many requests is ahead in every queue.
// The queue is bounded, and its last request is refused for a better one. And while
// a request waits, the claim that has waited for its client for longest gives way.
type budget struct {
	maxWaiting int

	mu      sync.Mutex
	free    int64
	waiting []*claim // the one to be served next is the last
	exposed []*claim // those that wait for their clients, oldest first
}

func newBudget(size int64, maxWaiting int) *budget {
	return &budget{free: size, maxWaiting: maxWaiting}
}

// claim is a part of a budget; its zero value is none. Nothing waits for a claim
// while it holds one of the same budget, so that no two requests wait for each
// other.
type claim struct {
	budget  *budget
	size    int64
	rank    int
	granted chan bool // nil where it was granted at once; false where it was refused

	// Of a claim that is exposed:
	since  time.Time // when it was granted
	giveUp func()    // ends the wait for the client
	gaveUp bool
}

// acquire waits for a claim of a size until the deadline, and returns
// errOverloaded after it, or when it has to give way in the queue. With a giveUp,
// the claim is exposed: giveUp, which must not block, is called when the client has
// had its time and others wait, and not any more once keep or release has returned.
func (c *claim) acquire(b *budget, size int64, rank int, deadline time.Time, giveUp func()) error {
	b.mu.Lock()
	*c = claim{budget: b, size: size, rank: rank, giveUp: giveUp}
	if len(b.waiting) == 0 && size <= b.free {
		b.give(c)
		b.mu.Unlock()
		return nil
	}
	c.granted = make(chan bool, 1)
	b.enqueue(c)
	b.grant()
	b.makeRoom()
	b.mu.Unlock()
	return c.wait(deadline)
}

func (c *claim) wait(deadline time.Time) error {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	look := time.NewTicker(roomInterval)
	defer look.Stop()
	for {
		select {
		case granted := <-c.granted:
			if !granted {
				return errOverloaded
			}
			return nil
		case <-look.C:
			c.budget.mu.Lock()
			c.budget.makeRoom()
			c.budget.mu.Unlock()
		case <-timeout.C:
			c.release()
			return errOverloaded
		}
	}
}

// enqueue has a claim wait, and refuses the last where too many do.
func (b *budget) enqueue(c *claim) {
	i, _ := slices.BinarySearchFunc(b.waiting, c, func(waiting, c *claim) int {
		return cmp.Or(cmp.Compare(c.rank, waiting.rank), -1) // behind those of the same rank
	})
	b.waiting = slices.Insert(b.waiting, i, c)
	if len(b.waiting) > b.maxWaiting {
		last := b.waiting[0]
		b.waiting = slices.Delete(b.waiting, 0, 1)
		last.size = 0
		last.granted <- false
	}
}

// give gives a claim what is free.
func (b *budget) give(c *claim) {
	b.free -= c.size
	if c.giveUp != nil {
		c.since = time.Now()
		b.exposed = append(b.exposed, c)
	}
}

// grant gives what is free to those that wait.
func (b *budget) grant() {
	for last := len(b.waiting) - 1; last >= 0 && b.waiting[last].size <= b.free; last-- {
		c := b.waiting[last]
		b.waiting = b.waiting[:last]
		b.give(c)
		c.granted <- true
	}
}

// makeRoom has exposed claims give way, if it is their time, until what they will
// release is enough for the next that waits.
func (b *budget) makeRoom() {
	if len(b.waiting) == 0 {
		return
	}
	missing := b.waiting[len(b.waiting)-1].size - b.free
	for _, c := range b.exposed {
		if missing <= 0 || time.Since(c.since) < patience {
			return
		}
		if !c.gaveUp {
			c.gaveUp = true
			c.giveUp()
		}
		missing -= c.size
	}
}

// keep ends the exposure: the client has done its part, and what comes now is the
// program's own work. It returns errOverloaded where the claim has given way.
func (c *claim) keep() error {
	if c.budget == nil {
		return nil
	}
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.budget.hide(c)
	if c.gaveUp {
		return errOverloaded
	}
	return nil
}

// release gives the claim back, granted or not.
func (c *claim) release() {
	b := c.budget
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hide(c)
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	} else {
		b.free += c.size
	}
	c.budget = nil
	b.grant()
}

func (b *budget) hide(c *claim) {
	if i := slices.Index(b.exposed, c); i >= 0 {
		b.exposed = slices.Delete(b.exposed, i, i+1)
	}
}
