package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// load is one combination.
type load struct {
	target
	body        []byte
	patched     bool // whether the answers must have a patch
	roots       *x509.CertPool
	connections int
	duration    time.Duration
	interval    time.Duration
}

// result is what was measured of it.
type result struct {
	latencies []time.Duration // in order
	elapsed   time.Duration
	cpu       time.Duration // of the server's process; negative where nobody knows
}

func (r result) String() string {
	at := func(q float64) time.Duration {
		return r.latencies[int(q*float64(len(r.latencies)-1))].Round(time.Microsecond)
	}
	cpu := "?"
	if r.cpu >= 0 {
		cpu = (r.cpu / time.Duration(len(r.latencies))).Round(100 * time.Nanosecond).String()
	}
	return fmt.Sprintf("%.0f\t%s\t%s\t%s\t%s", float64(len(r.latencies))/r.elapsed.Seconds(), cpu, at(0.50), at(0.99), at(1))
}

// run keeps each connection busy until the time is over.
func (l *load) run(ctx context.Context) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, l.duration+time.Minute)
	defer cancel()
	clients := make([]*http.Client, l.connections)
	for i := range clients {
		clients[i] = &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: l.roots, MinVersion: tls.VersionTLS12}, MaxConnsPerHost: 1,
		}}
	}
	defer func() {
		for _, client := range clients {
			client.CloseIdleConnections()
		}
	}()
	// Neither the handshakes nor the first requests are what is measured.
	if _, err := l.parallel(clients, func(c *http.Client) ([]time.Duration, error) { return l.requests(ctx, c, 1, 0) }); err != nil {
		return result{}, err
	}
	before, cpuErr := cpuTime(l.pid)
	start := time.Now()
	latencies, err := l.parallel(clients, func(c *http.Client) ([]time.Duration, error) { return l.requests(ctx, c, -1, l.duration) })
	if err != nil {
		return result{}, err
	}
	r := result{latencies: latencies, elapsed: time.Since(start), cpu: -1}
	if after, err := cpuTime(l.pid); err == nil && cpuErr == nil {
		r.cpu = after - before
	}
	return r, nil
}

// parallel does the same on every connection.
func (l *load) parallel(clients []*http.Client, do func(*http.Client) ([]time.Duration, error)) ([]time.Duration, error) {
	perConnection := make([][]time.Duration, len(clients))
	errs := make([]error, len(clients))
	var wg sync.WaitGroup
	for i, client := range clients {
		wg.Go(func() { perConnection[i], errs[i] = do(client) })
	}
	wg.Wait()
	all := slices.Concat(perConnection...)
	slices.Sort(all)
	return all, errors.Join(errs...)
}

// requests sends so many requests, or with a negative number until the time is
// over, and returns their latencies.
func (l *load) requests(ctx context.Context, client *http.Client, number int, duration time.Duration) ([]time.Duration, error) {
	var latencies []time.Duration
	for end := time.Now().Add(duration); len(latencies) < number || number < 0 && time.Now().Before(end); {
		latency, err := l.request(ctx, client)
		if err != nil {
			return nil, err
		}
		latencies = append(latencies, latency)
		if l.interval > 0 {
			time.Sleep(l.interval)
		}
	}
	return latencies, nil
}

func (l *load) request(ctx context.Context, client *http.Client) (time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(l.body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	start := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	latency := time.Since(start)
	if err == nil && (response.StatusCode != http.StatusOK || bytes.Contains(answer, []byte(`"patchType":"JSONPatch"`)) != l.patched) {
		err = fmt.Errorf("unexpected answer: %s", response.Status)
	}
	return latency, err
}

func pool(ca []byte) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return pool
}
