// Package policymode creates the same pods in a namespace of the webhook and in one of the
// policies, through a real API server, and compares what is stored.
package policymode

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
)

// The namespaces have the same name but for an end, as bindings and policies go by names.
const (
	// byWebhook is served by the webhook, and byPolicy by the policies.
	byWebhook = "shop-w"
	byPolicy  = "shop-p"
	// policyLabel selects the namespace of the policies.
	policyLabel = "policy-mode"
)

// configuration is the one of both.
const configuration = `
apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
profiles:
  vault: {audience: vault, expiration: 2h, env: VAULT_JWT_FILE, skip-containers: istio-proxy}
  clouds:
    audience.aws: sts.amazonaws.com
    env.aws: AWS_WEB_IDENTITY_TOKEN_FILE
    audience.azure: api://AzureADTokenExchange
    env.azure: AZURE_FEDERATED_TOKEN_FILE
  remote: {kubernetes-server: "https://remote.example.com", kubernetes-audience: remote}
  amazon: {aws-role-arn: "arn:aws:iam::123456789012:role/app", aws-region: eu-central-1}
  login: {audience: vault, login: vault, login-address: "http://vault.example.com:8200", login-role: demo}
bindings:
- {name: reports, namespaces: ["shop-*"], serviceAccounts: [reports], annotations: {profile: vault}}
- name: labelled
  namespaces: ["shop-*"]
  serviceAccounts: ["report?"]
  podLabels: {app: grafana}
  annotations: {aws-role-arn: "arn:aws:iam::123456789012:role/reports", expiration.aws: 3h}
login: {image: registry.example.com/oidc-login:v1, env: {OIDC_LOGIN_LISTEN_ADDRESS: ":9090", HTTPS_PROXY: "http://proxy"}}
policy:
  loginAddresses:
    allowed: ["*", "http://vault.example.com:8200"]
    denied: ["https://denied.example.com", "https://10.*"]
  loginSecrets: {denied: ["client"]}
  audiences: {denied: ["forbidden-*"]}
  mountPaths: {allowed: ["*"], denied: [/denied]}
  namespaces:
  - {namespaces: ["shop-?"], audiences: {denied: ["not-here"]}}
`

var (
	kube    *cluster.Cluster
	webhook *injector.Injector
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.Setup{Name: "policymode", Prepare: prepare}))
}

func prepare(ctx context.Context, c *cluster.Cluster, dir string) (end func(context.Context, int) error, err error) {
	kube = c
	if webhook, err = injector.Start(ctx, kube, injector.Options{Dir: dir, Config: configuration}); err != nil {
		return nil, err
	}
	end = func(_ context.Context, code int) error {
		if log := webhook.Log(); code != 0 {
			fmt.Fprintf(os.Stderr, "the end of the webhook's log:\n%s", log[max(0, len(log)-4000):])
		}
		return webhook.Stop()
	}
	if err := kube.Namespace(ctx, byWebhook, map[string]string{injector.EnabledLabel: "true"}); err != nil {
		return end, err
	}
	if err := kube.Namespace(ctx, byPolicy, map[string]string{policyLabel: "true"}); err != nil {
		return end, err
	}
	return end, injector.ApplyPolicies(ctx, kube, configuration, byPolicy, map[string]string{policyLabel: "true"})
}
