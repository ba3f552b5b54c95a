package ports

import (
	"net"
	"strconv"
	"testing"
)

// ForTest is an address of the loopback that is nobody else's until the test ends.
func ForTest(t testing.TB) string {
	t.Helper()
	port, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port.Number))
}
