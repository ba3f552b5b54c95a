// Load measures the webhook over HTTPS: requests per second and latencies, for
// pods of several sizes and numbers of connections. It runs the webhook itself,
// on the loopback, and is bounded in time.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/test/injector"
)

func main() {
	duration := flag.Duration("duration", 3*time.Second, "How long to measure each combination.")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := measure(ctx, *duration)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, duration time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "oidc-injector-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	webhook, err := injector.Start(ctx, nil, injector.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, webhook.Stop()) }()
	ca, err := webhook.CA()
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "pod\tconnections\trequests/s\tp50\tp99\tmax\t")
	for _, size := range admissiontest.Sizes() {
		body := size.Review()
		for _, connections := range []int{1, 16, 128} {
			l := load{url: webhook.URL(), body: body, patched: size.Patched, roots: pool, connections: connections, duration: duration}
			latencies, err := l.run(ctx)
			if err != nil {
				return err
			}
			at := func(q float64) time.Duration {
				return latencies[int(q*float64(len(latencies)-1))].Round(time.Microsecond)
			}
			fmt.Fprintf(table, "%s\t%d\t%.0f\t%s\t%s\t%s\t\n", size.Name, connections,
				float64(len(latencies))/duration.Seconds(), at(0.50), at(0.99), at(1))
		}
	}
	return table.Flush()
}

// load is one combination.
type load struct {
	url         string
	body        []byte
	patched     bool // whether the answers must have a patch
	roots       *x509.CertPool
	connections int
	duration    time.Duration
}

// run keeps each connection busy until the time is over, and returns the
// latencies of all requests, in order.
func (l *load) run(ctx context.Context) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, l.duration+time.Minute)
	defer cancel()
	perConnection := make([][]time.Duration, l.connections)
	errs := make([]error, l.connections)
	var wg sync.WaitGroup
	for i := range l.connections {
		wg.Go(func() { perConnection[i], errs[i] = l.connection(ctx) })
	}
	wg.Wait()
	all := slices.Concat(perConnection...)
	slices.Sort(all)
	return all, errors.Join(errs...)
}

func (l *load) connection(ctx context.Context) ([]time.Duration, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.roots, MinVersion: tls.VersionTLS12}, MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	if _, err := l.request(ctx, client); err != nil { // the handshake is not what is measured
		return nil, err
	}
	var latencies []time.Duration
	for end := time.Now().Add(l.duration); time.Now().Before(end); {
		latency, err := l.request(ctx, client)
		if err != nil {
			return nil, err
		}
		latencies = append(latencies, latency)
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
