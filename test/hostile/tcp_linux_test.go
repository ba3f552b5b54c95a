package hostile

import "golang.org/x/sys/unix"

// established is TCP_ESTABLISHED (include/net/tcp_states.h).
const established = 1

// tcpState is the state of a TCP connection.
func tcpState(fd int) (uint8, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, err
	}
	return info.State, nil
}
