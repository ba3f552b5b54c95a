// Package repeat holds what loops share that do something again and again: waiting, and
// logging an error that lasts once. It imports the standard library alone.
package repeat

import (
	"context"
	"time"
)

// Sleep waits for the duration, or until the context ends.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Failing filters the errors of a loop, so that one that lasts is logged once.
// The zero value is ready to use; it is not safe for concurrent use.
type Failing struct{ last string }

// With notes an error, and reports whether it differs from the last one.
func (f *Failing) With(err error) bool {
	text := err.Error()
	changed := text != f.last
	f.last = text
	return changed
}

// Recovered notes a success, and reports whether there was an error before it.
func (f *Failing) Recovered() bool {
	failed := f.last != ""
	f.last = ""
	return failed
}
