package exchange

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

// listener is a server that does what it is told with each connection.
func listener(t *testing.T, serve func(net.Conn)) (host string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			connection, err := l.Accept()
			if err != nil {
				return
			}
			serve(connection)
			_ = connection.Close()
		}
	}()
	return l.Addr().String()
}

// answering reads a request, as far as it comes at once, and says something.
func answering(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, text)
	}
}

func reset(c net.Conn) {
	_, _ = c.Read(make([]byte, 1))
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// Where one side speaks TLS and the other does not, the connection says so in many
// ways, of which none is clear.
func TestWrongProtocol(t *testing.T) {
	t.Parallel()
	const (
		notHTTP  = "is it http at this port, and not https?"
		notHTTPS = "is it https at this port?"
		alert    = "\x15\x03\x01\x00\x02\x02\x0a"
	)
	client, r, server := serve(t, func(http.ResponseWriter, *http.Request) {})
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	for _, tt := range []struct {
		name, url string
		class     failure.Class
		want      string
	}{
		{"http, and TLS closes", "http://" + listener(t, answering("")), failure.Network, "closed without an answer (EOF): " + notHTTP},
		{"http, and TLS resets", "http://" + listener(t, reset), failure.Network, "connection reset by peer): " + notHTTP},
		{
			"http, and TLS alerts", "http://" + listener(t, answering(alert)), failure.Network,
			"the answer has no header of HTTP/1.1, or one of more than 64 KiB: " + notHTTP,
		},
		{"http, and the server closes at once", "http://" + listener(t, func(net.Conn) {}), failure.Network, notHTTP},
		{
			"https, and it closes", "https://" + listener(t, answering("")), failure.Network,
			"closed during the TLS handshake (EOF): " + notHTTPS,
		},
		{"https, and it resets", "https://" + listener(t, reset), failure.Network, "connection reset by peer): " + notHTTPS},
		{"https, and it answers", "https://" + strings.TrimPrefix(plain.URL, "http://"), failure.TLS, notHTTPS},
		{"https, and it says what it is", "https://" + listener(t, answering("220 mail.example ESMTP\r\n")), failure.TLS, notHTTPS},
		{"half a header", "http://" + listener(t, answering("HTTP/1.1 200 OK\r\nX: ")), failure.Network, "unexpected EOF"},
		{
			"another protocol", "http://" + listener(t, answering("SSH-2.0-x eyJhbGciOiJub25lIn0.eyJh\r\n")), failure.Network,
			"no header of HTTP/1.1",
		},
		{
			"a broken header", "http://" + listener(t, answering("HTTP/1.1 200 OK\r\n"+jwt+"\x1b\r\n\r\n")), failure.Network,
			"no header of HTTP/1.1",
		},
	} {
		r.URL, _ = url.Parse(tt.url)
		_, err := client.Do(t.Context(), r)
		t.Logf("%s: %v", tt.name, err)
		wantFailure(t, err, tt.class, "could not test: ", tt.want)
		if err != nil && strings.ContainsAny(err.Error(), "\x15\x1b\n") {
			t.Errorf("%s: %q", tt.name, err)
		}
	}

	// The same by TLS is nothing that http would do.
	certificates := server.TLS.Certificates
	for name, serve := range map[string]func(net.Conn){
		"closed without an answer (":                        func(net.Conn) {},
		"no header of HTTP/1.1, or one of more than 64 KiB": func(c net.Conn) { _, _ = io.WriteString(c, alert) },
	} {
		r.URL = &url.URL{Scheme: "https", Host: listener(t, func(c net.Conn) {
			over := tls.Server(c, &tls.Config{Certificates: certificates})
			_, _ = over.Read(make([]byte, 4096))
			serve(over)
			_ = over.Close()
		})}
		_, err := client.Do(t.Context(), r)
		wantFailure(t, err, failure.Network, name)
		if err != nil && strings.Contains(err.Error(), "at this port") {
			t.Error(err)
		}
	}
}

// The names of a certificate are the server's, and may be many.
func TestConnectionErrorsBounded(t *testing.T) {
	t.Parallel()
	err := (&Client{}).explain(t.Context(), nil, Request{Doing: "test"}, errors.New(strings.Repeat("name\n", 10000)))
	wantFailure(t, err, failure.Network, "name ")
	if len(err.Error()) > 1100 || strings.Contains(err.Error(), "\n") {
		t.Errorf("%d bytes: %.100q", len(err.Error()), err)
	}
}
