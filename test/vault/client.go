package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

// requestTimeout bounds a request of a client, so that no test hangs.
const requestTimeout = 30 * time.Second

// Client has the root token and does not retry, so that tests see what happens.
// It is shared: whoever needs another token calls NewClient.
func (s *Server) Client() *api.Client { return s.client }

// NewClient is a client with a token, or without one if it is "", of the server
// at the address, which may be that of a proxy in front.
func (s *Server) NewClient(address, token string) (*api.Client, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.ca.PEM) {
		return nil, errors.New("could not use the CA of Vault: no certificate in it")
	}
	client, err := api.NewClient(&api.Config{
		Address: address,
		HttpClient: &http.Client{
			Transport: &http.Transport{
				TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
				ForceAttemptHTTP2: true,
			},
			// The library follows redirects itself, and keeps the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Timeout:    requestTimeout,
		MaxRetries: 0,
	})
	if err != nil {
		return nil, fmt.Errorf("could not create a client of Vault: %w", err)
	}
	// What the library found in the environment is about other servers.
	client.ClearNamespace()
	client.SetToken(token)
	return client, nil
}

// JWTConfig configures the auth method JWT. Its keys are those of the issuer's
// discovery document, unless there are PublicKeys.
type JWTConfig struct {
	// Issuer is the only one whose tokens are accepted. Vault asks it for its
	// discovery document at once.
	Issuer string
	// DiscoveryCA is the certificate, in PEM, by which the issuer is verified.
	DiscoveryCA []byte
	// PublicKeys are those of the issuer, each in PEM.
	PublicKeys []string
	// DefaultRole is that of a login which names none; it may be "".
	DefaultRole string
}

// EnableJWT does what `vault auth enable -path=PATH jwt` and
// `vault write auth/PATH/config ...` do.
func (s *Server) EnableJWT(ctx context.Context, path string, config JWTConfig) error {
	if err := s.client.Sys().EnableAuthWithOptionsWithContext(ctx, path, &api.EnableAuthOptions{Type: "jwt"}); err != nil {
		return fmt.Errorf("could not enable the auth method JWT at %s: %w", path, err)
	}
	return s.ConfigureJWT(ctx, path, config)
}

// ConfigureJWT replaces the configuration of an auth method JWT.
func (s *Server) ConfigureJWT(ctx context.Context, path string, config JWTConfig) error {
	parameters := map[string]any{"bound_issuer": config.Issuer, "default_role": config.DefaultRole}
	if len(config.PublicKeys) > 0 {
		parameters["jwt_validation_pubkeys"] = config.PublicKeys
	} else {
		parameters["oidc_discovery_url"] = config.Issuer
		parameters["oidc_discovery_ca_pem"] = string(config.DiscoveryCA)
	}
	return s.write(ctx, "auth/"+path+"/config", parameters)
}

// WriteRole writes a role of an auth method JWT. Among the parameters are
// bound_audiences, user_claim, bound_claims, token_policies, token_ttl,
// token_max_ttl and token_type. The role_type is jwt, as that of Vault is oidc.
func (s *Server) WriteRole(ctx context.Context, path, name string, parameters map[string]any) error {
	all := map[string]any{"role_type": "jwt"}
	maps.Copy(all, parameters)
	return s.write(ctx, "auth/"+path+"/role/"+name, all)
}

// DeleteRole deletes a role of an auth method.
func (s *Server) DeleteRole(ctx context.Context, path, name string) error {
	if _, err := s.client.Logical().DeleteWithContext(ctx, "auth/"+path+"/role/"+name); err != nil {
		return fmt.Errorf("could not delete role %s of %s: %w", name, path, err)
	}
	return nil
}

// Login logs in with a JWT and returns the token and what comes with it.
func (s *Server) Login(ctx context.Context, path, role, jwt string) (*api.SecretAuth, error) {
	client, err := s.NewClient(s.Address(), "")
	if err != nil {
		return nil, err
	}
	secret, err := client.Logical().WriteWithContext(ctx, "auth/"+path+"/login", map[string]any{"role": role, "jwt": jwt})
	switch {
	case err != nil:
		return nil, fmt.Errorf("could not log in at %s: %w", path, err)
	case secret == nil || secret.Auth == nil:
		return nil, fmt.Errorf("could not log in at %s: there is no token in the answer", path)
	}
	return secret.Auth, nil
}

// LookupSelf returns what Vault says of a token to its holder, such as the
// policies, ttl and type.
func (s *Server) LookupSelf(ctx context.Context, token string) (map[string]any, error) {
	client, err := s.NewClient(s.Address(), token)
	if err != nil {
		return nil, err
	}
	secret, err := client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("could not look a token up: %w", err)
	}
	return secret.Data, nil
}

// EnableKV mounts a KV secrets engine, version 2, and waits until it works.
func (s *Server) EnableKV(ctx context.Context, path string) error {
	input := &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}
	if err := s.client.Sys().MountWithContext(ctx, path, input); err != nil {
		return fmt.Errorf("could not enable KV at %s: %w", path, err)
	}
	// It refuses requests while it turns itself from version 1 into version 2.
	return process.WaitUntil(ctx, "KV at "+path+" works", func(ctx context.Context) (bool, error) {
		if err := s.failure(); err != nil {
			return false, err
		}
		_, err := s.client.Logical().ReadWithContext(ctx, path+"/config")
		return err == nil, nil
	})
}

// WriteSecret writes a secret to a KV secrets engine, version 2. With the HTTP
// API it is read from /v1/MOUNT/data/NAME.
func (s *Server) WriteSecret(ctx context.Context, mount, name string, data map[string]any) error {
	if _, err := s.client.KVv2(mount).Put(ctx, name, data); err != nil {
		return fmt.Errorf("could not write secret %s of %s: %w", name, mount, err)
	}
	return nil
}

// WritePolicy writes a policy, whose rules are in HCL or JSON.
func (s *Server) WritePolicy(ctx context.Context, name, rules string) error {
	if err := s.client.Sys().PutPolicyWithContext(ctx, name, rules); err != nil {
		return fmt.Errorf("could not write policy %s: %w", name, err)
	}
	return nil
}

func (s *Server) write(ctx context.Context, path string, parameters map[string]any) error {
	if _, err := s.client.Logical().WriteWithContext(ctx, path, parameters); err != nil {
		return fmt.Errorf("could not write %s: %w", path, err)
	}
	return nil
}
