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
	os.Exit(cluster.ExitCode(run(m)))
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "oidc-injector-certs-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if program, err = injector.Build(ctx, "webhook", dir); err != nil {
		return 1, err
	}
	kube, err = cluster.Start(ctx, cluster.Options{
		Progress: os.Stderr,
		// Then a Service of type ExternalName may stand for what listens on the
		// loopback, which endpoints must not.
		APIServerArgs: []string{"--enable-aggregator-routing=false"},
	})
	if err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := kube.Stop(); err == nil {
			err = stopErr
		}
	}()
	return m.Run(), nil
}
