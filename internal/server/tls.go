package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"

	"github.com/oidc-injector/oidc-injector/internal/filewatch"
)

// certificateSource supplies the serving certificate.
type certificateSource interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// tlsConfig returns what makes a tls.Config that of the flags.
func (o *Options) tlsConfig(source certificateSource, clients *clientCA) func(*tls.Config) {
	return func(c *tls.Config) {
		c.GetCertificate = source.GetCertificate
		c.MinVersion = tlsVersions[o.TLSMinVersion]
		c.NextProtos = []string{"http/1.1"}
		if o.EnableHTTP2 {
			c.NextProtos = []string{"h2", "http/1.1"}
		}
		if clients != nil {
			base := c.Clone()
			base.ClientAuth = tls.RequireAndVerifyClientCert
			if len(o.ClientAllowedNames) > 0 {
				base.VerifyConnection = o.verifyClient
			}
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				current := base.Clone()
				current.ClientCAs = clients.pool.Load()
				return current, nil
			}
		}
	}
}

// verifyClient refuses a client whose name is not an allowed one. It is called on
// resumed connections, too.
func (o *Options) verifyClient(state tls.ConnectionState) error {
	name := state.PeerCertificates[0].Subject.CommonName
	if !slices.Contains(o.ClientAllowedNames, name) {
		return fmt.Errorf("client %q is not among the names of --client-allowed-names", name)
	}
	return nil
}

// clientCA is the set of CA certificates that clients must be signed by.
type clientCA struct {
	path    string
	initial []byte
	pool    atomic.Pointer[x509.CertPool]
	log     *slog.Logger
}

// newClientCA loads the file; nil where there is none.
func newClientCA(path string, log *slog.Logger) (*clientCA, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no file means no client certificates, which is no error
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("could not read --client-ca-file: %w", err)
	}
	ca := &clientCA{path: path, initial: data, log: log}
	if err := ca.accept(data); err != nil {
		return nil, fmt.Errorf("could not use --client-ca-file %s: %w", path, err)
	}
	return ca, nil
}

func (ca *clientCA) accept(pem []byte) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return errors.New("contains no PEM certificates")
	}
	ca.pool.Store(pool)
	return nil
}

// Run follows the file. What cannot be used leaves the previous set in force.
func (ca *clientCA) Run(ctx context.Context) error {
	filewatch.Follow(ctx, ca.path, filewatch.Interval, ca.initial, func(data []byte, err error) {
		if err == nil {
			err = ca.accept(data)
		}
		if err != nil {
			ca.log.Error("client CA not reloaded, the previous one stays in force", "path", ca.path, "error", err)
			return
		}
		ca.log.Info("client CA reloaded", "path", ca.path)
	})
	return nil
}
