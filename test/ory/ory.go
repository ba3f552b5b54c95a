// Package ory runs an authorization server for tests that is made of Ory's fosite, the
// engine of Ory Hydra: strict about clients, audiences and scopes, and it accepts
// each JWT once. It listens on the loopback only, over TLS by a CA of its own, and
// ends with the process that started it.
//
// The program is built with the go command, once, into the cache that package
// cluster uses as well. Hydra itself is not: its store, even in memory, needs SQLite
// and so a C compiler.
package ory

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
	"github.com/oidc-injector/oidc-injector/test/internal/pki"
	"github.com/oidc-injector/oidc-injector/test/internal/ports"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

var (
	// pinned holds go.mod and go.sum of the module from which the server is built.
	//
	//go:embed modules
	pinned embed.FS
	// server is its only file. It is of no module that surrounds it, as fosite's
	// dependencies are not wanted there.
	//
	//go:embed server/main.go
	server string
)

const (
	module  = "github.com/ory/fosite"
	version = "v0.49.0"
)

const dependent = `module example.invalid/authorization-server

go 1.26.0

require (
	github.com/go-jose/go-jose/v3 v3.0.3
	` + module + " " + version + "\n)\n"

var source = buildcache.Server{
	Name:      "authorization-server",
	Title:     "an authorization server on Ory's fosite",
	Module:    module,
	Version:   version,
	Main:      server,
	Flags:     append([]string{"-ldflags=-s -w"}, buildcache.Quick...),
	Dependent: dependent,
	Pinned:    pinned,
}

// Build makes sure that the server is in the cache.
func Build(ctx context.Context, progress io.Writer) error {
	_, err := source.Build(ctx, progress)
	return err
}

// PinModule resolves the module of the server into files of a folder, which is to
// be test/ory/modules.
func PinModule(ctx context.Context, dir string) error { return source.Pin(ctx, dir) }

// Client is a client of the server.
type Client struct {
	ID, Secret string
	// Method is how it authenticates itself: client_secret_basic, client_secret_post
	// or private_key_jwt.
	Method string
}

// Options say whom the server trusts.
type Options struct {
	// Issuer is the issuer of the JWTs, whatever their subject, and Keys are its
	// keys, a JWK Set.
	Issuer string
	Keys   []byte
	// Scopes are all that can be asked for.
	Scopes  []string
	Clients []Client
}

// Server is a running server.
type Server struct {
	// TokenURL is its token endpoint, which is also the audience that it wants.
	TokenURL string
	// CA is the certificate, in PEM, by which it is to be verified.
	CA []byte
}

// StartForTest starts a server for a single test, at whose end it is gone.
func StartForTest(t testing.TB, options Options) *Server {
	t.Helper()
	program, err := source.Build(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		t.Cleanup(port.Release)
	} else {
		port.Release() // elsewhere the reservation keeps the server from the port, too
	}
	s := &Server{TokenURL: fmt.Sprintf("https://127.0.0.1:%d/oauth2/token", port.Number)}
	if err := s.start(t, program, fmt.Sprintf("127.0.0.1:%d", port.Number), options); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) start(t testing.TB, program, address string, options Options) error {
	t.Helper()
	dir := t.TempDir()
	if err := s.writeFiles(dir, address, options); err != nil {
		return err
	}
	log := filepath.Join(dir, "server.log")
	p, err := process.Host{}.Start(process.Command{
		Name: source.Name, Path: program, Args: []string{filepath.Join(dir, "config.json")},
		Log: log,
	})
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := p.Stop(0); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(log); t.Failed() {
			t.Logf("the log of the authorization server, error %v:\n%s", err, text)
		}
	})
	return process.WaitUntil(t.Context(), "the authorization server listens", func(ctx context.Context) (bool, error) {
		if err := p.Failure(); err != nil {
			return false, err
		}
		connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err != nil {
			return false, nil //nolint:nilerr // it is tried again
		}
		return true, connection.Close()
	})
}

func (s *Server) writeFiles(dir, address string, options Options) error {
	ca, err := pki.NewAuthority()
	if err != nil {
		return err
	}
	pair, err := ca.Issue(pki.Identity{User: source.Name, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		return err
	}
	s.CA = ca.PEM
	config, err := json.Marshal(map[string]any{
		"Listen": address, "Certificate": filepath.Join(dir, "tls.crt"), "Key": filepath.Join(dir, "tls.key"), "TokenURL": s.TokenURL,
		"Issuer": options.Issuer, "Keys": json.RawMessage(options.Keys), "Scopes": options.Scopes, "Clients": options.Clients,
	})
	if err != nil {
		return fmt.Errorf("could not encode the server's configuration: %w", err)
	}
	return buildcache.WriteFiles(dir, map[string][]byte{"config.json": config, "tls.crt": pair.Certificate, "tls.key": pair.Key})
}
