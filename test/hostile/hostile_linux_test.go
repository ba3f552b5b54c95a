package hostile

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/test/injector"
)

const (
	// limit is that of the chart, in bytes.
	limit = 128 << 20
	// maxUsual is what may be used of it by what an API server sends at its
	// defaults, in MiB.
	maxUsual = 96
	// maxCPU is what one input may cost, in seconds of one processor.
	maxCPU = 1.0
)

// config allows the logins of the corpus.
const config = `apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
login: {image: 'oidc-login:1'}
policy: {loginAddresses: {allowed: ['https://*.example.com:8200']}}
`

// program is the webhook in its control group.
type program struct {
	*injector.Injector
	group *group
	tls   *tls.Config
}

// start runs the program until the test ends. It must not have died then.
func start(t *testing.T) *program {
	t.Helper()
	g := newGroup(t, limit)
	in, err := injector.Start(t.Context(), nil, injector.Options{
		Dir: t.TempDir(), Config: config, Joins: []string{g.procs()}, Args: []string{"--log-level=info"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		t.Logf("peak %.1f MiB of memory, %.1f s of CPU", g.peak(t), cpuSeconds(t, in.PID()))
		if kills := g.killed(t); kills > 0 {
			t.Errorf("the kernel killed it %d times for its memory", kills)
		}
		if err := in.Stop(); err != nil {
			t.Errorf("the webhook: %v", err)
		}
	})
	ca, err := in.CA()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &program{in, g, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
}

// fails reports whether the program has died.
func (p *program) fails(t *testing.T) bool {
	t.Helper()
	if err := p.Failure(); err != nil {
		t.Error(err)
		return true
	}
	return false
}

// TestHostileReviews sends the corpus one by one.
func TestHostileReviews(t *testing.T) {
	p := start(t)
	h := p.beHonest(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: p.tls}}
	for _, hostile := range admissiontest.HostileCorpus() {
		if !hostile.TooLarge {
			p.sendHostile(t, client, hostile)
		}
		if p.fails(t) {
			return
		}
	}
	p.expectUsualPeak(t)
	for _, hostile := range admissiontest.HostileCorpus() {
		if hostile.TooLarge {
			p.sendHostile(t, client, hostile)
		}
		if p.fails(t) {
			return
		}
	}
	h.expectAnswers(t)
}

func (p *program) expectUsualPeak(t *testing.T) {
	t.Helper()
	peak := p.group.peak(t)
	t.Logf("peak %.1f MiB by what an API server sends", peak)
	if peak > maxUsual {
		t.Errorf("peak %.1f MiB by what an API server sends, more than %d", peak, maxUsual)
	}
}

// codes are those of an answer or of a refusal.
var codes = []int{http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests}

func (p *program) sendHostile(t *testing.T, client *http.Client, hostile admissiontest.Hostile) {
	t.Helper()
	body := hostile.Review()
	ctx, cancel := context.WithTimeout(t.Context(), 3*callTimeout)
	defer cancel()
	before := cpuSeconds(t, p.PID())
	code, answer, err := send(ctx, client, p.URL(), body)
	if p.Failure() != nil {
		t.Errorf("%s: killed it", hostile.Name)
		return
	}
	took := cpuSeconds(t, p.PID()) - before
	if err != nil || !slices.Contains(codes, code) {
		t.Errorf("%s: HTTP %d: %v", hostile.Name, code, err)
	}
	if code == http.StatusTooManyRequests || took > maxCPU/4 {
		t.Logf("%s: %d bytes, HTTP %d, %d bytes, %.2f s of CPU", hostile.Name, len(body), code, len(answer), took)
	}
	if took > maxCPU {
		t.Errorf("%s: took %.2f s of CPU", hostile.Name, took)
	}
}

// TestConcurrentLargePods sends, in groups, the largest that an API server takes.
func TestConcurrentLargePods(t *testing.T) {
	p := start(t)
	h := p.beHonest(t)
	const atOnce = 16
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: p.tls, MaxIdleConnsPerHost: atOnce}}
	for _, name := range []string{
		"many members", "env: distinct names, 3.1 MB", "containers: empty objects, 3.1 MB",
		"volumes that look like ours",
	} {
		i := slices.IndexFunc(admissiontest.HostileCorpus(), func(h admissiontest.Hostile) bool { return h.Name == name })
		if i < 0 {
			t.Fatalf("there is no %q", name)
		}
		body := admissiontest.HostileCorpus()[i].Review()
		began := time.Now()
		results := p.atOnce(t, client, body, atOnce)
		t.Logf("%d times %s: %v, after %v", atOnce, name, results, time.Since(began).Round(time.Millisecond))
		if results["200"]+results["400"] == 0 || results["error"] > 0 {
			t.Errorf("%d times %s: %v", atOnce, name, results)
		}
		if p.fails(t) {
			return
		}
	}
	p.expectUsualPeak(t)
	h.expectAnswers(t)
}

// atOnce sends a body several times at the same time, and counts the answers.
func (p *program) atOnce(t *testing.T, client *http.Client, body []byte, n int) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*callTimeout)
	defer cancel()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		results = map[string]int{}
	)
	for range n {
		wg.Go(func() {
			code, _, err := send(ctx, client, p.URL(), body)
			result := strconv.Itoa(code)
			if err != nil {
				result = "error"
				t.Log(err)
			}
			mu.Lock()
			defer mu.Unlock()
			results[result]++
		})
	}
	wg.Wait()
	return results
}
