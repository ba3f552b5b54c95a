package authserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// trust knows one issuer by its URL and its CA.
type trust struct {
	issuer string
	client *http.Client

	mu   sync.Mutex
	keys oidc.KeySet // nil before discovery has succeeded
}

func newTrust(issuer string, ca []byte) (*trust, error) {
	httpClient, err := newClient(ca)
	if err != nil {
		return nil, fmt.Errorf("could not trust the issuer: %w", err)
	}
	return &trust{issuer: issuer, client: httpClient}, nil
}

// newClient makes a client for a server that has its certificate from the CA.
func newClient(ca []byte) (*http.Client, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("could not use the CA: no certificate in it")
	}
	return &http.Client{
		Timeout:   requestTimeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
	}, nil
}

// keySet finds the issuer's keys (OpenID Connect Discovery 1.0, section 4). It
// asks until it has an answer, as the issuer may come up later than the server.
func (t *trust) keySet(ctx context.Context) (oidc.KeySet, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys != nil {
		return t.keys, nil
	}
	metadata, err := client.Discover(ctx, t.issuer, t.client)
	if err != nil {
		return nil, fmt.Errorf("could not discover the issuer of ServiceAccount tokens: %w", err)
	}
	t.keys = rp.NewRemoteKeySet(t.client, metadata.JwksURI)
	return t.keys, nil
}
