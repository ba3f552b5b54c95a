//go:build ignore

// Server is an authorization server made of Ory's fosite, the engine of Ory Hydra, with
// its store in memory. It has grants of RFC 7523 and clients that authenticate
// themselves, and nothing else. Its configuration is a file:
//
//	server CONFIG.json
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
)

// config is what package ory writes.
type config struct {
	Listen, Certificate, Key string
	// TokenURL is what assertions have to be for.
	TokenURL string
	// Issuer is trusted with whatever subject, as by Hydra's allow_any_subject.
	Issuer  string
	Keys    jose.JSONWebKeySet
	Scopes  []string
	Clients []struct{ ID, Secret, Method string }
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		log.Fatal(err)
	}
	p, err := provider(c)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/oauth2/token", func(w http.ResponseWriter, r *http.Request) { token(p, w, r) })
	log.Fatal(http.ListenAndServeTLS(c.Listen, c.Certificate, c.Key, nil))
}

func provider(c config) (fosite.OAuth2Provider, error) {
	settings := &fosite.Config{
		AccessTokenLifespan: time.Hour,
		GlobalSecret:        []byte("an authorization server of tests"),
		TokenURL:            c.TokenURL,
		// Hydra's default is 30 days.
		GrantTypeJWTBearerMaxDuration: 30 * 24 * time.Hour,
	}
	s := &store{MemoryStore: storage.NewMemoryStore(), config: c}
	for _, client := range c.Clients {
		hash, err := (&fosite.BCrypt{Config: settings}).Hash(context.Background(), []byte(client.Secret))
		if err != nil {
			return nil, err
		}
		s.Clients[client.ID] = &fosite.DefaultOpenIDConnectClient{
			DefaultClient: &fosite.DefaultClient{
				ID: client.ID, Secret: hash, Scopes: c.Scopes, Audience: []string{c.TokenURL},
				GrantTypes: []string{"urn:ietf:params:oauth:grant-type:jwt-bearer", "client_credentials"},
			},
			TokenEndpointAuthMethod: client.Method, TokenEndpointAuthSigningAlgorithm: "RS256", JSONWebKeys: &c.Keys,
		}
	}
	return compose.Compose(settings, s, compose.NewOAuth2HMACStrategy(settings),
		compose.RFC7523AssertionGrantFactory, compose.OAuth2ClientCredentialsGrantFactory), nil
}

// token answers as Hydra does.
func token(p fosite.OAuth2Provider, w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := p.NewAccessRequest(ctx, r, &fosite.DefaultSession{})
	if err != nil {
		p.WriteAccessError(ctx, w, request, err)
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	response, err := p.NewAccessResponse(ctx, request)
	if err != nil {
		p.WriteAccessError(ctx, w, request, err)
		return
	}
	p.WriteAccessResponse(ctx, w, request, response)
}

// store has the keys of the issuer for all its subjects.
type store struct {
	*storage.MemoryStore
	config config
}

func (s *store) GetPublicKey(_ context.Context, issuer, _, id string) (*jose.JSONWebKey, error) {
	if keys := s.config.Keys.Key(id); issuer == s.config.Issuer && len(keys) > 0 {
		return &keys[0], nil
	}
	return nil, fosite.ErrNotFound
}

func (s *store) GetPublicKeys(_ context.Context, issuer, _ string) (*jose.JSONWebKeySet, error) {
	if issuer == s.config.Issuer {
		return &s.config.Keys, nil
	}
	return nil, fosite.ErrNotFound
}

func (s *store) GetPublicKeyScopes(context.Context, string, string, string) ([]string, error) {
	return s.config.Scopes, nil
}
