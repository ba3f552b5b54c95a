package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// grants is the library's server, with ServiceAccount tokens in the place of the
// assertions that a client signs itself.
type grants struct {
	*op.LegacyServer

	storage     *storage
	noExpiresIn bool
}

var _ op.Server = &grants{}

// newHandler connects the storage with the library.
func newHandler(options Options, storage *storage) (http.Handler, error) {
	config := &op.Config{AuthMethodPrivateKeyJWT: true, SupportedScopes: options.Scopes}
	issuer := op.IssuerFromHost("")
	provider, err := op.NewProvider(config, storage, issuer)
	if err != nil {
		return nil, fmt.Errorf("could not make an OpenID provider: %w", err)
	}
	endpoints := op.Endpoints{
		Token:         op.NewEndpoint(TokenPath),
		Introspection: op.NewEndpoint(introspectionPath),
		Revocation:    op.NewEndpoint(RevocationPath),
		JwksURI:       op.NewEndpoint(keysPath),
	}
	server := &grants{
		LegacyServer: op.NewLegacyServer(provider, endpoints),
		storage:      storage,
		noExpiresIn:  options.NoExpiresIn,
	}
	interceptor := op.NewIssuerInterceptor(provider.IssuerFromRequest)
	handler := op.RegisterServer(server, endpoints, op.WithHTTPMiddleware(interceptor.Handler))
	return withMetadata(options.MetadataPaths, handler), nil
}

// withMetadata serves the library's metadata at those of the two well-known
// paths that there shall be; the library itself has one of them.
func withMetadata(paths []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path != OpenIDMetadataPath && path != OAuthMetadataPath:
		case !slices.Contains(paths, path):
			http.NotFound(w, r)
			return
		default:
			r = r.Clone(r.Context())
			r.URL.Path = OpenIDMetadataPath
		}
		next.ServeHTTP(w, r)
	})
}

// VerifyClient implements op.Server.
func (g *grants) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	if err := g.storage.failure(); err != nil {
		return nil, err
	}
	credentials := r.Data
	switch {
	case credentials.ClientSecret != "":
		return nil, invalidClient(errors.New("clients have no secrets here"))
	case credentials.ClientAssertion == "":
		client, err := g.storage.GetClientByClientID(ctx, credentials.ClientID)
		if err != nil {
			return nil, invalidClient(err)
		}
		return client, nil
	}
	token, err := g.storage.verify(ctx, credentials.ClientAssertion)
	if err != nil {
		return nil, invalidClient(err)
	}
	client, err := g.storage.clientOf(token.Subject, credentials.ClientID)
	if err != nil {
		refused(ctx, err)
		return nil, invalidClient(err)
	}
	return client, nil
}

// invalidClient is the answer where a client could not be authenticated. RFC 6749
// (section 5.2) allows the status 401 and the library has 400, but most servers
// say 401.
func invalidClient(err error) error {
	if isServerError(err) {
		return err
	}
	return op.NewStatusError(oidc.ErrInvalidClient().WithParent(err).WithDescription("client authentication failed"),
		http.StatusUnauthorized)
}

func isServerError(err error) bool {
	var known *oidc.Error
	return errors.As(err, &known) && known.ErrorType == oidc.ServerError
}

// JWTProfile implements op.Server. It does what the library does, but for the
// error: the library says invalid_request where RFC 7523 (section 3.1) wants
// invalid_grant.
func (g *grants) JWTProfile(ctx context.Context, r *op.Request[oidc.JWTProfileGrantRequest]) (*op.Response, error) {
	if err := g.storage.failure(); err != nil {
		return nil, err
	}
	token, err := g.storage.verify(ctx, r.Data.Assertion)
	if isServerError(err) {
		return nil, err
	}
	if err != nil {
		return nil, oidc.ErrInvalidGrant().WithParent(err).WithDescription("assertion invalid")
	}
	if token.Scopes, err = g.storage.ValidateJWTProfileScopes(ctx, token.Subject, r.Data.Scope); err != nil {
		return nil, err
	}
	response, err := op.CreateJWTTokenResponse(ctx, token, g.Provider())
	if err != nil {
		return nil, err
	}
	return g.finish(op.NewResponse(response), nil)
}

// TokenExchange implements op.Server.
func (g *grants) TokenExchange(ctx context.Context, r *op.ClientRequest[oidc.TokenExchangeRequest]) (*op.Response, error) {
	return g.finish(g.LegacyServer.TokenExchange(ctx, r))
}

// ClientCredentialsExchange implements op.Server.
func (g *grants) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	return g.finish(g.LegacyServer.ClientCredentialsExchange(ctx, r))
}

// finish makes an answer what RFC 6749 (section 5.1) wants it to be. The library
// leaves out what keeps tokens from caches.
func (g *grants) finish(response *op.Response, err error) (*op.Response, error) {
	if err != nil {
		return nil, err
	}
	response.Header.Set("Cache-Control", "no-store")
	response.Header.Set("Pragma", "no-cache")
	if g.noExpiresIn {
		switch data := response.Data.(type) {
		case *oidc.AccessTokenResponse:
			data.ExpiresIn = 0
		case *oidc.TokenExchangeResponse:
			data.ExpiresIn = 0
		}
	}
	return response, nil
}
