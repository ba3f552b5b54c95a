package rotation

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The keys of the Secret.
const (
	CertKey     = "tls.crt" // of the CA that signs
	KeyKey      = "tls.key"
	NextCertKey = "next.crt" // of the CA that will sign next, while there is one
	NextKeyKey  = "next.key"
	BundleKey   = "ca.crt" // every certificate that is trusted

	retiredPrefix = "retired-until-"   // and the time, and
	retiredSuffix = ".crt"             // this; a CA that is still trusted, but signs no more
	retiredLayout = "20060102T150405Z" // always UTC
)

// The types of PEM blocks.
const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

// Retired is a CA's certificate that is trusted until the certificates it signed
// have expired. Its key is gone.
type Retired struct {
	Certificate *x509.Certificate
	Until       time.Time // whole seconds, UTC
}

// State is what the replicas share in the Secret.
type State struct {
	Current *CA // signs; nil where there is none yet
	Next    *CA // will sign, once every API server trusts it; mostly nil
	Retired []Retired
}

// Certificates are those that are trusted, in an order that is always the same.
func (s State) Certificates() []*x509.Certificate {
	var all []*x509.Certificate
	for _, ca := range []*CA{s.Current, s.Next} {
		if ca != nil {
			all = append(all, ca.Certificate)
		}
	}
	for _, r := range s.sortedRetired() {
		all = append(all, r.Certificate)
	}
	return all
}

func (s State) sortedRetired() []Retired {
	return slices.SortedFunc(slices.Values(s.Retired), func(a, b Retired) int {
		return cmp.Or(b.Until.Compare(a.Until), bytes.Compare(a.Certificate.Raw, b.Certificate.Raw))
	})
}

// Bundle is the caBundle that trusts the state, in PEM.
func (s State) Bundle() []byte {
	var bundle bytes.Buffer
	for _, c := range s.Certificates() {
		bundle.Write(encodeCertificate(c))
	}
	return bundle.Bytes()
}

func encodeCertificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: c.Raw})
}

// Data is the content of the Secret: what others keep there stays, ours is
// replaced. A nil map is fine.
func (s State) Data(others map[string][]byte) (map[string][]byte, error) {
	data := maps.Clone(others)
	if data == nil {
		data = map[string][]byte{}
	}
	maps.DeleteFunc(data, func(key string, _ []byte) bool { return isOurs(key) })
	for _, pair := range []struct {
		ca        *CA
		cert, key string
	}{{s.Current, CertKey, KeyKey}, {s.Next, NextCertKey, NextKeyKey}} {
		if pair.ca == nil {
			continue
		}
		key, err := x509.MarshalPKCS8PrivateKey(pair.ca.Key)
		if err != nil {
			return nil, fmt.Errorf("could not encode a key: %w", err)
		}
		data[pair.cert] = encodeCertificate(pair.ca.Certificate)
		data[pair.key] = pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: key})
	}
	for _, r := range s.sortedRetired() {
		name := retiredPrefix + r.Until.UTC().Format(retiredLayout) + retiredSuffix
		data[name] = append(data[name], encodeCertificate(r.Certificate)...)
	}
	data[BundleKey] = s.Bundle()
	return data, nil
}

func isOurs(key string) bool {
	return slices.Contains([]string{CertKey, KeyKey, NextCertKey, NextKeyKey, BundleKey}, key) || strings.HasPrefix(key, retiredPrefix)
}

// Content is what a Secret was found to hold.
type Content struct {
	State
	// Strays are certificates of CAs that are in the Secret, but not in the
	// state, because something about them is broken.
	Strays []*x509.Certificate
	// Problems say what is broken. None of them holds a key.
	Problems []error
}

// Parse reads the content of the Secret. An empty one is not broken.
func Parse(data map[string][]byte) Content {
	var c Content
	if !slices.ContainsFunc(slices.Collect(maps.Keys(data)), func(key string) bool { return isOurs(key) && len(data[key]) > 0 }) {
		return c
	}
	c.Current = c.parsePair(data, CertKey, KeyKey, true)
	c.Next = c.parsePair(data, NextCertKey, NextKeyKey, false)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if strings.HasPrefix(key, retiredPrefix) {
			c.parseRetired(key, data[key])
		}
	}
	c.dropRepeated()
	// Last, because it tells what else was there when something else is broken.
	if !bytes.Equal(data[BundleKey], c.Bundle()) {
		certificates, err := parseCertificates(data[BundleKey])
		if err == nil {
			err = errors.New("not a list of certificates")
		}
		c.report(BundleKey, err, certificates...)
	}
	return c
}

// report notes what is broken, and what of it can still be trusted.
func (c *Content) report(key string, err error, certificates ...*x509.Certificate) {
	c.Problems = append(c.Problems, fmt.Errorf("%s: %w", key, err))
	for _, certificate := range certificates {
		if certificate.IsCA && !contains(c.Certificates(), certificate) && !contains(c.Strays, certificate) {
			c.Strays = append(c.Strays, certificate)
		}
	}
}

func (c *Content) parsePair(data map[string][]byte, certName, keyName string, required bool) *CA {
	if !required && len(data[certName]) == 0 && len(data[keyName]) == 0 {
		return nil
	}
	certificates, err := parseCertificates(data[certName])
	if err == nil && len(certificates) != 1 {
		err = fmt.Errorf("%d certificates, not one", len(certificates))
	}
	if err != nil {
		c.report(certName, err, certificates...)
		return nil
	}
	key, err := parseKey(data[keyName])
	if err != nil {
		c.report(keyName, err, certificates...)
		return nil
	}
	ca, err := newCA(certificates[0], key)
	if err != nil {
		c.report(certName, err, certificates...)
		return nil
	}
	return ca
}

func (c *Content) parseRetired(key string, text []byte) {
	certificates, err := parseCertificates(text)
	until, timeErr := time.Parse(retiredPrefix+retiredLayout+retiredSuffix, key)
	if err = errors.Join(err, timeErr); err != nil {
		c.report(key, err, certificates...)
		return
	}
	for _, certificate := range certificates {
		c.Retired = append(c.Retired, Retired{Certificate: certificate, Until: until})
	}
}

// dropRepeated leaves each certificate once, as what it does most as.
func (c *Content) dropRepeated() {
	if c.Current != nil && c.Next != nil && c.Current.Certificate.Equal(c.Next.Certificate) {
		c.Next = nil
		c.report(NextCertKey, errors.New("it is the signing certificate already"))
	}
	retired := c.Retired
	c.Retired = nil
	for _, r := range retired {
		if contains(c.Certificates(), r.Certificate) {
			c.report(retiredPrefix, errors.New("contains a certificate twice"))
			continue
		}
		c.Retired = append(c.Retired, r)
	}
}

// parseCertificates reads all certificates of a PEM text. What can be read of a
// broken text comes with the error.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	var errs []error
	for len(bytes.TrimSpace(text)) > 0 {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			errs = append(errs, errors.New("contains non-PEM data"))
			break
		}
		if block.Type != certificateBlock || len(block.Headers) > 0 {
			errs = append(errs, errors.New("contains PEM data that is no certificate"))
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			errs = append(errs, fmt.Errorf("could not read a certificate: %w", err))
			continue
		}
		certificates = append(certificates, certificate)
	}
	return certificates, errors.Join(errs...)
}

// parseKey reads a private key. Its errors hold nothing of it.
func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("contains no PEM key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("could not read the private key")
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is not an ECDSA one")
	}
	return private, nil
}
