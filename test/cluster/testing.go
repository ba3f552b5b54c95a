package cluster

import (
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
