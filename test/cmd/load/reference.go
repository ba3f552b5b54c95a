package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// referenceFlag turns this program into the server that does nothing.
const referenceFlag = "reference"

// serveReference answers every request, once it has read it, with a few bytes, and
// writes its address to the standard output.
func serveReference(ctx context.Context, dir string) error {
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
			NextProtos: []string{"http/1.1"},
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"","allowed":true}}`)
		}),
	}
	fmt.Println("https://" + listener.Addr().String())
	go func() {
		// Whoever started it holds the other end.
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// startReference runs this program as that server.
func startReference(ctx context.Context, dir string) (target, func(), error) {
	self, err := os.Executable()
	if err != nil {
		return target{}, nil, err
	}
	server := exec.CommandContext(ctx, self, "-"+referenceFlag+"="+dir)
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	if err != nil {
		return target{}, nil, err
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		return target{}, nil, err
	}
	if err := server.Start(); err != nil {
		return target{}, nil, err
	}
	stop := func() {
		_ = stdin.Close() // at which it ends
		_ = server.Wait()
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stop()
		return target{}, nil, fmt.Errorf("could not read the address of the reference: %w", err)
	}
	return target{name: "empty", url: strings.TrimSpace(url), pid: server.Process.Pid, mute: true}, stop, nil
}
