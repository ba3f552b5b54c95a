// Package pki issues certificates to the servers and clients of tests.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// validity of all certificates; what runs for tests or a demo does not live longer.
const validity = 30 * 24 * time.Hour

// Authority signs the certificates of one cluster or server.
type Authority struct {
	// PEM is its certificate.
	PEM []byte

	certificate *x509.Certificate
	key         crypto.Signer
}

// KeyPair is a certificate with its private key, both in PEM.
type KeyPair struct {
	Certificate, Key []byte
}

// Identity is what a certificate says about its holder. A subject with SANs is
// a server, every subject is a client.
type Identity struct {
	User   string // the common name
	Groups []string
	Names  []string
	IPs    []net.IP
}

// NewAuthority makes a CA.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("could not generate the key of the CA: %w", err)
	}
	template, err := newTemplate("oidc-injector-test-ca")
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("could not create the certificate of the CA: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("could not parse the certificate of the CA: %w", err)
	}
	return &Authority{PEM: EncodePEM("CERTIFICATE", der), certificate: certificate, key: key}, nil
}

func newTemplate(commonName string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("could not draw a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(validity),
	}, nil
}

// Issue makes a key pair for somebody.
func (a *Authority) Issue(id Identity) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("could not generate a key for %s: %w", id.User, err)
	}
	template, err := newTemplate(id.User)
	if err != nil {
		return KeyPair{}, err
	}
	template.Subject.Organization = id.Groups
	template.DNSNames = id.Names
	template.IPAddresses = id.IPs
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(id.Names)+len(id.IPs) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("could not create a certificate for %s: %w", id.User, err)
	}
	keyPEM, err := EncodePrivateKey(key)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{Certificate: EncodePEM("CERTIFICATE", der), Key: keyPEM}, nil
}

// EncodePrivateKey encodes a key in PEM.
func EncodePrivateKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("could not encode a private key: %w", err)
	}
	return EncodePEM("PRIVATE KEY", der), nil
}

// EncodePEM encodes DER in PEM.
func EncodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
