package authserver

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// oauthClient is a client in one request. Most of op.Client is about users who
// log in with a browser, of which there are none here.
type oauthClient struct {
	id         string
	authMethod oidc.AuthMethod // by which it has authenticated
}

var _ op.Client = oauthClient{}

// GetID implements op.Client.
func (c oauthClient) GetID() string { return c.id }

// AuthMethod implements op.Client.
func (c oauthClient) AuthMethod() oidc.AuthMethod { return c.authMethod }

// GrantTypes implements op.Client.
func (oauthClient) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeTokenExchange, oidc.GrantTypeClientCredentials, oidc.GrantTypeBearer}
}

// AccessTokenType implements op.Client. The library's other kind of access token
// has no room for a colon in the subject.
func (oauthClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// ApplicationType implements op.Client.
func (oauthClient) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }

// ResponseTypes implements op.Client.
func (oauthClient) ResponseTypes() []oidc.ResponseType { return nil }

// RedirectURIs implements op.Client.
func (oauthClient) RedirectURIs() []string { return nil }

// PostLogoutRedirectURIs implements op.Client.
func (oauthClient) PostLogoutRedirectURIs() []string { return nil }

// LoginURL implements op.Client.
func (oauthClient) LoginURL(string) string { return "" }

// IDTokenLifetime implements op.Client.
func (oauthClient) IDTokenLifetime() time.Duration { return 0 }

// IDTokenUserinfoClaimsAssertion implements op.Client.
func (oauthClient) IDTokenUserinfoClaimsAssertion() bool { return false }

// DevMode implements op.Client.
func (oauthClient) DevMode() bool { return false }

// ClockSkew implements op.Client.
func (oauthClient) ClockSkew() time.Duration { return 0 }

// IsScopeAllowed implements op.Client.
func (oauthClient) IsScopeAllowed(string) bool { return true }

// RestrictAdditionalIdTokenScopes implements op.Client.
func (oauthClient) RestrictAdditionalIdTokenScopes() func([]string) []string { //nolint:revive,staticcheck // the name is the library's
	return func(scopes []string) []string { return scopes }
}

// RestrictAdditionalAccessTokenScopes implements op.Client.
func (oauthClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}
