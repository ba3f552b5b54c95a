package report

import (
	"testing"
	"time"
)

func TestWords(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "now", time.Second: "in 1s", -59 * time.Second: "59s ago", 90 * time.Second: "in 1m30s", time.Hour: "in 1h",
		-(time.Hour + time.Minute): "1h1m ago", 47 * time.Hour: "in 47h", 30 * 24 * time.Hour: "in 30d",
		-20 * 365 * 24 * time.Hour: "20y ago",
	} {
		if got := Relative(now.Add(d), now); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
