package login

import (
	"context"
	"net/http"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/httplogin"
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
	// Revocable reports whether a token can be, of which nothing else is known.
	Revocable(token secret.Text) bool
}

// checker is one that can be asked whether a token is still valid.
type checker interface {
	Check(ctx context.Context, token secret.Text) error
}

// newParty makes the relying party of a method. The options are valid.
type newParty func(client *exchange.Client, options loginspec.Values) exchanger

// parties are those of the methods.
var parties = map[string]newParty{
	loginspec.MethodVault:           as(vault.New),
	loginspec.MethodTokenExchange:   as(oauth.NewTokenExchange),
	loginspec.MethodJWTBearer:       as(oauth.NewJWTBearer),
	loginspec.MethodClientAssertion: as(oauth.NewClientAssertion),
	loginspec.MethodHTTP:            as(httplogin.New),
}

// as makes a newParty of a function that returns a type of its own.
func as[P exchanger](construct func(*exchange.Client, loginspec.Values) P) newParty {
	return func(client *exchange.Client, options loginspec.Values) exchanger { return construct(client, options) }
}

// clientOf makes the client of a login.
func clientOf(c Config, ca *exchange.CA) *exchange.Client {
	return &exchange.Client{
		TLS: exchange.TLS{
			CA: ca, CertFile: c.Options[loginspec.ClientCert], KeyFile: c.Options[loginspec.ClientKey],
			ServerName: c.Options[loginspec.TLSServerName],
		},
		RedirectHosts: c.Options.Words(loginspec.RedirectHosts),
		Timeout:       c.Options.Duration(loginspec.RequestTimeout), UserAgent: "oidc-login/" + version.Version(),
		Proxy: http.ProxyFromEnvironment,
	}
}
