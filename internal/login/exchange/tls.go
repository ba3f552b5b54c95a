package exchange

import (
	"bytes"
	"crypto/sha256"
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

	mu sync.Mutex
	// good are the certificates that were read last, and read is the hash of all that
	// was there: it is read often and changes rarely.
	good []byte
	read [sha256.Size]byte
}

// NewCA makes a CA of a file, or else of a bundle.
func NewCA(file, bundle string) *CA {
	return &CA{file: file, good: certificates([]byte(bundle))}
}

// PEM reads the certificate authorities: certificates and nothing else, whatever is
// beside them. Once there were good ones they stay in force where they cannot be
// read any more, or are broken: a volume that is just being edited must not end a
// working login. The error says so.
func (c *CA) PEM() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == "" && len(c.good) == 0 {
		return nil, errors.New("could not read the certificate authorities: the bundle has no certificate in PEM")
	}
	if c.file == "" {
		return c.good, nil
	}
	data, err := os.ReadFile(c.file)
	if err != nil {
		return c.good, fmt.Errorf("could not read the certificate authorities: %w", err)
	}
	sum := sha256.Sum256(data)
	if sum == c.read {
		return c.good, nil
	}
	good := certificates(data)
	if len(good) == 0 {
		return c.good, fmt.Errorf("could not read the certificate authorities: %s has no certificate in PEM", c.file)
	}
	c.good, c.read = good, sum
	return good, nil
}

// certificates are those in PEM, each once, without what may be between or in front
// of them: what is copied for the workload must not hold a private key that somebody
// has put into the same file.
func certificates(data []byte) []byte {
	var out []byte
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			return out
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			continue
		}
		one := pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})
		if !bytes.Contains(out, one) {
			out = append(out, one...)
		}
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
