package authserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// AccessToken is what the server says of an access token that is valid.
type AccessToken struct {
	Subject  string
	ClientID string
	Scopes   []string
	// Audience are those that a token exchange has asked for, else those of the
	// ServiceAccount token, or the client.
	Audience []string
	// Resources are those that a token exchange has asked for.
	Resources           []string
	IssuedAt, ExpiresAt time.Time
}

// Verify asks the server about an access token, as a resource server does
// (RFC 7662). A token that is forged, expired or revoked is an error.
func (s *Server) Verify(ctx context.Context, accessToken string) (*AccessToken, error) {
	claims := &oidc.AccessTokenClaims{}
	if _, err := oidc.ParseToken(accessToken, claims); err != nil {
		return nil, fmt.Errorf("could not read the access token: %w", err)
	}
	// The server knows its tokens by the host at which the client has asked.
	if !slices.Contains(s.issuers(), claims.Issuer) {
		return nil, fmt.Errorf("could not verify the access token: %q is not its issuer", claims.Issuer)
	}
	asker, err := rs.NewResourceServerClientCredentials(ctx, claims.Issuer, resourceServer, s.storage.secret,
		rs.WithClient(s.client), rs.WithStaticEndpoints(claims.Issuer+TokenPath, claims.Issuer+introspectionPath))
	if err != nil {
		return nil, fmt.Errorf("could not verify the access token: %w", err)
	}
	answer, err := rs.Introspect[*introspection](ctx, asker, accessToken)
	if err != nil {
		return nil, fmt.Errorf("could not verify the access token: %w", err)
	}
	if !answer.Active {
		return nil, errors.New("could not verify the access token: it is not active")
	}
	return &AccessToken{
		Subject: answer.Subject, ClientID: answer.ClientID,
		Scopes: answer.Scope, Audience: answer.Audience, Resources: answer.Resource,
		IssuedAt: answer.IssuedAt.AsTime(), ExpiresAt: answer.Expiration.AsTime(),
	}, nil
}

// introspection is the answer of the introspection endpoint.
type introspection struct {
	Active     bool                     `json:"active"`
	Subject    string                   `json:"sub"`
	ClientID   string                   `json:"client_id"`
	Scope      oidc.SpaceDelimitedArray `json:"scope"`
	Audience   oidc.Audience            `json:"aud"`
	Resource   []string                 `json:"resource"`
	IssuedAt   oidc.Time                `json:"iat"`
	Expiration oidc.Time                `json:"exp"`
}

// issuers are all that the server has, one for each of its addresses.
func (s *Server) issuers() []string {
	found := []string{s.Issuer(), s.IssuerAt("localhost")}
	for _, ip := range s.options.ExtraIPs {
		found = append(found, s.IssuerAt(ip.String()))
	}
	return found
}

// dialSelf makes a client connect to the server by whichever address it has: not
// all of them are of this host.
func (s *Server) dialSelf(client *http.Client) {
	if transport, ok := client.Transport.(*http.Transport); ok {
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.listener.Addr().String())
		}
	}
}
