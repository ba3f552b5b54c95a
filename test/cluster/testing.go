package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

// ExitCode is that of a package's tests, which returned a code, and the error of
// what they need. It shows the error, with which they have failed.
func ExitCode(code int, err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Setup is what the tests of a package need.
type Setup struct {
	// Name is a part of the name of the folder that is removed at the end.
	Name string
	// Options are those of the cluster, which may be in that folder.
	Options func(dir string) (Options, error)
	// Prepare gets the cluster and the folder, before the first test. What it returns
	// is called after the last one, with the code that the tests have returned.
	Prepare func(ctx context.Context, c *Cluster, dir string) (end func(ctx context.Context, code int) error, err error)
}

// Main runs the tests of a package with one cluster for all of them:
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.Setup{…})) }
func Main(m *testing.M, s Setup) (exitCode int) {
	return ExitCode(s.run(context.Background(), m))
}

func (s Setup) run(ctx context.Context, m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "oidc-injector-"+s.Name+"-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	var options Options
	if s.Options != nil {
		if options, err = s.Options(dir); err != nil {
			return 1, err
		}
	}
	options.Progress = os.Stderr
	c, err := Start(ctx, options)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	end, err := s.Prepare(ctx, c, dir)
	if err != nil {
		return 1, err
	}
	code = m.Run()
	if end != nil {
		err = end(ctx, code)
	}
	return code, err
}

// RequireNode skips a test where no node can run, and says why. With CI set it
// fails instead, as there nobody would notice.
func RequireNode(t testing.TB) {
	t.Helper()
	err := NodeSupported()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("no node can run here, which CI must not skip: %v", err)
	default:
		t.Skipf("SKIPPED, no node can run here: %v", err)
	}
}

// StartForTest starts a cluster for a single test. Its end stops the cluster,
// and leaves the logs if the test has failed.
func StartForTest(t testing.TB, options Options) *Cluster {
	t.Helper()
	if options.Node {
		RequireNode(t)
	}
	if options.Progress == nil {
		options.Progress = os.Stderr
	}
	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopAfterTest(t, c) })
	return c
}

func stopAfterTest(t testing.TB, c *Cluster) {
	t.Helper()
	if t.Failed() {
		c.KeepLogs()
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("the logs of the cluster are in %s", c.LogDir())
	}
}
