// Package ports reserves ports of the loopback for the servers of tests.
package ports

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Reserved is a free TCP port of 127.0.0.1 that stays reserved while no server
// listens on it, so that a stopped server finds it free again. The reservation
// is a socket which is bound but does not listen: only sockets with
// SO_REUSEPORT, of the same user, can share the port, and on Linux those with
// SO_REUSEADDR as well, which every listener of Go has. Nobody is given the
// port by chance.
type Reserved struct {
	// Number is that of the port.
	Number int

	socket int
}

// Reserve finds a port that is free.
func Reserve() (*Reserved, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("could not create a socket: %w", os.NewSyscallError("socket", err))
	}
	unix.CloseOnExec(socket)
	number, err := bindLoopback(socket)
	if err != nil {
		unix.Close(socket)
		return nil, fmt.Errorf("could not reserve a port: %w", err)
	}
	return &Reserved{Number: number, socket: socket}, nil
}

func bindLoopback(socket int) (port int, err error) {
	for _, option := range []int{unix.SO_REUSEPORT, unix.SO_REUSEADDR} {
		if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, option, 1); err != nil {
			return 0, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	address, err := unix.Getsockname(socket)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return address.(*unix.SockaddrInet4).Port, nil //nolint:errcheck,forcetypeassert // it was bound to one
}

// Release may be called on nil.
func (p *Reserved) Release() {
	if p != nil {
		unix.Close(p.socket)
	}
}
