package main

import (
	"context"
	"io"
	"net"
	"sync"
)

// door does the job of the Service: it leads each new connection to the next replica.
type door struct {
	listener net.Listener
	pick     func(n int) string // the address for the nth connection

	mu     sync.Mutex
	n      int
	closed bool
	open   map[net.Conn]bool
}

func openDoor(ctx context.Context, pick func(int) string) (*door, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &door{listener: listener, pick: pick, open: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go d.forward(ctx, conn)
		}
	}()
	return d, nil
}

func (d *door) port() int {
	return d.listener.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // a TCP listener has no other
}

// set opens or closes the door; a closed one cuts what goes through it.
func (d *door) set(closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = closed
	if closed {
		for conn := range d.open {
			conn.Close()
		}
	}
}

// enter counts a connection in, and tells where it goes.
func (d *door) enter(conn net.Conn) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ""
	}
	d.n++
	d.open[conn] = true
	return d.pick(d.n)
}

func (d *door) forward(ctx context.Context, from net.Conn) {
	defer from.Close()
	address := d.enter(from)
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.open, from)
	}()
	if address == "" {
		return
	}
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	// The end of either is that of both.
	go func() {
		_, _ = io.Copy(to, from)
		to.Close()
	}()
	_, _ = io.Copy(from, to)
}

// freeAddress is one of the loopback that nobody listens on at the moment.
func freeAddress() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
