package process

import (
	"context"
	"fmt"
	"time"
)

// startTimeout bounds every wait for a program. It is generous, as the machine
// may be busy with something else.
const startTimeout = 2 * time.Minute

// WaitUntil polls until the condition holds. A failing condition is polled no more.
func WaitUntil(ctx context.Context, what string, condition func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		done, err := condition(ctx)
		if err != nil {
			return fmt.Errorf("could not wait until %s: %w", what, err)
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("could not wait until %s: %w", what, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
