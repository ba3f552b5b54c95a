// Package audit tests the search for pods that were missed: the real program, in
// two processes with the rights of their ServiceAccount and nothing more, against
// a real API server; and its memory, against one, and against a large cluster that is not
// there.
package audit

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
	dir, err := os.MkdirTemp("", "oidc-injector-audit-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if program, err = injector.Build(ctx, "webhook", dir); err != nil {
		return 1, err
	}
	if kube, err = cluster.Start(ctx, cluster.Options{Progress: os.Stderr}); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := kube.Stop(); err == nil {
			err = stopErr
		}
	}()
	return m.Run(), nil
}
