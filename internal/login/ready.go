package login

import (
	"context"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/status"
)

// readyPoll is how often a status is looked at while it is waited for.
const readyPoll = 200 * time.Millisecond

// Ready tells in one line whether a valid token is in the output file, and waits
// for it a while if there is none. A probe that waits is one process and one
// event, instead of many.
func Ready(ctx context.Context, outputFile string, wait time.Duration) (bool, string) {
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		ok, line := status.Of(outputFile, time.Now())
		if ok {
			return true, line
		}
		select {
		case <-limited.Done():
			return false, line
		case <-ticker.C:
		}
	}
}
