package authserver

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/oidc-injector/oidc-injector/test/internal/pki"
)

// Paths of the server.
const (
	// TokenPath is that of the token endpoint.
	TokenPath = "/oauth/token"
	// RevocationPath is where tokens are revoked (RFC 7009).
	RevocationPath = "/revoke"
	// OpenIDMetadataPath is where OpenID Connect Discovery looks for metadata.
	OpenIDMetadataPath = oidc.DiscoveryEndpoint
	// OAuthMetadataPath is where RFC 8414 looks for metadata.
	OAuthMetadataPath = "/.well-known/oauth-authorization-server"

	introspectionPath = "/oauth/introspect"
	keysPath          = "/keys"
)

const (
	// DefaultLifetime is that of access tokens.
	DefaultLifetime = 5 * time.Minute

	stopTimeout    = 5 * time.Second
	requestTimeout = 10 * time.Second
)

// Options say whom to trust and what to grant. Only the first two are required.
type Options struct {
	// IssuerURL is the issuer of ServiceAccount tokens. It is not asked before
	// there is a token to verify.
	IssuerURL string
	// IssuerCA is the certificate authority of the issuer, in PEM.
	IssuerCA []byte
	// Audience is what a ServiceAccount token must have among its audiences. By
	// default it is Server.Issuer.
	Audience string
	// Clients are client_ids, each with the subjects that act for it, such as
	// system:serviceaccount:NAMESPACE:NAME. See Server.Allow, too.
	Clients map[string][]string
	// Scopes are those that are granted; any other is an invalid_scope. By
	// default every scope is granted.
	Scopes []string
	// Targets are the audiences and resources that a token exchange can ask for;
	// any other is an invalid_target. By default all of them can be asked for.
	Targets []string
	// AccessTokenLifetime is DefaultLifetime by default. See Server.SetLifetime.
	AccessTokenLifetime time.Duration
	// NoExpiresIn keeps the lifetime out of answers, which RFC 6749 allows.
	NoExpiresIn bool
	// SingleUse accepts a ServiceAccount token once, known by its jti, as
	// RFC 7523 allows servers to do.
	SingleUse bool
	// MetadataPaths are the well-known paths that there are. By default it is
	// both, OpenIDMetadataPath and OAuthMetadataPath.
	MetadataPaths []string
	// ExtraIPs are further addresses by which clients reach the server.
	ExtraIPs []net.IP
}

func (o Options) withDefaults(issuer string) Options {
	if o.Audience == "" {
		o.Audience = issuer
	}
	if o.AccessTokenLifetime == 0 {
		o.AccessTokenLifetime = DefaultLifetime
	}
	if o.MetadataPaths == nil {
		o.MetadataPaths = []string{OpenIDMetadataPath, OAuthMetadataPath}
	}
	return o
}

// Server is a running authorization server. Its methods can be called
// concurrently.
type Server struct {
	options   Options
	authority *pki.Authority
	listener  net.Listener
	storage   *storage
	log       recorder
	http      *http.Server
	client    *http.Client // of Verify

	ended   chan struct{} // closed once serving has ended, with endErr
	endErr  error
	stop    sync.Once
	stopErr error
}

// Start starts a server. The context is for starting only; the server runs until
// Stop is called.
func Start(ctx context.Context, options Options) (*Server, error) {
	if options.IssuerURL == "" {
		return nil, errors.New("could not start the authorization server: no IssuerURL")
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("could not listen: %w", err)
	}
	s := &Server{listener: listener, ended: make(chan struct{})}
	s.options = options.withDefaults(s.Issuer())
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("could not start the authorization server: %w", err), listener.Close())
	}
	return s, nil
}

func (s *Server) start() error {
	trust, err := newTrust(s.options.IssuerURL, s.options.IssuerCA)
	if err != nil {
		return err
	}
	if s.storage, err = newStorage(s.options, trust); err != nil {
		return err
	}
	handler, err := newHandler(s.options, s.storage)
	if err != nil {
		return err
	}
	certificate, err := s.makeCertificate()
	if err != nil {
		return err
	}
	if s.client, err = newClient(s.authority.PEM); err != nil {
		return err
	}
	s.dialSelf(s.client)
	s.http = &http.Server{
		Handler:           s.log.record(handler),
		ReadHeaderTimeout: requestTimeout,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() {
		s.endErr = s.http.ServeTLS(s.listener, "", "")
		close(s.ended)
	}()
	return nil
}

func (s *Server) makeCertificate() (tls.Certificate, error) {
	var err error
	if s.authority, err = pki.NewAuthority(); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := s.authority.Issue(pki.Identity{
		User:  "authserver",
		Names: []string{"localhost"},
		IPs:   append([]net.IP{net.IPv4(127, 0, 0, 1)}, s.options.ExtraIPs...),
	})
	if err != nil {
		return tls.Certificate{}, err
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("could not use the server's certificate: %w", err)
	}
	return certificate, nil
}

// Stop ends the server. Further calls return what the first one did.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		s.client.CloseIdleConnections()
		s.storage.trust.client.CloseIdleConnections()
		if err := s.http.Shutdown(ctx); err != nil {
			// Somebody keeps a connection busy, and is not waited for.
			s.stopErr = s.http.Close()
		}
		<-s.ended
		if !errors.Is(s.endErr, http.ErrServerClosed) {
			s.stopErr = errors.Join(s.stopErr, s.endErr)
		}
	})
	return s.stopErr
}

// URL is where the server listens, such as https://127.0.0.1:40123.
func (s *Server) URL() string { return "https://" + s.listener.Addr().String() }

// Issuer is the server's issuer identifier for clients on this host. It is URL.
func (s *Server) Issuer() string { return s.URL() }

// IssuerAt is the server's issuer identifier for clients that reach it by
// another address, one of Options.ExtraIPs.
func (s *Server) IssuerAt(host string) string {
	return "https://" + net.JoinHostPort(host, strconv.Itoa(s.Port()))
}

// TokenEndpoint is the URL to which clients on this host send token requests.
func (s *Server) TokenEndpoint() string { return s.URL() + TokenPath }

// Audience is what a ServiceAccount token must have among its audiences.
func (s *Server) Audience() string { return s.options.Audience }

// Port is the TCP port at which the server listens.
func (s *Server) Port() int {
	address, ok := s.listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return address.Port
}

// CA is the certificate, in PEM, by which the server is to be verified.
func (s *Server) CA() []byte { return slices.Clone(s.authority.PEM) }

// Allow lets a subject act for a client, which need not exist before.
func (s *Server) Allow(clientID, subject string) { s.storage.allow(clientID, subject) }

// RemoveClient removes a client with all its subjects. Access tokens that it has
// stay valid.
func (s *Server) RemoveClient(clientID string) { s.storage.removeClient(clientID) }

// SetLifetime sets that of access tokens that are issued from now on. It is told
// in whole seconds.
func (s *Server) SetLifetime(lifetime time.Duration) { s.storage.setLifetime(lifetime) }

// Fail makes the token endpoint answer every request that it could parse with
// the given status and a server_error; 0 ends that.
func (s *Server) Fail(status int) { s.storage.setFailure(status) }

// Requests are all token requests since the start, in the order of their answers.
func (s *Server) Requests() []Request { return s.RequestsTo(TokenPath) }

// RequestsTo are all requests to a path since the start, in the order of their
// answers.
func (s *Server) RequestsTo(path string) []Request { return s.log.requests(path) }

// newSecret makes an unguessable string.
func newSecret() string { return rand.Text() }
