package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// connections bounds how many connections of a server are open. It refuses none:
// where there are too many, one is closed for a new one. First those go that have
// never sent anything, then those that have not sent a request, then those that
// wait for their next one, then those whose request has not arrived in time; of
// each kind the one that has waited longest.
// Requests that have arrived are never cut off.
type connections struct {
	limit    int
	greeting time.Duration // how long a client may take for the handshake and for its request, whoever else wants to connect

	mu     sync.Mutex
	closed chan struct{} // has a value when a connection was closed
	open   []*connection // oldest first
}

// patience is how long a body may take to arrive, whoever else wants to connect.
const patience = time.Second

// phase is what a connection is waiting for.
type phase int

const (
	silent        phase = iota // nothing has come yet
	awaitingFirst              // the rest of the TLS handshake, and the header of a request
	awaitingNext
	awaitingBody
	working
)

// connection is one of the connections of a server.
type connection struct {
	net.Conn
	all   *connections
	phase phase
	since time.Time // when the phase began

	established atomic.Bool // there was a request
	early       int         // bytes that came before
}

func newConnections(limit int, greeting time.Duration) *connections {
	return &connections{limit: limit, greeting: greeting, closed: make(chan struct{}, 1)}
}

// listener bounds the connections that a listener accepts.
func (cs *connections) listener(inner net.Listener) net.Listener {
	return &boundListener{inner, cs}
}

type boundListener struct {
	net.Listener
	connections *connections
}

// What the kernel may keep of a connection, in bytes, each way: a control group
// pays for it, too (version 2).
const socketBuffer = 128 << 10

// Accept waits for a connection, and for room for it.
func (l *boundListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := accepted.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(socketBuffer) // one that is gone already is noticed when it is read
		_ = tcp.SetWriteBuffer(socketBuffer)
	}
	c := &connection{Conn: accepted, all: l.connections, since: time.Now()}
	for !l.connections.admit(c) {
		select {
		case <-l.connections.closed:
		case <-time.After(l.connections.greeting / 10): // somebody's time may be up
		}
	}
	return c, nil
}

// admit is false where there is no room for a connection at the moment.
func (cs *connections) admit(c *connection) bool {
	cs.mu.Lock()
	var victim *connection
	if len(cs.open) >= cs.limit {
		if victim = cs.victim(); victim == nil {
			cs.mu.Unlock()
			return false
		}
		cs.remove(victim)
	}
	cs.open = append(cs.open, c)
	cs.mu.Unlock()
	if victim != nil {
		_ = victim.Conn.Close() // its server notices, and is told by no other way
	}
	return true
}

// victim is the connection to close for another one, or nil.
func (cs *connections) victim() *connection {
	var victim *connection
	for _, c := range cs.open {
		if c.phase != working && (victim == nil || c.before(victim)) {
			victim = c
		}
	}
	leave := cs.greeting
	if victim != nil && victim.phase == awaitingBody {
		leave = patience
	}
	if victim == nil || time.Since(victim.since) < leave {
		return nil
	}
	return victim
}

// before reports whether a connection is to go before another one.
func (c *connection) before(other *connection) bool {
	return cmp.Or(cmp.Compare(c.phase, other.phase), c.since.Compare(other.since)) < 0
}

// remove is called with the lock held.
func (cs *connections) remove(c *connection) {
	cs.open = slices.DeleteFunc(cs.open, func(other *connection) bool { return other == c })
}

// maxEarly is how many bytes may come before there is a request: more than a
// handshake with certificates and a header have. TLS itself would keep 64 KiB of an
// unfinished handshake, and 256 KiB where it asks for a certificate.
const maxEarly = 64 << 10

var errTooMuch = errors.New("too much before the first request")

// Read reads what has arrived.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.established.Load() {
		return n, err
	}
	if c.early == 0 && n > 0 {
		c.enter(awaitingFirst)
	}
	if c.early += n; c.early > maxEarly {
		return 0, errTooMuch
	}
	return n, err
}

// Close closes the connection and makes room for another one.
func (c *connection) Close() error {
	c.all.mu.Lock()
	c.all.remove(c)
	c.all.mu.Unlock()
	select {
	case c.all.closed <- struct{}{}:
	default:
	}
	return c.Conn.Close()
}

// enter notes what the connection waits for from now on.
func (c *connection) enter(p phase) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.phase != p {
		c.phase, c.since = p, time.Now()
	}
}

// ours is the connection below TLS.
func ours(conn net.Conn) *connection {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	c, _ := conn.(*connection) // nil for any other
	return c
}

// watch makes a server tell what becomes of its connections.
func (cs *connections) watch(s *http.Server) {
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, ours(conn))
	}
	s.ConnState = func(conn net.Conn, state http.ConnState) {
		c := ours(conn)
		switch state {
		case http.StateIdle:
			c.enter(awaitingNext)
		case http.StateActive:
			c.established.Store(true)
			c.enter(awaitingBody)
		case http.StateNew, http.StateHijacked, http.StateClosed:
		}
	}
	s.Handler = noteArrival(s.Handler)
}

type connectionKey struct{}

// noteArrival tells the request's connection when all of the request has arrived.
func noteArrival(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(connectionKey{}).(*connection)
		switch {
		case r.ProtoMajor != 1: // one connection has many requests
		case r.ContentLength == 0:
			c.enter(working)
		default:
			r.Body = &arrivingBody{r.Body, c}
		}
		next.ServeHTTP(w, r)
	})
}

// arrivingBody is a request's body whose end the connection is to know of.
type arrivingBody struct {
	io.ReadCloser
	connection *connection
}

func (b *arrivingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.connection.enter(working)
	}
	return n, err
}
