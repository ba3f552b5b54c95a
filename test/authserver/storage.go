package authserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// resourceServer is who may ask about tokens (RFC 7662).
	resourceServer = "resource-server"

	// slack is added to a lifetime, which the library tells in whole seconds,
	// rounded down, after it has taken some time itself.
	slack = 100 * time.Millisecond
)

// storage is what the library asks for clients, keys and tokens.
type storage struct {
	// What is about users and their sessions is not implemented: it is behind
	// endpoints that this server does not have.
	op.Storage

	options Options
	trust   *trust
	key     signingKey
	secret  string // of the resource server

	mu       sync.Mutex
	clients  map[string][]string
	lifetime time.Duration
	status   int                 // with which the token endpoint fails, or 0
	used     map[string]struct{} // the jti of tokens, with Options.SingleUse
	issued   map[string]issued   // by the ID of the token
}

var (
	_ op.Storage                            = &storage{}
	_ op.ClientCredentialsStorage           = &storage{}
	_ op.TokenExchangeStorage               = &storage{}
	_ op.TokenExchangeTokensVerifierStorage = &storage{}
	_ op.JWTProfileTokenStorage             = &storage{}
)

// issued is an access token.
type issued struct {
	subject, clientID   string
	scopes, audience    []string
	resources           []string
	issuedAt, expiresAt time.Time
}

func newStorage(options Options, trust *trust) (*storage, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("could not generate the key for access tokens: %w", err)
	}
	s := &storage{
		options:  options,
		trust:    trust,
		key:      signingKey{id: newSecret(), private: private},
		secret:   newSecret(),
		clients:  map[string][]string{},
		lifetime: options.AccessTokenLifetime,
		used:     map[string]struct{}{},
		issued:   map[string]issued{},
	}
	for id, subjects := range options.Clients {
		s.clients[id] = slices.Clone(subjects)
	}
	return s, nil
}

func (s *storage) allow(clientID, subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[clientID] = append(s.clients[clientID], subject)
}

func (s *storage) removeClient(clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, clientID)
}

func (s *storage) setLifetime(lifetime time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetime = lifetime
}

func (s *storage) setFailure(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// failure is the error that Server.Fail wants.
func (s *storage) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == 0 {
		return nil
	}
	return op.NewStatusError(oidc.ErrServerError().WithDescription("the test wants this failure"), s.status)
}

// known tells if a subject acts for any client.
func (s *storage) known(subject string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, subjects := range s.clients {
		if slices.Contains(subjects, subject) {
			return true
		}
	}
	return false
}

// actsFor tells if a subject acts for the client.
func (s *storage) actsFor(subject, clientID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.clients[clientID], subject)
}

// clientOf finds the client for which a subject acts. Where the request names a
// client, it must be that (RFC 7521, section 4.2).
func (s *storage) clientOf(subject, clientID string) (op.Client, error) {
	if clientID != "" {
		if !s.actsFor(subject, clientID) {
			return nil, errors.New("client_id and client_assertion are not of one client")
		}
		return oauthClient{id: clientID, authMethod: oidc.AuthMethodPrivateKeyJWT}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for id := range maps.Keys(s.clients) {
		if slices.Contains(s.clients[id], subject) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("the subject of client_assertion acts for %d clients, and there is no client_id", len(found))
	}
	return oauthClient{id: found[0], authMethod: oidc.AuthMethodPrivateKeyJWT}, nil
}

// verify checks a ServiceAccount token: audience, lifetime, issuer, subject and
// signature, by the library's rules for assertions but for one: the issuer is the
// cluster instead of the subject itself.
func (s *storage) verify(ctx context.Context, token string) (_ *oidc.JWTTokenRequest, err error) {
	defer func() { refused(ctx, err) }()
	keys, err := s.trust.keySet(ctx)
	if err != nil {
		return nil, oidc.ErrServerError().WithParent(err).WithDescription("could not ask the issuer of the token")
	}
	check := op.SubjectCheck(func(claims *oidc.JWTTokenRequest) error {
		if err := oidc.CheckIssuerWithISSVerifier(claims, s.trust.issuer, nil); err != nil {
			return err
		}
		if !s.known(claims.Subject) {
			return fmt.Errorf("subject %q acts for no client", claims.Subject)
		}
		return nil
	})
	verified, err := op.VerifyJWTAssertion(ctx, token, op.NewJWTProfileVerifierKeySet(keys, s.options.Audience, 0, 0, check))
	if err != nil {
		return nil, fmt.Errorf("could not verify the token: %w", err)
	}
	if err := s.use(verified.JWTID); err != nil {
		return nil, err
	}
	return verified, nil
}

// use accepts a token, unless it was used before and must not be used again.
func (s *storage) use(jti string) error {
	if !s.options.SingleUse {
		return nil
	}
	if jti == "" {
		return errors.New("could not use the token: it has no jti")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, used := s.used[jti]; used {
		return errors.New("could not use the token: it was used before")
	}
	s.used[jti] = struct{}{}
	return nil
}

// grantScopes tells if all scopes can be granted.
func (s *storage) grantScopes(scopes []string) error {
	for _, scope := range scopes {
		if s.options.Scopes != nil && !slices.Contains(s.options.Scopes, scope) {
			return oidc.ErrInvalidScope().WithDescription("scope %q is not granted", scope)
		}
	}
	return nil
}

// GetClientByClientID implements op.Storage: the client as it is when it has not
// authenticated.
func (s *storage) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.clients[id]; !ok {
		return nil, fmt.Errorf("there is no client %q", id)
	}
	return oauthClient{id: id, authMethod: oidc.AuthMethodNone}, nil
}

// AuthorizeClientIDSecret implements op.Storage. Only the resource server has a
// secret.
func (s *storage) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	if id != resourceServer || subtle.ConstantTimeCompare([]byte(secret), []byte(s.secret)) != 1 {
		return errors.New("wrong client or secret")
	}
	return nil
}

// ValidateJWTProfileScopes implements op.Storage.
func (s *storage) ValidateJWTProfileScopes(_ context.Context, _ string, scopes []string) ([]string, error) {
	return scopes, s.grantScopes(scopes)
}

// JWTProfileTokenType implements op.JWTProfileTokenStorage.
func (*storage) JWTProfileTokenType(context.Context, op.TokenRequest) (op.AccessTokenType, error) {
	return oauthClient{}.AccessTokenType(), nil
}

// ClientCredentials implements op.ClientCredentialsStorage. It is for secrets.
func (*storage) ClientCredentials(context.Context, string, string) (op.Client, error) {
	return nil, errors.New("clients have no secrets here")
}

// ClientCredentialsTokenRequest implements op.ClientCredentialsStorage.
func (s *storage) ClientCredentialsTokenRequest(_ context.Context, clientID string, scopes []string) (op.TokenRequest, error) {
	return clientRequest{clientID: clientID, scopes: scopes}, s.grantScopes(scopes)
}

// clientRequest asks for a token of the client itself.
type clientRequest struct {
	clientID string
	scopes   []string
}

// GetSubject implements op.TokenRequest.
func (r clientRequest) GetSubject() string { return r.clientID }

// GetAudience implements op.TokenRequest.
func (r clientRequest) GetAudience() []string { return []string{r.clientID} }

// GetScopes implements op.TokenRequest.
func (r clientRequest) GetScopes() []string { return r.scopes }

// VerifyExchangeSubjectToken implements op.TokenExchangeTokensVerifierStorage.
func (s *storage) VerifyExchangeSubjectToken(
	ctx context.Context, token string, kind oidc.TokenType,
) (tokenIDOrToken, subject string, claims map[string]any, err error) {
	if kind != oidc.JWTTokenType && kind != oidc.IDTokenType {
		err = fmt.Errorf("a ServiceAccount token is no %s", kind)
		refused(ctx, err)
		return "", "", nil, err
	}
	verified, err := s.verify(ctx, token)
	if err != nil {
		return "", "", nil, err
	}
	return token, verified.Subject, nil, nil
}

// VerifyExchangeActorToken implements op.TokenExchangeTokensVerifierStorage.
func (*storage) VerifyExchangeActorToken(context.Context, string, oidc.TokenType) (tokenIDOrToken, actor string, claims map[string]any,
	err error,
) {
	return "", "", nil, errors.New("nobody acts for others here")
}

// ValidateTokenExchangeRequest implements op.TokenExchangeStorage.
func (s *storage) ValidateTokenExchangeRequest(ctx context.Context, request op.TokenExchangeRequest) error {
	if request.GetRequestedTokenType() == "" {
		request.SetRequestedTokenType(oidc.AccessTokenType)
	}
	if request.GetRequestedTokenType() != oidc.AccessTokenType {
		return oidc.ErrInvalidRequest().WithDescription("requested_token_type is not supported")
	}
	if subject := request.GetExchangeSubject(); !s.actsFor(subject, request.GetClientID()) {
		refused(ctx, fmt.Errorf("%q does not act for client %q", subject, request.GetClientID()))
		// Not acceptable by policy is invalid_request, too (RFC 8693, section 2.2.2).
		return oidc.ErrInvalidRequest().WithDescription("subject_token is not acceptable")
	}
	for _, target := range slices.Concat(request.GetAudience(), request.GetResourses()) {
		if s.options.Targets != nil && !slices.Contains(s.options.Targets, target) {
			return oidc.ErrInvalidTarget()
		}
	}
	return s.grantScopes(request.GetScopes())
}

// CreateTokenExchangeRequest implements op.TokenExchangeStorage.
func (*storage) CreateTokenExchangeRequest(context.Context, op.TokenExchangeRequest) error {
	return nil
}

// GetPrivateClaimsFromTokenExchangeRequest implements op.TokenExchangeStorage.
func (*storage) GetPrivateClaimsFromTokenExchangeRequest(context.Context, op.TokenExchangeRequest) (map[string]any, error) {
	return map[string]any{}, nil
}

// SetUserinfoFromTokenExchangeRequest implements op.TokenExchangeStorage.
func (*storage) SetUserinfoFromTokenExchangeRequest(context.Context, *oidc.UserInfo, op.TokenExchangeRequest) error {
	return nil
}

// GetPrivateClaimsFromScopes implements op.Storage.
func (*storage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return map[string]any{}, nil
}

// TokenRequestByRefreshToken implements op.Storage. A client may say that its
// subject_token is a refresh token.
func (*storage) TokenRequestByRefreshToken(context.Context, string) (op.RefreshTokenRequest, error) {
	return nil, op.ErrInvalidRefreshToken
}

// GetRefreshTokenInfo implements op.Storage.
func (*storage) GetRefreshTokenInfo(context.Context, string, string) (userID, tokenID string, err error) {
	return "", "", op.ErrInvalidRefreshToken
}

// CreateAccessToken implements op.Storage.
func (s *storage) CreateAccessToken(_ context.Context, request op.TokenRequest) (tokenID string, expiration time.Time, err error) {
	now := time.Now()
	token := issued{
		subject:  request.GetSubject(),
		clientID: request.GetSubject(), // of the JWT bearer grant, which has no client
		scopes:   request.GetScopes(),
		audience: request.GetAudience(),
		issuedAt: now,
	}
	if exchange, ok := request.(op.TokenExchangeRequest); ok {
		token.clientID, token.resources = exchange.GetClientID(), exchange.GetResourses()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token.expiresAt = now.Add(s.lifetime + slack)
	id := newSecret()
	s.issued[id] = token
	return id, token.expiresAt, nil
}

// RevokeToken implements op.Storage. A token that is unknown, or of somebody
// else, is no error (RFC 7009, section 2.2).
func (s *storage) RevokeToken(_ context.Context, tokenID, _, clientID string) *oidc.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.issued[tokenID].clientID == clientID {
		delete(s.issued, tokenID)
	}
	return nil
}

// SetIntrospectionFromToken implements op.Storage.
func (s *storage) SetIntrospectionFromToken(_ context.Context, response *oidc.IntrospectionResponse, tokenID, _, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, ok := s.issued[tokenID]
	if !ok {
		return errors.New("the token was revoked")
	}
	response.Subject, response.ClientID, response.TokenType = token.subject, token.clientID, oidc.BearerToken
	response.Scope, response.Audience = token.scopes, token.audience
	response.IssuedAt, response.Expiration = oidc.FromTime(token.issuedAt), oidc.FromTime(token.expiresAt)
	response.JWTID = tokenID
	if len(token.resources) > 0 {
		response.Claims = map[string]any{"resource": token.resources}
	}
	return nil
}

// Health implements op.Storage.
func (*storage) Health(context.Context) error { return nil }

// SigningKey implements op.Storage.
func (s *storage) SigningKey(context.Context) (op.SigningKey, error) { return s.key, nil }

// SignatureAlgorithms implements op.Storage.
func (s *storage) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{s.key.SignatureAlgorithm()}, nil
}

// KeySet implements op.Storage.
func (s *storage) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publicKey{s.key}}, nil
}

// signingKey signs access tokens.
type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

// ID implements op.SigningKey.
func (k signingKey) ID() string { return k.id }

// SignatureAlgorithm implements op.SigningKey.
func (signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }

// Key implements op.SigningKey.
func (k signingKey) Key() any { return k.private }

// publicKey verifies access tokens.
type publicKey struct{ signing signingKey }

// ID implements op.Key.
func (k publicKey) ID() string { return k.signing.id }

// Algorithm implements op.Key.
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return k.signing.SignatureAlgorithm() }

// Use implements op.Key.
func (publicKey) Use() string { return oidc.KeyUseSignature }

// Key implements op.Key.
func (k publicKey) Key() any { return k.signing.private.Public() }
