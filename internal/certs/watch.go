package certs

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// startWatch starts the watch of one object.
type startWatch func(context.Context, metav1.ListOptions) (watch.Interface, error)

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

// follow calls wake each time an object changes, and each time it may have
// changed unseen. What it has become is read by whoever is woken, so that nothing
// is kept here.
func follow(ctx context.Context, log *slog.Logger, kind string, start startWatch, wake func()) {
	retry := backoff{first: 500 * time.Millisecond, last: 10 * time.Second}
	for ctx.Err() == nil {
		began := time.Now()
		if err := followOnce(ctx, start, wake); err != nil && ctx.Err() == nil {
			log.Debug("watch ended", "kind", kind, "error", err)
		}
		if time.Since(began) > time.Minute {
			retry.reset() // it worked, and came to its end
		}
		repeat.Sleep(ctx, retry.wait())
	}
}

// followOnce runs one watch until it ends. Without a resource version it begins
// with what is there.
func followOnce(ctx context.Context, start startWatch, wake func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seconds := int64(jitter(8 * time.Minute).Seconds())
	watcher, err := start(ctx, metav1.ListOptions{TimeoutSeconds: &seconds})
	if err != nil {
		return fmt.Errorf("could not watch: %w", err)
	}
	defer watcher.Stop()
	wake()
	for event := range watcher.ResultChan() {
		if event.Type == watch.Error {
			return fmt.Errorf("could not go on watching: %w", apierrors.FromObject(event.Object))
		}
		wake()
	}
	return nil
}
