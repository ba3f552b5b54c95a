// Package rotation decides how the webhook's certificates are made and renewed.
// Values come in: what the replicas share, what the webhook configuration holds,
// the time. Values go out: what to write, what to sign. It does no I/O, so every
// order of events can be tried.
package rotation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// Backdate is how long before its making a certificate becomes valid, for API
// servers whose clocks are behind.
const Backdate = time.Hour

// maxSerial bounds serial numbers to 128 random bits (RFC 5280 section 4.1.2.2
// allows 20 octets).
var maxSerial = new(big.Int).Lsh(big.NewInt(1), 128)

// ID tells certificates apart: the SHA-256 of all of one.
type ID [sha256.Size]byte

// IDOf returns a certificate's ID.
func IDOf(c *x509.Certificate) ID { return sha256.Sum256(c.Raw) }

// CA is a certificate authority that can sign.
type CA struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
}

// NewCA makes one that is valid for a time from now on.
func NewCA(now time.Time, duration time.Duration) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("could not make a key: %w", err)
	}
	template, err := newTemplate(now, now.Add(duration))
	if err != nil {
		return nil, err
	}
	// The date makes them distinguishable for people; programs go by the key.
	template.Subject = pkix.Name{CommonName: "oidc-injector CA " + now.UTC().Format(time.RFC3339)}
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	template.IsCA, template.MaxPathLenZero = true, true // it signs no other CA
	certificate, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &CA{Certificate: certificate, Key: key}, nil
}

// validAt reports whether certificates that it signs now are worth something.
func (ca *CA) validAt(now time.Time) bool {
	return ca != nil && isValidAt(ca.Certificate, now)
}

func isValidAt(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && now.Before(c.NotAfter)
}

// Issue signs a serving certificate for DNS names and IP addresses. It ends with
// the CA at the latest.
func (ca *CA) Issue(names []string, now time.Time, duration time.Duration) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("could not make a key: %w", err)
	}
	end := now.Add(duration)
	if end.After(ca.Certificate.NotAfter) {
		end = ca.Certificate.NotAfter
	}
	template, err := newTemplate(now, end)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	template.Subject = pkix.Name{CommonName: "oidc-injector webhook"} // names are looked up among the others
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf, err := sign(template, ca.Certificate, key, ca.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func newTemplate(now, end time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, maxSerial)
	if err != nil {
		return nil, fmt.Errorf("could not make a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), // never 0
		NotBefore:    now.Add(-Backdate), NotAfter: end, BasicConstraintsValid: true,
	}, nil
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("could not sign a certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("could not read the certificate just signed: %w", err)
	}
	return certificate, nil
}

var (
	errNoCA       = errors.New("not an ECDSA CA certificate")
	errForeignKey = errors.New("the key belongs to another certificate")
)

// newCA puts a pair together that was read from somewhere.
func newCA(certificate *x509.Certificate, key *ecdsa.PrivateKey) (*CA, error) {
	public, ok := certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok || !certificate.IsCA {
		return nil, errNoCA
	}
	if !public.Equal(key.Public()) {
		return nil, errForeignKey
	}
	return &CA{Certificate: certificate, Key: key}, nil
}

// contains reports whether a certificate is among others.
func contains(certificates []*x509.Certificate, c *x509.Certificate) bool {
	return slices.ContainsFunc(certificates, c.Equal)
}
