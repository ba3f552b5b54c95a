package certs

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// errAgain asks for another turn at once: what was written has to be read.
var errAgain = errors.New("again")

// startWatch watches one object from where it was last read.
type startWatch func(context.Context) (watch.Interface, error)

// loop takes turns: when something has changed, when one has failed, and from
// time to time.
type loop struct {
	resync  time.Duration
	log     *slog.Logger
	failed  func(error) // may be nil
	watches []startWatch
}

// run takes turns until the context ends.
func (l *loop) run(ctx context.Context, turn func(context.Context) error) {
	retry := backoff{first: 250 * time.Millisecond, last: 15 * time.Second}
	var failing repeat.Failing
	for ctx.Err() == nil {
		err := turn(ctx)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			if failing.Recovered() {
				l.log.Info("certificates reconciled")
			}
			retry.reset()
			l.sleep(ctx, jitter(l.resync), awaitChange)
		case errors.Is(err, errAgain):
		case errors.Is(err, errConflict):
			l.log.Debug("object was modified concurrently, retrying", "error", err)
			repeat.Sleep(ctx, jitter(50*time.Millisecond))
		default:
			if l.failed != nil {
				l.failed(err)
			}
			if failing.With(err) {
				l.log.Error("certificates not reconciled, retrying", "error", err)
			}
			l.sleep(ctx, retry.wait(), awaitStart)
		}
	}
}

// sleep ends early when what is awaited of an object has happened, but not so early
// that changes without end would keep it from sleeping. Where the object cannot be
// watched, it is tried again.
func (l *loop) sleep(ctx context.Context, d time.Duration, await func(context.Context, startWatch) error) {
	ctx, wake := context.WithTimeout(ctx, d)
	defer wake()
	repeat.Sleep(ctx, 10*time.Millisecond)
	var watches sync.WaitGroup
	for _, start := range l.watches {
		watches.Go(func() {
			for ctx.Err() == nil {
				err := await(ctx, start)
				if err == nil {
					wake()
					return
				}
				l.log.Debug("cannot watch", "error", err)
				repeat.Sleep(ctx, jitter(time.Second))
			}
		})
	}
	<-ctx.Done()
	watches.Wait()
}

// awaitStart returns when the object can be watched: whatever failed may work again.
func awaitStart(ctx context.Context, start startWatch) error {
	watcher, err := start(ctx)
	if err == nil {
		watcher.Stop()
		repeat.Sleep(ctx, jitter(time.Second))
	}
	return err
}

// awaitChange returns when an object changes, or a moment after it may have changed
// unseen. It fails where the object cannot be watched.
func awaitChange(ctx context.Context, start startWatch) error {
	watcher, err := start(ctx)
	if err != nil {
		return err
	}
	defer watcher.Stop()
	select {
	case <-ctx.Done():
	case event, open := <-watcher.ResultChan():
		if !open || event.Type == watch.Error {
			repeat.Sleep(ctx, jitter(time.Second))
		}
	}
	return nil
}

// backoff is how long to wait after failures: from the first value to the last,
// doubling, each time a random part of it.
type backoff struct{ first, last, next time.Duration }

func (b *backoff) wait() time.Duration {
	b.next = min(max(b.next*2, b.first), b.last)
	return jitter(b.next)
}

func (b *backoff) reset() { b.next = 0 }

// jitter is between one half and three halves of a duration: what was interrupted
// for all replicas at once does not go on for all at once.
func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1) //nolint:gosec // no secret
}
