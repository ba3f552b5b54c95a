// Package certs tests the certificates that the webhook makes and rotates itself:
// the real program, in several processes, with the rights of its ServiceAccount
// and nothing more, registered by a Service with a real API server.
package certs

import (
	"context"
	"os"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
)

var (
	kube    *cluster.Cluster
	program string // the webhook
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.Setup{Name: "certs", Options: options, Prepare: prepare}))
}

func options(string) (cluster.Options, error) {
	// So that a Service of type ExternalName may stand for what listens on the
	// loopback, which endpoints must not.
	return cluster.Options{APIServerArgs: []string{"--enable-aggregator-routing=false"}}, nil
}

func prepare(ctx context.Context, c *cluster.Cluster, dir string) (_ func(context.Context, int) error, err error) {
	kube = c
	program, err = injector.Build(ctx, "webhook", dir)
	return nil, err
}
