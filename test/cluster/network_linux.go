package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// network is a network namespace in which this process opens sockets. A socket
// stays in the namespace of the thread that opened it, so that the rest of
// this process can use it.
type network struct {
	file *os.File
}

func openNetwork(pid int) (*network, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, fmt.Errorf("could not open a network namespace: %w", err)
	}
	return &network{file: file}, nil
}

// do calls f on a thread inside the namespace.
func (n *network) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine, and no other one
		// can find itself in the wrong namespace.
		runtime.LockOSThread()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("could not enter a network namespace: %w", os.NewSyscallError("setns", err))
			return
		}
		done <- f()
	}()
	return <-done
}

// dial connects to an IP address and port.
func (n *network) dial(ctx context.Context, address string) (conn net.Conn, err error) {
	err = n.do(func() error {
		// With a single address the dialer opens the socket on this goroutine.
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return err
	})
	return conn, err
}

// listen listens on an IP address and port.
func (n *network) listen(address string) (listener net.Listener, err error) {
	err = n.do(func() error {
		listener, err = net.Listen("tcp", address)
		return err
	})
	return listener, err
}

func (n *network) close() {
	n.file.Close()
}

// forwarder connects everybody who connects to a listener with somebody else.
type forwarder struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
	cancel   context.CancelFunc
	handlers sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
}

func forward(listener net.Listener, dial func(context.Context) (net.Conn, error)) *forwarder {
	ctx, cancel := context.WithCancel(context.Background())
	f := &forwarder{listener: listener, dial: dial, cancel: cancel, conns: map[net.Conn]bool{}}
	f.handlers.Go(func() { f.accept(ctx) })
	return f
}

func (f *forwarder) accept(ctx context.Context) {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return // the listener is closed
		}
		f.handlers.Go(func() { f.handle(ctx, conn) })
	}
}

// handle answers a server that is not there by closing the connection.
func (f *forwarder) handle(ctx context.Context, near net.Conn) {
	defer near.Close()
	far, err := f.dial(ctx)
	if err != nil {
		return
	}
	defer far.Close()
	if !f.track(near, far) {
		return
	}
	defer f.untrack(near, far)
	var copies sync.WaitGroup
	copies.Go(func() { copyHalf(near, far) })
	copies.Go(func() { copyHalf(far, near) })
	copies.Wait()
}

// copyHalf passes the end of a stream on without ending the opposite one.
func copyHalf(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		// One direction is broken; the other one must not wait forever.
		to.Close()
		from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it fails only if the connection is gone anyway
	}
}

func (f *forwarder) track(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		f.conns[conn] = true
	}
	return !f.closed
}

func (f *forwarder) untrack(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		delete(f.conns, conn)
	}
}

// close ends all connections as well.
func (f *forwarder) close() {
	f.cancel()
	f.listener.Close()
	f.mu.Lock()
	f.closed = true
	for conn := range f.conns {
		conn.Close()
	}
	f.mu.Unlock()
	f.handlers.Wait()
}
