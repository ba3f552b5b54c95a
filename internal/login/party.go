package login

import (
	"context"
	"net/http"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/oauth"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/login/vault"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// exchanger is a relying party.
type exchanger interface {
	// Login exchanges a JWT for a credential. With an error of the verdict
	// failure.EndedToken there is a credential all the same, of no use but to be
	// compared.
	Login(ctx context.Context, jwt secret.Text) (exchange.Credential, error)
}

// renewer is one whose tokens can be renewed.
type renewer interface {
	Renew(ctx context.Context, token secret.Text) (exchange.Credential, error)
}

// revoker is one whose tokens can be revoked.
type revoker interface {
	Revoke(ctx context.Context, token secret.Text) error
}

// checker is one that can be asked whether a token is still valid.
type checker interface {
	Check(ctx context.Context, token secret.Text) error
}

func newParty(c Config, ca *exchange.CA) exchanger {
	client := &exchange.Client{
		TLS:     exchange.TLS{CA: ca, CertFile: c.ClientCert, KeyFile: c.ClientKey, ServerName: c.TLSServerName},
		Timeout: c.RequestTimeout, UserAgent: "oidc-login/" + version.Version(), Proxy: http.ProxyFromEnvironment,
	}
	if c.Method == loginspec.MethodVault {
		return &vault.Vault{Client: client, Address: c.Address, Mount: c.Mount, Role: c.Role, Namespace: c.Namespace}
	}
	return &oauth.Server{
		Client: client, Endpoint: c.Address, Issuer: c.Issuer, Method: c.Method,
		ClientID: c.ClientID, Scope: c.Scope, Resources: c.Resources, Audiences: c.Audiences, Lifetime: c.Lifetime,
	}
}
