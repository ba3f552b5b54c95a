package testutil

import (
	"io"
	"net"
	"net/http"
)

// Tunnel answers a CONNECT by a connection to an address, whatever was asked for.
func Tunnel(t TB, w http.ResponseWriter, address string) {
	t.Helper()
	there, err := net.Dial("tcp", address) //nolint:noctx // it ends with the request
	if err != nil {
		t.Errorf("could not connect: %v", err)
		return
	}
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("could not take the connection over: %v", err)
		return
	}
	// The answer comes after the take-over: the server reads ahead, and what the
	// client says at once would stay in its buffer.
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() { _, _ = io.Copy(there, buffered) }()
	go func() { _, _ = io.Copy(here, there); _ = here.Close(); _ = there.Close() }()
}
