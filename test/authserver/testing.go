package authserver

import "testing"

// StartForTest starts a server for a single test, whose end stops it.
func StartForTest(t testing.TB, options Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}
