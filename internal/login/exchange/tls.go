package exchange

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
)

// TLS says whom to trust, and who we are.
type TLS struct {
	// CA are the certificate authorities; nil means those of the system.
	CA *CA
	// CertFile and KeyFile are a client certificate, optional. They are read
	// anew for each connection.
	CertFile, KeyFile string
	// ServerName is the name that the server's certificate has to have, where
	// that is not the host of the URL.
	ServerName string
}

// CA are certificate authorities in PEM, from a file that may change or given
// once.
type CA struct {
	file string

	mu   sync.Mutex
	good []byte
}

// NewCA makes a CA of a file, or else of a bundle.
func NewCA(file, bundle string) *CA {
	return &CA{file: file, good: []byte(bundle)}
}

// PEM reads the certificate authorities. Once there were good ones they stay in
// force where they cannot be read any more, or are broken: a volume that is
// just being edited must not end a working login. The error says so.
func (c *CA) PEM() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == "" {
		return c.good, nil
	}
	data, err := os.ReadFile(c.file)
	switch {
	case err != nil:
		return c.good, fmt.Errorf("could not read the certificate authorities: %w", err)
	case !HasCertificate(data):
		return c.good, fmt.Errorf("could not read the certificate authorities: %s has no certificate in PEM", c.file)
	}
	c.good = data
	return data, nil
}

// HasCertificate tells whether there is a certificate in PEM.
func HasCertificate(data []byte) bool {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return false
		}
		if block.Type == "CERTIFICATE" {
			if _, err := x509.ParseCertificate(block.Bytes); err == nil {
				return true
			}
		}
		data = rest
	}
}

// config makes the configuration for one connection.
func (t TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != nil {
		authorities, err := t.CA.PEM()
		if len(authorities) == 0 {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(authorities)
	}
	if t.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("could not read the client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

// hint adds to an error of TLS what to look at.
func hint(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w: is its CA given by ca-file or ca-bundle?", err)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Errorf("%w: is it https at this port?", err)
	}
	return err
}
