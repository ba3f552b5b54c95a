package server

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// bounded is a server with a bound on its connections. Its handler reads the body,
// says what came, and waits to be told to go on where the path is /wait.
type bounded struct {
	*connections
	address string
	goOn    chan struct{}
}

func newBounded(t *testing.T, limit int) *bounded {
	t.Helper()
	inner, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bounded{newConnections(limit, 10*time.Millisecond), inner.Addr().String(), make(chan struct{})}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
			if r.URL.Path == "/wait" {
				<-b.goOn
			}
		}),
	}
	b.watch(server)
	go func() { _ = server.Serve(b.listener(inner)) }()
	t.Cleanup(func() {
		close(b.goOn)
		_ = server.Close()
	})
	return b
}

func (b *bounded) connect(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"

// answered sends the rest of a request, and expects the answer.
func answered(t *testing.T, conn net.Conn, rest string) {
	t.Helper()
	write(t, conn, rest)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); err != nil || string(text) != "hello" {
		t.Errorf("answer %q: %v", text, err)
	}
}

// in waits until so many connections are in a phase.
func (b *bounded) in(t *testing.T, p phase, n int) {
	t.Helper()
	testutil.Eventually(t, "connections are in their phase", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		found := 0
		for _, c := range b.open {
			if c.phase == p {
				found++
			}
		}
		return found == n
	})
}

func expectClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection is open: %v", err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func TestConnections(t *testing.T) {
	t.Parallel()
	t.Run("the one that has been idle longest makes room", func(t *testing.T) {
		t.Parallel()
		b := newBounded(t, 2)
		first, second := b.connect(t), b.connect(t)
		answered(t, second, request+"hello")
		b.in(t, awaitingNext, 1)
		answered(t, first, request+"hello") // so that the second is idle for longer
		b.in(t, awaitingNext, 2)
		third := b.connect(t)
		answered(t, third, request+"hello")
		expectClosed(t, second)
		answered(t, first, request+"hello")
	})
	t.Run("one that never had a request goes first", func(t *testing.T) {
		t.Parallel()
		b := newBounded(t, 2)
		known := b.connect(t)
		answered(t, known, request+"hello")
		b.in(t, awaitingNext, 1)
		for range 5 {
			idle := b.connect(t)
			b.in(t, silent, 1)
			next := b.connect(t)
			write(t, next, request[:5])
			expectClosed(t, idle)
			b.in(t, awaitingFirst, 1)
			_ = next.Close()
			b.in(t, awaitingFirst, 0)
		}
		answered(t, known, request+"hello")
	})
	t.Run("a request in flight is not cut off while another is idle", func(t *testing.T) {
		t.Parallel()
		b := newBounded(t, 2)
		busy := b.connect(t)
		write(t, busy, request+"he")
		b.in(t, awaitingBody, 1)
		for range 5 {
			answered(t, b.connect(t), request+"hello")
		}
		answered(t, busy, "llo")
	})
	t.Run("a request that does not arrive makes room in the end", func(t *testing.T) {
		t.Parallel()
		b := newBounded(t, 1)
		slow := b.connect(t)
		write(t, slow, request+"he")
		b.in(t, awaitingBody, 1)
		answered(t, b.connect(t), request+"hello")
		expectClosed(t, slow)
	})
	t.Run("a request that has arrived is waited for", func(t *testing.T) {
		t.Parallel()
		b := newBounded(t, 1)
		busy := b.connect(t)
		write(t, busy, strings.Replace(request, "/", "/wait", 1)+"hello")
		b.in(t, working, 1)
		next := b.connect(t)
		write(t, next, request)
		b.goOn <- struct{}{}
		answered(t, busy, "")
		answered(t, next, "hello")
	})
	t.Run("what is closed is forgotten", func(t *testing.T) {
		t.Parallel()
		b := newBounded(t, 2)
		for range 5 {
			conn := b.connect(t)
			answered(t, conn, request+"hello")
			_ = conn.Close()
			b.in(t, awaitingNext, 0)
		}
	})
	t.Run("too much before the first request", func(t *testing.T) {
		t.Parallel()
		b := newBounded(t, 2)
		conn := b.connect(t)
		// It may be closed before all is written.
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nX: "+strings.Repeat("x", maxEarly))
		_, _ = io.Copy(io.Discard, conn)
		b.in(t, awaitingFirst, 0)
	})
}

func TestMemoryOfRequests(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]int64{100 << 20: 20 << 20, 1 << 62: 256 << 20} {
		if got := memoryOfRequests(limit); got != want {
			t.Errorf("of %d: %d", limit, got)
		}
	}
}
