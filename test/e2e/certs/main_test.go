// Package certs tests the certificates that the webhook makes and rotates itself:
// the real program, in several processes, with the rights of its ServiceAccount
// and nothing more, registered by a Service with a real API server.
package certs

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/ports"
)

var (
	kube    *cluster.Cluster
	program string // the webhook
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.Setup{Name: "certs", Options: options, Prepare: prepare}))
}

// callers is the installation whose webhook is called with a token.
var callers struct {
	port      string // of its Service
	tokenFile string // which the API server reads
}

func options(dir string) (cluster.Options, error) {
	port, err := ports.Reserve() // until all tests are over
	if err != nil {
		return cluster.Options{}, err
	}
	callers.port = strconv.Itoa(port.Number)
	callers.tokenFile = filepath.Join(dir, "caller-token")
	kubeconfig, admission := filepath.Join(dir, "webhooks.kubeconfig"), filepath.Join(dir, "admission.yaml")
	for file, content := range map[string]string{
		kubeconfig: "{apiVersion: v1, kind: Config, users: [{name: '" + serviceName + ".certs-callers.svc:" + callers.port +
			"', user: {tokenFile: " + callers.tokenFile + "}}]}",
		admission: "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n- name: MutatingAdmissionWebhook\n" +
			"  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: " + kubeconfig +
			"}\n",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return cluster.Options{}, err
		}
	}
	return cluster.Options{
		FeatureGates: []string{"APIServerWebhookAuthenticationToken"},
		APIServerArgs: []string{
			// So that a Service of type ExternalName may stand for what listens on the
			// loopback, which endpoints must not.
			"--enable-aggregator-routing=false",
			"--admission-control-config-file=" + admission,
		},
	}, nil
}

func prepare(ctx context.Context, c *cluster.Cluster, dir string) (_ func(context.Context, int) error, err error) {
	kube = c
	program, err = injector.Build(ctx, "webhook", dir)
	return nil, err
}
