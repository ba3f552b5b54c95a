package hostile

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
)

// callTimeout is how long an API server waits by default.
const callTimeout = 10 * time.Second

// honest sends reviews as an API server does, and probes as a kubelet does, until
// it is stopped.
type honest struct {
	t       *testing.T
	url     string
	probes  string
	tls     *tls.Config
	stopped context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex
	answered map[string][]time.Duration // by what was asked
	failed   []error
}

func (p *program) beHonest(t *testing.T) *honest {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	h := &honest{t: t, url: p.URL(), probes: p.ProbeURL(), tls: p.tls, stopped: stop, answered: map[string][]time.Duration{}}
	vault := map[string]string{"oidc-injector.io/audience": "vault"}
	for name, containers := range map[string]int{"a review of 3 kB": 1, "a review of 77 kB": 50} {
		body := admissiontest.Review("CREATE", "", admissiontest.Pod(containers, vault), "null")
		h.repeat(ctx, name, 50*time.Millisecond, h.client(false),
			func(ctx context.Context, c *http.Client) error { return h.review(ctx, c, body) })
		h.repeat(ctx, name+" on a new connection", 200*time.Millisecond, h.client(true),
			func(ctx context.Context, c *http.Client) error { return h.review(ctx, c, body) })
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		h.repeat(ctx, path, 200*time.Millisecond, h.client(true),
			func(ctx context.Context, c *http.Client) error { return h.probe(ctx, c, path) })
	}
	return h
}

func (h *honest) client(anew bool) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: h.tls, DisableKeepAlives: anew, IdleConnTimeout: time.Minute}}
}

// repeat does something again and again, and notes how long it took.
func (h *honest) repeat(ctx context.Context, name string, interval time.Duration, client *http.Client,
	do func(context.Context, *http.Client) error,
) {
	h.wg.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
			start := time.Now()
			err := do(call, client)
			cancel()
			h.mu.Lock()
			h.answered[name] = append(h.answered[name], time.Since(start))
			if err != nil {
				h.failed = append(h.failed, fmt.Errorf("%s, after %v: %w", name, time.Since(start), err))
			}
			h.mu.Unlock()
		}
	})
}

func (h *honest) review(ctx context.Context, client *http.Client, body []byte) error {
	code, answer, err := send(ctx, client, h.url, body)
	if err == nil && (code != http.StatusOK || !bytes.Contains(answer, []byte(`"allowed":true,"patch":"`))) {
		err = fmt.Errorf("HTTP %d: %.300s", code, answer)
		if code != http.StatusTooManyRequests {
			err = fmt.Errorf("%w: %w", errWrong, err)
		}
	}
	return err
}

// send posts a review.
func send(ctx context.Context, client *http.Client, url string, body []byte) (code int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"?timeout="+callTimeout.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

func (h *honest) probe(ctx context.Context, client *http.Client, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.probes+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("HTTP %d: %s", response.StatusCode, text)
	}
	return nil
}

// failures is how many requests were not answered until now.
func (h *honest) failures() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.failed)
}

// expectAnswers ends it, and expects that all of it was answered.
func (h *honest) expectAnswers(t *testing.T) {
	t.Helper()
	h.stopped()
	h.wg.Wait()
	for name, all := range h.answered {
		slices.Sort(all)
		t.Logf("%s: %d times, median %v, slowest %v", name, len(all), all[len(all)/2].Round(time.Microsecond),
			all[len(all)-1].Round(time.Millisecond))
	}
	if len(h.answered) != 6 {
		t.Errorf("of six kinds of requests were sent %d", len(h.answered))
	}
	sent := 0
	for _, all := range h.answered {
		sent += len(all)
	}
	// A flood may cost a call in a hundred, on a machine that is busy with making it.
	tooMany := len(h.failed) > sent/100
	for _, err := range h.failed[:min(len(h.failed), 10)] {
		t.Logf("without its answer: %v", err)
	}
	if tooMany || errors.Is(errors.Join(h.failed...), errWrong) {
		t.Errorf("of %d honest requests %d have not got their answer", sent, len(h.failed))
	}
}

// errWrong is an answer that is neither right nor a request to try again.
var errWrong = errors.New("wrong answer")
