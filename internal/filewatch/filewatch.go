// Package filewatch follows the content of a file.
//
// It polls. A mounted ConfigMap or Secret changes by a swap of symbolic links,
// which file notifications report in ways that differ by file system and are
// easily missed; reading a few kilobytes every other second is not felt, and
// the kubelet itself takes up to a minute to bring a change.
package filewatch

import (
	"bytes"
	"context"
	"os"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// Interval is how often a file is read.
const Interval = 2 * time.Second

// Follow reads the file at each interval until the context ends, and calls
// changed with each new content, and with the error where reading starts to
// fail. The content known at the beginning is not reported.
func Follow(ctx context.Context, path string, interval time.Duration, known []byte, changed func([]byte, error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var failing repeat.Failing
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		data, err := os.ReadFile(path)
		if err != nil {
			if failing.With(err) {
				known = nil
				changed(nil, err)
			}
			continue
		}
		if failing.Recovered() || !bytes.Equal(data, known) {
			known = data
			changed(data, nil)
		}
	}
}
