package cluster

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/oidc-injector/oidc-injector/test/internal/pki"
)

// certificates is the folder of keys and certificates of one cluster, and those of them
// that end up in a kubeconfig as well.
type certificates struct {
	dir                      string
	ca                       *pki.Authority
	admin, controllerManager pki.KeyPair
	scheduler, node          pki.KeyPair
}

// file is the path of a key or certificate, such as apiserver.crt.
func (p *certificates) file(name string) string {
	return filepath.Join(p.dir, name)
}

// newPKI writes a fresh set of certificates for the given addresses.
func newPKI(dir string, serverIPs []net.IP, nodeName string, nodeIP net.IP) (*certificates, error) {
	ca, err := pki.NewAuthority()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("could not create a folder: %w", err)
	}
	p := &certificates{dir: dir, ca: ca}
	files := map[string][]byte{"ca.crt": ca.PEM}
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
func (p *certificates) issueServers(files map[string][]byte, serverIPs []net.IP, nodeName string, nodeIP net.IP) error {
	for name, id := range map[string]pki.Identity{
		"apiserver": {
			User: "kube-apiserver",
			Names: []string{
				"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local",
			},
			IPs: serverIPs,
		},
		"kubelet":        {User: "kubelet", Names: []string{nodeName}, IPs: []net.IP{nodeIP}},
		"kubelet-client": {User: ClientName, Groups: []string{"system:masters"}},
	} {
		pair, err := p.ca.Issue(id)
		if err != nil {
			return err
		}
		files[name+".crt"], files[name+".key"] = pair.Certificate, pair.Key
	}
	return nil
}

func (p *certificates) issueClients(nodeName string) (err error) {
	for pair, id := range map[*pki.KeyPair]pki.Identity{
		&p.admin:             {User: "admin", Groups: []string{"system:masters"}},
		&p.controllerManager: {User: "system:kube-controller-manager"},
		&p.scheduler:         {User: "system:kube-scheduler"},
		&p.node:              {User: "system:node:" + nodeName, Groups: []string{"system:nodes"}},
	} {
		if *pair, err = p.ca.Issue(id); err != nil {
			return err
		}
	}
	return nil
}

// newTokenKey generates what signs ServiceAccount tokens, and its public half.
// RSA makes the tokens RS256, as on most clusters.
func newTokenKey() (private, public []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, fmt.Errorf("could not generate the key for tokens: %w", err)
	}
	private, err = pki.EncodePrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("could not encode a public key: %w", err)
	}
	return private, pki.EncodePEM("PUBLIC KEY", der), nil
}
