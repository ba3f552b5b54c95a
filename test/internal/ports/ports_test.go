package ports_test

import (
	"fmt"
	"net"
	"runtime"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/internal/ports"
)

func TestReservedPortIsKept(t *testing.T) {
	reserved := map[int]bool{}
	for range 100 {
		p, err := ports.Reserve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Release)
		if reserved[p.Number] {
			t.Errorf("port %d was reserved twice", p.Number)
		}
		reserved[p.Number] = true
	}
	for range 100 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		if port := listener.Addr().(*net.TCPAddr).Port; reserved[port] {
			t.Errorf("port %d was given away", port)
		}
	}
}

func TestServerSharesReservedPort(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED, elsewhere than on Linux a server needs SO_REUSEPORT")
	}
	p, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	address := fmt.Sprintf("127.0.0.1:%d", p.Number)
	for range 2 {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := net.Listen("tcp", address); err == nil {
			t.Error("two servers listen on the port")
		}
		conn.Close()
		listener.Close()
		if _, err := net.Dial("tcp", address); err == nil {
			t.Error("somebody listens on the port")
		}
	}
}
