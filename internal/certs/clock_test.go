package certs

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		c := &apiClock{ahead: newAhead(metrics)}
		local := time.Now()
		expect := func(what string, want time.Duration, wantAhead float64) {
			t.Helper()
			said := gathered(t, metrics)["oidc_injector_clock_ahead_seconds"]
			if got := time.Until(c.now()); got != want || said[0] != wantAhead {
				t.Errorf("%s: the API server is %v ahead, want %v; the metric says %v, want %v", what, got, want, said, wantAhead)
			}
		}
		say := func(date string) {
			t.Helper()
			answer := roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{Header: http.Header{"Date": {date}}}, nil
			})
			response, err := c.wrap(answer).RoundTrip(nil) //nolint:bodyclose // it has none
			if err != nil || response == nil {
				t.Error(err)
			}
		}
		at := func(off time.Duration) string { return time.Now().Add(off).UTC().Format(http.TimeFormat) }

		expect("before the first answer", 0, 0)
		say(at(0))
		expect("a second is no difference", 0, 0)
		say("yesterday")
		say("")
		expect("no date", 0, 0)
		say(at(-time.Hour))
		expect("this machine's clock is ahead", -time.Hour+500*time.Millisecond, 3599.5)
		time.Sleep(10 * time.Minute)
		expect("time goes on", -time.Hour+500*time.Millisecond, 3599.5)
		say(at(-time.Hour + time.Second))
		expect("a second is no difference here, either", -time.Hour+500*time.Millisecond, 3599.5)
		say(at(5 * time.Second))
		expect("it was set", 5500*time.Millisecond, -5.5)
		say(at(0))
		expect("it was set right", 0, 0)
		if time.Since(local) != 10*time.Minute {
			t.Error("the test does not wait as it should")
		}
	})
}

// gathered is the value of each series of gauges and counters.
func gathered(t *testing.T, metrics *prometheus.Registry) map[string][]float64 {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			values[family.GetName()] = append(values[family.GetName()], m.GetGauge().GetValue()+m.GetCounter().GetValue())
		}
	}
	return values
}
