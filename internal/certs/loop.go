package certs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// errAgain asks for another turn at once: what was written has to be read.
var errAgain = errors.New("again")

// loop takes turns: when something has changed, when one has failed, and from
// time to time.
type loop struct {
	wake    chan struct{}
	resync  time.Duration
	log     *slog.Logger
	failed  func(error) // may be nil
	watches sync.WaitGroup
}

// watch wakes the loop when an object changes.
func (l *loop) watch(ctx context.Context, kind string, start startWatch) {
	l.watches.Go(func() {
		follow(ctx, l.log, kind, start, func() {
			select {
			case l.wake <- struct{}{}:
			default: // it is going to look anyway
			}
		})
	})
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
			l.sleep(ctx, jitter(l.resync))
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
			l.sleep(ctx, retry.wait())
		}
	}
	l.watches.Wait()
}

// sleep ends early when something has changed, but not so early that changes
// without end would keep it from sleeping.
func (l *loop) sleep(ctx context.Context, d time.Duration) {
	repeat.Sleep(ctx, min(d, 10*time.Millisecond))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-l.wake:
	}
}
