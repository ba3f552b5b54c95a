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
	os.Exit(cluster.Main(m, cluster.Setup{Name: "audit", Prepare: prepare}))
}

func prepare(ctx context.Context, c *cluster.Cluster, dir string) (_ func(context.Context, int) error, err error) {
	kube = c
	program, err = injector.Build(ctx, "webhook", dir)
	return nil, err
}
