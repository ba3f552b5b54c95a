package minio

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	miniogo "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
	"github.com/oidc-injector/oidc-injector/test/internal/pki"
	"github.com/oidc-injector/oidc-injector/test/internal/ports"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

// Options say whose tokens the server takes, and what they are good for.
type Options struct {
	// IssuerURL is the issuer of the tokens, which must let the server read its
	// keys.
	IssuerURL string
	// IssuerCA is the certificate authority of the issuer, in PEM.
	IssuerCA []byte
	// Audience is what a token must have among its audiences.
	Audience string
	// Policy is what all that have such a token may do, an IAM policy in JSON.
	Policy string
	// ExtraIPs are addresses, beside that of the loopback, by which clients reach the server.
	ExtraIPs []net.IP
}

// Server is a running MinIO.
type Server struct {
	// Host is its address, such as 127.0.0.1:40123.
	Host string
	// RoleARN is that of the role that the holders of tokens assume.
	RoleARN string

	user, secret string // of the administrator
	port         int
	ca           []byte
	transport    *http.Transport
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
		port.Release() // elsewhere the reservation keeps MinIO from the port, too
	}
	s := &Server{Host: fmt.Sprintf("127.0.0.1:%d", port.Number), user: rand.Text(), secret: rand.Text(), port: port.Number}
	if err := s.start(t, program, options); err != nil {
		t.Fatal(err)
	}
	if err := s.writePolicy(t.Context(), options.Policy); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) start(t testing.TB, program string, options Options) error {
	t.Helper()
	dir := t.TempDir()
	certificates := filepath.Join(dir, "certs")
	if err := s.writeCertificates(certificates, options); err != nil {
		return err
	}
	log := filepath.Join(dir, "minio.log")
	p, err := process.Host{}.Start(process.Command{
		Name: source.Name,
		Path: program,
		Args: []string{"server", "--address=" + s.Host, "--certs-dir=" + certificates, filepath.Join(dir, "data")},
		Env:  append(s.environment(options), "HOME="+dir),
		Log:  log,
	})
	if err != nil {
		return err
	}
	t.Cleanup(func() {
		s.transport.CloseIdleConnections()
		if err := p.Stop(0); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(log); t.Failed() {
			t.Logf("the log of MinIO, error %v:\n%s", err, text)
		}
	})
	return process.WaitUntil(t.Context(), "MinIO is ready", func(ctx context.Context) (bool, error) {
		if err := p.Failure(); err != nil {
			return false, err
		}
		unhealthy := s.do(ctx, http.MethodGet, "/minio/health/cluster", "")
		text, err := os.ReadFile(log)
		s.RoleARN = string(roleARN.Find(text))
		return unhealthy == nil && s.RoleARN != "", err
	})
}

// roleARN is what the server prints once it has read the keys of the issuer.
var roleARN = regexp.MustCompile(`arn:minio:iam:[\w:/-]+`)

// rolePolicy is the name of Options.Policy.
const rolePolicy = "pods"

// environment has nothing of this process, such as another MinIO's options.
func (s *Server) environment(options Options) []string {
	return []string{
		"MINIO_ROOT_USER=" + s.user,
		"MINIO_ROOT_PASSWORD=" + s.secret,
		"MINIO_BROWSER=off",
		"MINIO_UPDATE=off",
		"MINIO_IDENTITY_OPENID_CONFIG_URL=" + options.IssuerURL + "/.well-known/openid-configuration",
		"MINIO_IDENTITY_OPENID_CLIENT_ID=" + options.Audience,
		"MINIO_IDENTITY_OPENID_ROLE_POLICY=" + rolePolicy,
	}
}

// writePolicy does what `mc admin policy create` does.
func (s *Server) writePolicy(ctx context.Context, document string) error {
	return s.do(ctx, http.MethodPut, "/minio/admin/v3/add-canned-policy?name="+rolePolicy, document)
}

// do sends a request of the administrator.
func (s *Server) do(ctx context.Context, method, path, body string) error {
	request, err := http.NewRequestWithContext(ctx, method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("could not make a request for MinIO: %w", err)
	}
	request.Header.Set("X-Amz-Content-Sha256", fmt.Sprintf("%x", sha256.Sum256([]byte(body))))
	response, err := s.transport.RoundTrip(signer.SignV4(*request, s.user, s.secret, "", "us-east-1"))
	if err != nil {
		return fmt.Errorf("could not ask MinIO: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("could not read MinIO's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("could not %s %s: MinIO answers %s: %s", method, path, response.Status, answer)
	}
	return nil
}

// writeCertificates writes the server's own, which is all that the transport
// trusts, and those that the server trusts.
func (s *Server) writeCertificates(dir string, options Options) error {
	ca, err := pki.NewAuthority()
	if err != nil {
		return err
	}
	pair, err := ca.Issue(pki.Identity{User: source.Name, IPs: append([]net.IP{net.IPv4(127, 0, 0, 1)}, options.ExtraIPs...)})
	if err != nil {
		return err
	}
	s.ca = ca.PEM
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	s.transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return buildcache.WriteFiles(dir, map[string][]byte{
		"public.crt":     pair.Certificate,
		"private.key":    pair.Key,
		"CAs/issuer.crt": options.IssuerCA,
	})
}

// URL is that of the server, and of its STS endpoint.
func (s *Server) URL() string { return "https://" + s.Host }

// Port is where the server listens, on the loopback.
func (s *Server) Port() int { return s.port }

// CA is the certificate authority of the server, in PEM.
func (s *Server) CA() []byte { return s.ca }

// MakeBucket makes a bucket as the administrator.
func (s *Server) MakeBucket(ctx context.Context, name string) error {
	return s.do(ctx, http.MethodPut, "/"+name, "")
}

// Client is a client of the server. Its credentials can ask the server for
// themselves, too: at URL, by the client's own connections.
func (s *Server) Client(c *credentials.Credentials) (*miniogo.Client, error) {
	made, err := miniogo.New(s.Host, &miniogo.Options{Creds: c, Secure: true, Transport: s.transport})
	if err != nil {
		return nil, fmt.Errorf("could not make a client of MinIO: %w", err)
	}
	return made, nil
}
