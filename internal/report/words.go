package report

import (
	"fmt"
	"time"
)

// Rough is a duration in the one or two largest units: 45s, 5m10s, 3h20m, 12d.
func Rough(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Abs().Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return two(d/time.Minute, "m", d%time.Minute/time.Second, "s")
	case d < 2*day:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "m")
	case d < 1000*day:
		return fmt.Sprintf("%dd", d/day)
	default:
		return fmt.Sprintf("%dy", d/(365*day))
	}
}

func two(first time.Duration, unit string, second time.Duration, lesser string) string {
	if second == 0 {
		return fmt.Sprintf("%d%s", first, unit)
	}
	return fmt.Sprintf("%d%s%d%s", first, unit, second, lesser)
}

// Relative says when a time is, seen from another: "in 5m", "5m ago", "now".
func Relative(at, now time.Time) string {
	d := at.Sub(now).Round(time.Second)
	switch {
	case d > 0:
		return "in " + Rough(d)
	case d < 0:
		return Rough(d) + " ago"
	default:
		return "now"
	}
}
