package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
	"github.com/oidc-injector/oidc-injector/test/internal/metrics"
	"github.com/oidc-injector/oidc-injector/test/internal/ports"
)

// replica is one process of the webhook.
type replica struct {
	program                 *exec.Cmd
	log                     *testutil.Log
	webhook, metrics, probe string // addresses
	started                 time.Time
	ended                   chan struct{}
}

// start runs one more replica, with further flags, and does not wait for it.
func (in *installation) start(t *testing.T, flags ...string) *replica {
	t.Helper()
	return in.startWith(t, append([]string{
		"--certificates=managed", "--service-name=" + serviceName, "--namespace=" + in.namespace, "--ca-secret-name=" + secretName,
		"--webhook-configuration-name=" + in.namespace, "--kubeconfig=" + in.kubeconfig,
	}, flags...)...)
}

func (in *installation) startWith(t *testing.T, flags ...string) *replica {
	t.Helper()
	r := &replica{
		log: &testutil.Log{}, webhook: ports.ForTest(t), metrics: ports.ForTest(t), probe: ports.ForTest(t),
		ended: make(chan struct{}),
	}
	_, port, err := net.SplitHostPort(r.webhook)
	if err != nil {
		t.Fatal(err)
	}
	r.program = exec.Command(program, append([]string{
		"--bind-address=127.0.0.1", "--port=" + port, "--metrics-bind-address=" + r.metrics, "--health-probe-bind-address=" + r.probe,
		"--shutdown-delay-duration=1s",
	}, flags...)...)
	r.program.Stdout, r.program.Stderr = r.log, r.log
	r.started = time.Now()
	if err := r.program.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.program.Wait()
		close(r.ended)
	}()
	in.replicas = append(in.replicas, r)
	in.balancer.add(r)
	t.Cleanup(func() {
		r.stop(t)
		if t.Failed() {
			t.Logf("log of a replica:\n%s", r.log)
		}
		if strings.Contains(r.log.String(), "PRIVATE KEY") {
			t.Error("the log has a key")
		}
	})
	return r
}

// stop ends a replica in order.
func (r *replica) stop(t *testing.T) {
	t.Helper()
	_ = r.program.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(20 * time.Second):
		_ = r.program.Process.Kill()
		t.Error("a replica did not end by itself")
	}
}

func get(ctx context.Context, url string) (code int, body string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// readiness is empty where the replica is ready, and the reason otherwise.
func (r *replica) readiness(ctx context.Context) string {
	code, text := get(ctx, "http://"+r.probe+"/readyz")
	if code == http.StatusOK {
		return ""
	}
	return text
}

// awaitReady waits until the replica is ready and returns how long that took
// since its start.
func (r *replica) awaitReady(t *testing.T) time.Duration {
	t.Helper()
	eventually(t, "the replica is ready", func() bool { return r.readiness(t.Context()) == "" })
	return time.Since(r.started)
}

// metric is the sum of a metric over all labels but the given ones.
func (r *replica) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	_, body := get(t.Context(), "http://"+r.metrics+"/metrics")
	value, err := metrics.Value([]byte(body), name, labels...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// total is a metric summed over all replicas.
func (in *installation) total(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	sum := 0.0
	for _, r := range in.replicas {
		sum += r.metric(t, name, labels...)
	}
	return sum
}

// served is the certificate that the replica serves.
func (r *replica) served(ctx context.Context) (*x509.Certificate, error) {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", r.webhook)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// verify does what an API server does with a replica's certificate.
func (in *installation) verify(ctx context.Context, r *replica, bundle []byte) error {
	certificate, err := r.served(ctx)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err = certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: serviceName + "." + in.namespace + ".svc"})
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", certificate.Issuer.CommonName, err)
	}
	return nil
}

// balancer does the job of a Service: it leads each new connection to one of the
// replicas that are ready.
type balancer struct {
	port int32
	mu   sync.Mutex
	all  []*replica
	up   map[*replica]bool
}

func startBalancer(t *testing.T, port string) *balancer {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{port: int32(listener.Addr().(*net.TCPAddr).Port), up: map[*replica]bool{}}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		stop()
		listener.Close()
	})
	go b.look(ctx)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go b.forward(ctx, conn)
		}
	}()
	return b
}

func (b *balancer) add(r *replica) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, r)
}

// look asks the replicas whether they are ready, as a kubelet does, but more
// often.
func (b *balancer) look(ctx context.Context) {
	for ctx.Err() == nil {
		b.mu.Lock()
		all := b.all
		b.mu.Unlock()
		for _, r := range all {
			up := r.readiness(ctx) == ""
			b.mu.Lock()
			b.up[r] = up
			b.mu.Unlock()
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (b *balancer) pick() *replica {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ready []*replica
	for _, r := range b.all {
		if b.up[r] {
			ready = append(ready, r)
		}
	}
	if len(ready) == 0 {
		return nil
	}
	return ready[rand.N(len(ready))]
}

func (b *balancer) forward(ctx context.Context, from net.Conn) {
	defer from.Close()
	r := b.pick()
	if r == nil {
		return
	}
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.webhook)
	if err != nil {
		return
	}
	defer to.Close()
	var both sync.WaitGroup
	both.Go(func() { relay(to, from) })
	both.Go(func() { relay(from, to) })
	both.Wait()
}

// relay copies one direction of a connection, and its end.
func relay(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.(*net.TCPConn).CloseWrite()
}
