// Package e2e tests the webhook through a real API server.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
)

// All tests share one control plane and one webhook; each has a namespace of
// its own.
var (
	kube    *cluster.Cluster
	webhook *injector.Injector
	// auditLog is the API server's audit log, a JSON object a line.
	auditLog string
)

// auditPolicy logs who does what with pods.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  resources: [{group: "", resources: [pods, pods/ephemeralcontainers]}]
- level: None
`

// config is the configuration in force at the beginning of each test.
const config = `
apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
maxExpiration: 48h
profiles:
  vault:
    audience: vault
    expiration: 2h
    env: VAULT_TOKEN_FILE
  clouds:
    audience.aws: sts.amazonaws.com
    env.aws: AWS_WEB_IDENTITY_TOKEN_FILE
    mount-path.aws: /var/run/secrets/aws
    audience.azure: api://AzureADTokenExchange
    mount-path.azure: /var/run/secrets/azure
policy:
  audiences:
    denied: ["forbidden-*"]
  namespaces:
  - namespaces: ["strict-*"]
    audiences:
      allowed: ["vault", "https://*.example.com"]
`

func TestMain(m *testing.M) {
	os.Exit(cluster.ExitCode(run(m)))
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "oidc-injector-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	auditLog = filepath.Join(dir, "audit.log")
	policy := filepath.Join(dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return 1, err
	}
	kube, err = cluster.Start(ctx, cluster.Options{
		Progress: os.Stderr, APIServerArgs: []string{"--audit-policy-file=" + policy, "--audit-log-path=" + auditLog},
	})
	if err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := kube.Stop(); err == nil {
			err = stopErr
		}
	}()
	clientCA := filepath.Join(dir, "client-ca.crt")
	if err := os.WriteFile(clientCA, kube.CA(), 0o600); err != nil {
		return 1, err
	}
	webhook, err = injector.Start(ctx, kube, injector.Options{
		Dir: dir, Config: config, Args: []string{"--client-ca-file=" + clientCA, "--client-allowed-names=" + cluster.ClientName},
	})
	if err != nil {
		return 1, err
	}
	code = m.Run()
	if code != 0 {
		fmt.Fprintf(os.Stderr, "the webhook's log:\n%s", webhook.Log())
	}
	return code, webhook.Stop()
}
