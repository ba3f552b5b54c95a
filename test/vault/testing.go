package vault

import (
	"os"
	"testing"
)

// StartForTest starts a server for a single test. Its end stops the server, and
// leaves the log if the test has failed.
func StartForTest(t testing.TB, options Options) *Server {
	t.Helper()
	if options.Progress == nil {
		options.Progress = os.Stderr
	}
	s, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopAfterTest(t, s) })
	return s
}

func stopAfterTest(t testing.TB, s *Server) {
	t.Helper()
	if t.Failed() {
		s.KeepLog()
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("the log of Vault is %s", s.LogFile())
	}
}
