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
bindings:
- name: reports
  namespaces: ["bound*"]
  serviceAccounts: [reports]
  podLabels: {app: grafana}
  annotations: {profile: vault, aws-role-arn: "arn:aws:iam::123456789012:role/reports"}
- name: forbidden
  namespaces: ["bound*", "free"]
  serviceAccounts: [forbidden]
  annotations: {audience: not-here}
policy:
  audiences:
    denied: ["forbidden-*"]
  namespaces:
  - namespaces: ["bound*"]
    audiences: {denied: [not-here]}
  - namespaces: ["strict-*"]
    audiences:
      allowed: ["vault", "https://*.example.com"]
`

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.Setup{Name: "e2e", Options: options, Prepare: prepare}))
}

func options(dir string) (cluster.Options, error) {
	auditLog = filepath.Join(dir, "audit.log")
	policy := filepath.Join(dir, "audit-policy.yaml")
	return cluster.Options{APIServerArgs: []string{
			"--audit-policy-file=" + policy, "--audit-log-path=" + auditLog,
			"--service-account-max-token-expiration=12h", // less than the webhook's maxExpiration, as TestCheck sees
		}},
		os.WriteFile(policy, []byte(auditPolicy), 0o600)
}

func prepare(ctx context.Context, c *cluster.Cluster, dir string) (end func(context.Context, int) error, err error) {
	kube = c
	clientCA := filepath.Join(dir, "client-ca.crt")
	if err := os.WriteFile(clientCA, kube.CA(), 0o600); err != nil {
		return nil, err
	}
	webhook, err = injector.Start(ctx, kube, injector.Options{
		Dir: dir, Config: config, Args: []string{"--client-ca-file=" + clientCA, "--client-allowed-names=" + cluster.ClientName},
	})
	return func(_ context.Context, code int) error {
		if code != 0 {
			fmt.Fprintf(os.Stderr, "the webhook's log:\n%s", webhook.Log())
		}
		return webhook.Stop()
	}, err
}
