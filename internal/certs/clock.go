package certs

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// apiClock is the clock of the API server, which is the one that looks at the
// certificates. All replicas go by it, so that neither a wrong clock of a node
// nor one that jumps makes certificates that are not valid yet, or not any more.
// Between two answers of the API server the monotonic clock of this machine,
// which does not jump, goes on.
type apiClock struct {
	mu    sync.Mutex
	api   time.Time // the API server's time
	local time.Time // and when that was, with a monotonic reading
	ahead prometheus.Gauge
}

// tolerance is by how much the estimate may be off: the header counts seconds.
const tolerance = 2 * time.Second

// now is the API server's time, or this machine's before the first answer.
func (c *apiClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at(time.Now())
}

func (c *apiClock) at(local time.Time) time.Time {
	if c.local.IsZero() {
		return local
	}
	return c.api.Add(local.Sub(c.local))
}

// observe takes the Date header of an answer (RFC 9110 section 6.6.1).
func (c *apiClock) observe(header string) {
	date, err := http.ParseTime(header)
	if err != nil {
		return // not from an API server
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	local := time.Now()
	date = date.Add(500 * time.Millisecond) // the fraction is cut off; on average it is that
	if off := date.Sub(c.at(local)); off.Abs() <= tolerance && !c.local.IsZero() {
		return
	}
	if off := date.Sub(local); off.Abs() <= tolerance {
		date = local // as good as equal, and more precise
	}
	c.api, c.local = date.Round(0), local
	c.ahead.Set(local.Round(0).Sub(c.api).Seconds())
}

// wrap makes a transport tell the clock the time of each answer.
func (c *apiClock) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err == nil {
			c.observe(response.Header.Get("Date"))
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
