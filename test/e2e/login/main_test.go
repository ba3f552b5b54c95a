// Package login tests the way of an annotated pod to a token of its relying
// party: the real webhook injects the login container through a real API server,
// and the real program logs in, at a real Vault and at a real OAuth server, with
// the tokens that the API server issues for the pod. Only the kubelet is missing;
// see package loginrun.
package login

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
	"github.com/oidc-injector/oidc-injector/test/relyingparty"
	"github.com/oidc-injector/oidc-injector/test/vault"
)

// All tests share one control plane, one webhook and one Vault, but for those
// that take a Vault away. Each has a namespace and a role of its own.
var (
	kube    *cluster.Cluster
	webhook *injector.Injector
	server  *vault.Server
	// program is the path of the login program, and dir where all is kept.
	program, dir string
)

// config is the configuration in force at the beginning of each test. VAULT
// stands for the address of the Vault.
const config = `
apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
profiles:
  vault:
    audience: vault
    expiration: 2h
    login: vault
    login-address: VAULT
    login-ca-configmap: vault-ca
login:
  image: oidc-login:test
  imagePullPolicy: IfNotPresent
  env:
    OIDC_LOGIN_LOG_FORMAT: json
policy:
  loginAddresses:
    allowed: ["https://127.0.0.1:*", "https://*.example.com"]
  namespaces:
  - namespaces: [locked]
    loginAddresses: {denied: ["https://127.0.0.1:*"]}
  - namespaces: ["plain*"]
    loginAddresses: {allowed: ["http://127.0.0.1:*"]}
  - namespaces: [several-errors]
    audiences: {allowed: [vault]}
`

func TestMain(m *testing.M) {
	// Nearly all tests wait for leases to end, and few of them compute. What is
	// given on the command line counts all the same.
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	// The OAuth library tells of each route of each server.
	slog.SetLogLoggerLevel(slog.LevelWarn)
	os.Exit(cluster.Main(m, cluster.Setup{Name: "login", Prepare: start}))
}

func start(ctx context.Context, c *cluster.Cluster, folder string) (end func(context.Context, int) error, err error) {
	kube, dir = c, folder
	if program, err = injector.Build(ctx, "oidc-login", dir); err != nil {
		return nil, err
	}
	if server, err = vault.Start(ctx, vault.Options{Progress: os.Stderr}); err != nil {
		return nil, err
	}
	if err := errors.Join(allowDiscovery(ctx), prepareVault(ctx, server)); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	if webhook, err = injector.Start(ctx, kube, injector.Options{Dir: dir, Config: configuration(config)}); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return finish, nil
}

func finish(ctx context.Context, code int) error {
	if code != 0 {
		fmt.Fprintf(os.Stderr, "the webhook's log:\n%s", webhook.Log())
	}
	// What tests do not show by themselves: whatever they did, no token is where
	// it does not belong.
	err := searchForSecrets(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "--- FAIL: secrets")
	}
	return errors.Join(err, webhook.Stop(), server.Stop())
}

// allowDiscovery lets relying parties read the issuer's keys, as step 2 of the
// scenario does, and waits until they can.
func allowDiscovery(ctx context.Context) error {
	if err := kube.AllowDiscovery(ctx); err != nil {
		return err
	}
	return process.WaitUntil(ctx, "anybody may read the keys of the issuer", func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := relyingparty.Discover(ctx, kube.Issuer(), kube.CA())
		return err == nil, nil
	})
}

// jwtMount is where the auth method is, and kvMount where the secrets are.
const (
	jwtMount = "jwt"
	kvMount  = "secret"
)

// appPolicy lets a token read one secret, and nothing else.
const appPolicy = `path "secret/data/app" { capabilities = ["read"] }`

// prepareVault makes a new Vault trust the API server, as step 5 of the scenario
// does, and gives it a secret to read and one not to read.
func prepareVault(ctx context.Context, s *vault.Server) error {
	return errors.Join(
		s.EnableKV(ctx, kvMount),
		s.WriteSecret(ctx, kvMount, "app", map[string]any{"password": "hunter2"}),
		s.WriteSecret(ctx, kvMount, "other", map[string]any{"password": "of somebody else"}),
		s.WritePolicy(ctx, "app", appPolicy),
		s.EnableJWT(ctx, jwtMount, vault.JWTConfig{Issuer: kube.Issuer(), DiscoveryCA: kube.CA(), DefaultRole: "default-role"}),
	)
}
