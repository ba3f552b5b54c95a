// Package relyingparty verifies ServiceAccount tokens as Vault or a cloud would:
// it knows the issuer's URL and the CA, and nothing else of the cluster.
package relyingparty

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Claims are what a relying party learns from a token of a pod
// (Kubernetes: "Schema for service account private claims").
type Claims struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   []string `json:"aud"`
	Expiry     int64    `json:"exp"`
	IssuedAt   int64    `json:"iat"`
	NotBefore  int64    `json:"nbf"`
	Kubernetes struct {
		Namespace      string `json:"namespace"`
		Pod            Object `json:"pod"`
		ServiceAccount Object `json:"serviceaccount"`
	} `json:"kubernetes.io"`
}

// Object is a reference to an object of the cluster.
type Object struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// RelyingParty trusts one issuer.
type RelyingParty struct {
	client   *http.Client
	provider *oidc.Provider
}

// Discover reads the issuer's discovery document without credentials, over TLS
// (OpenID Connect Discovery 1.0, section 4). Keys are fetched when needed.
func Discover(ctx context.Context, issuer string, ca []byte) (*RelyingParty, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("could not use the CA: no certificate in it")
	}
	client := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fmt.Errorf("could not discover the issuer: %w", err)
	}
	return &RelyingParty{client: client, provider: provider}, nil
}

// Verify checks the token's signature, issuer, audience and lifetime, and
// returns its claims.
func (r *RelyingParty) Verify(ctx context.Context, token, audience string) (*Claims, error) {
	verifier := r.provider.VerifierContext(oidc.ClientContext(ctx, r.client), &oidc.Config{ClientID: audience})
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("could not verify the token: %w", err)
	}
	claims := &Claims{}
	if err := verified.Claims(claims); err != nil {
		return nil, fmt.Errorf("could not read the token's claims: %w", err)
	}
	return claims, nil
}

// Decode returns a token's header and payload, indented, without its signature.
// It verifies nothing.
func Decode(token string) (header, payload string, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", "", fmt.Errorf("could not decode the token: %d parts instead of 3", len(parts))
	}
	for i, text := range []*string{&header, &payload} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return "", "", fmt.Errorf("could not decode the token: %w", err)
		}
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return "", "", fmt.Errorf("could not decode the token: %w", err)
		}
		indented, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return "", "", err
		}
		*text = string(indented)
	}
	return header, payload, nil
}
