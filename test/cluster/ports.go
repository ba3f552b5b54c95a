package cluster

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// reservedPort is a free TCP port of 127.0.0.1 that stays reserved while no
// server listens on it, so that a stopped API server finds it free again. The
// reservation is a socket which is bound but does not listen: only sockets of
// the same user with SO_REUSEPORT can share the port.
type reservedPort struct {
	number int
	socket int
}

func reservePort() (*reservedPort, error) {
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
	return &reservedPort{number: number, socket: socket}, nil
}

func bindLoopback(socket int) (port int, err error) {
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, os.NewSyscallError("setsockopt", err)
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

// release may be called on nil.
func (p *reservedPort) release() {
	if p != nil {
		unix.Close(p.socket)
	}
}
