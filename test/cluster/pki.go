package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity of all certificates; a cluster for tests or a demo does not live longer.
const validity = 30 * 24 * time.Hour

// authority signs the certificates of one cluster.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte // the certificate
}

// keyPair is a certificate with its private key, both in PEM.
type keyPair struct {
	certificate, key []byte
}

// identity is what a certificate says about its holder. A subject with SANs is
// a server, every subject is a client.
type identity struct {
	user   string // the common name
	groups []string
	names  []string
	ips    []net.IP
}

func newAuthority() (*authority, error) {
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
	return &authority{certificate: certificate, key: key, pem: encodePEM("CERTIFICATE", der)}, nil
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

func (a *authority) issue(id identity) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("could not generate a key for %s: %w", id.user, err)
	}
	template, err := newTemplate(id.user)
	if err != nil {
		return keyPair{}, err
	}
	template.Subject.Organization = id.groups
	template.DNSNames = id.names
	template.IPAddresses = id.ips
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(id.names)+len(id.ips) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("could not create a certificate for %s: %w", id.user, err)
	}
	keyPEM, err := encodePrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{certificate: encodePEM("CERTIFICATE", der), key: keyPEM}, nil
}

// newTokenKey generates what signs ServiceAccount tokens, and its public half.
// RSA makes the tokens RS256, as on most clusters.
func newTokenKey() (private, public []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, fmt.Errorf("could not generate the key for tokens: %w", err)
	}
	private, err = encodePrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("could not encode a public key: %w", err)
	}
	return private, encodePEM("PUBLIC KEY", der), nil
}

func encodePrivateKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("could not encode a private key: %w", err)
	}
	return encodePEM("PRIVATE KEY", der), nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// pki is the folder of keys and certificates of one cluster, and those of them
// that end up in a kubeconfig as well.
type pki struct {
	dir                      string
	ca                       *authority
	admin, controllerManager keyPair
	scheduler, node          keyPair
}

// file is the path of a key or certificate, such as apiserver.crt.
func (p *pki) file(name string) string {
	return filepath.Join(p.dir, name)
}

// newPKI writes a fresh set of certificates for the given addresses.
func newPKI(dir string, serverIPs []net.IP, nodeName string, nodeIP net.IP) (*pki, error) {
	ca, err := newAuthority()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("could not create a folder: %w", err)
	}
	p := &pki{dir: dir, ca: ca}
	files := map[string][]byte{"ca.crt": ca.pem}
	if files["sa.key"], files["sa.pub"], err = newTokenKey(); err != nil {
		return nil, err
	}
	if err := p.issueServers(files, serverIPs, nodeName, nodeIP); err != nil {
		return nil, err
	}
	if err := p.issueClients(nodeName); err != nil {
		return nil, err
	}
	for name, content := range files {
		if err := os.WriteFile(p.file(name), content, 0o600); err != nil {
			return nil, fmt.Errorf("could not write a certificate: %w", err)
		}
	}
	return p, nil
}

// issueServers adds what servers read from files: their own certificates, and
// the one by which the API server is a client of the kubelet.
func (p *pki) issueServers(files map[string][]byte, serverIPs []net.IP, nodeName string, nodeIP net.IP) error {
	for name, id := range map[string]identity{
		"apiserver": {
			user:  "kube-apiserver",
			names: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			ips:   serverIPs,
		},
		"kubelet":        {user: "kubelet", names: []string{nodeName}, ips: []net.IP{nodeIP}},
		"kubelet-client": {user: ClientName, groups: []string{"system:masters"}},
	} {
		pair, err := p.ca.issue(id)
		if err != nil {
			return err
		}
		files[name+".crt"], files[name+".key"] = pair.certificate, pair.key
	}
	return nil
}

func (p *pki) issueClients(nodeName string) (err error) {
	for pair, id := range map[*keyPair]identity{
		&p.admin:             {user: "admin", groups: []string{"system:masters"}},
		&p.controllerManager: {user: "system:kube-controller-manager"},
		&p.scheduler:         {user: "system:kube-scheduler"},
		&p.node:              {user: "system:node:" + nodeName, groups: []string{"system:nodes"}},
	} {
		if *pair, err = p.ca.issue(id); err != nil {
			return err
		}
	}
	return nil
}
