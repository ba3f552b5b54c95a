package hostile

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
)

// attackTime is how long each kind of connection is tried.
const attackTime = 2 * time.Second

// attack is a kind of connection, and how many there are of it at a time.
type attack struct {
	name  string
	n     int
	plain bool // for the probes, not for the webhook
	// do is done with each connection. It may fail, since the webhook may close it.
	do func(ctx context.Context, conn net.Conn) error
}

func header(length int) string {
	return fmt.Sprintf("POST /mutate?timeout=30s HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		length)
}

// overTLS does something on a connection after its handshake.
func overTLS(do func(ctx context.Context, conn net.Conn) error) func(context.Context, net.Conn) error {
	return func(ctx context.Context, conn net.Conn) error {
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		if err := c.HandshakeContext(ctx); err != nil {
			return err
		}
		return do(ctx, c)
	}
}

func sending(texts ...string) func(context.Context, net.Conn) error {
	return func(_ context.Context, conn net.Conn) error {
		for _, text := range texts {
			if _, err := io.WriteString(conn, text); err != nil {
				return err
			}
		}
		return nil
	}
}

// dripping sends a byte from time to time.
func dripping(start string) func(context.Context, net.Conn) error {
	return func(ctx context.Context, conn net.Conn) error {
		_, err := io.WriteString(conn, start)
		for err == nil && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			_, err = conn.Write([]byte(" "))
		}
		return err
	}
}

func attacks(t *testing.T) []attack {
	t.Helper()
	const large, half = 6_900_000, 3_450_000
	corpus := admissiontest.Products()
	answer := string(corpus[1].Review()) // whose answer is as large as one can be
	return []attack{
		{"idle", 2000, false, sending()},
		{"idle, at the probes", 2000, true, sending()},
		{"a header that does not end", 600, false, overTLS(dripping("POST /mutate HTTP/1.1\r\nX: "))},
		{"a header that does not end, at the probes", 600, true, dripping("GET /healthz HTTP/1.1\r\nX: ")},
		{"a handshake that does not begin", 600, false, sending("\x16\x03\x01")},
		{
			"a handshake that does not end", 600, false,
			sending("\x16\x03\x01\x40\x00\x01\x00\xff\xff"+strings.Repeat("\x00", 16_000),
				"\x16\x03\x01\x40\x00"+strings.Repeat("\x00", 16_000)),
		},
		{"a body that is promised", 600, false, overTLS(sending(header(large)))},
		{"a small body, half sent", 600, false, overTLS(sending(header(60_000), strings.Repeat(" ", 30_000)))},
		{"a large body, half sent", 64, false, overTLS(sending(header(large), strings.Repeat(" ", half)))},
		{"a large body, slowly", 64, false, overTLS(dripping(header(large) + strings.Repeat(" ", 100_000)))},
		{"an answer that nobody reads", 200, false, overTLS(sending(header(len(answer)), answer))},
		{"many answers that nobody reads, on one connection", 64, false, overTLS(sending(strings.Repeat(header(len(answer))+answer, 20)))},
	}
}

// TestHostileConnections holds connections open in every way that takes something.
func TestHostileConnections(t *testing.T) {
	raiseFileLimit(t)
	p := start(t)
	h := p.beHonest(t)
	for _, a := range attacks(t) {
		before := cpuSeconds(t, p.PID())
		opened := p.attack(t, a)
		t.Logf("%s: %d connections, %d at a time, %.2f s of CPU; until now a peak of %.1f MiB, %d honest requests without an answer",
			a.name, opened, a.n, cpuSeconds(t, p.PID())-before, p.group.peak(t), h.failures())
		if opened < a.n {
			t.Errorf("%s: only %d connections were taken of %d", a.name, opened, a.n)
		}
		if p.fails(t) {
			return
		}
	}
	h.expectAnswers(t)
}

// raiseFileLimit allows this process thousands of connections.
func raiseFileLimit(t *testing.T) {
	t.Helper()
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	files.Cur = min(files.Max, 8192)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
}

// attack keeps connections open for a time, opens new ones for those that are
// closed, and returns how many there were.
func (p *program) attack(t *testing.T, a attack) int {
	t.Helper()
	target := p.URL()
	if a.plain {
		target = p.ProbeURL()
	}
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), attackTime)
	defer cancel()
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		opened int
	)
	for range a.n {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := hold(ctx, u.Host, a.do); errors.Is(err, errNotConnected) {
					continue
				}
				mu.Lock()
				opened++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return opened
}

var errNotConnected = errors.New("not connected")

// hold opens a connection, and holds it until the webhook closes it.
func hold(ctx context.Context, address string, do func(context.Context, net.Conn) error) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return errNotConnected
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if err := do(ctx, conn); err != nil {
		return err
	}
	// It is seen that the webhook closes the connection, and nothing is read.
	for ctx.Err() == nil && !closedByPeer(conn) {
		time.Sleep(500 * time.Millisecond)
	}
	return nil
}

// closedByPeer reports whether the other side has closed or reset a connection.
func closedByPeer(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		info, err := tcpState(int(fd))
		closed = err != nil || info != established
	})
	return err != nil || closed
}
