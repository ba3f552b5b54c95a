package buildcache

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
)

func TestKeyDependsOnInputs(t *testing.T) {
	if Key("ab", "c") == Key("a", "bc") {
		t.Error("the key does not depend on where an input ends")
	}
}

func TestServerDependsOnToolchainAndModule(t *testing.T) {
	base := Key(Server{}.inputs("go1.26.8", []byte("mod"), []byte("sum"))...)
	for name, other := range map[string][]string{
		"toolchain": Server{}.inputs("go1.27.0", []byte("mod"), []byte("sum")),
		"mod":       Server{}.inputs("go1.26.8", []byte("other"), []byte("sum")),
		"sum":       Server{}.inputs("go1.26.8", []byte("mod"), []byte("other")),
		"version":   Server{Version: "v2"}.inputs("go1.26.8", []byte("mod"), []byte("sum")),
		"program":   Server{Main: "package main"}.inputs("go1.26.8", []byte("mod"), []byte("sum")),
		"flags":     Server{Flags: []string{"-a"}}.inputs("go1.26.8", []byte("mod"), []byte("sum")),
	} {
		if Key(other...) == base {
			t.Errorf("the key does not depend on %s", name)
		}
	}
}

func TestServerRefusesAnotherPinnedModule(t *testing.T) {
	files := fstest.MapFS{
		"modules/a.mod": {Data: []byte("module b\n\nrequire a v1\n\nrequire c v1 // indirect\n")},
		"modules/a.sum": {Data: []byte("a v1 h1:x\na v1/go.mod h1:y\n")},
	}
	for name, test := range map[string]struct {
		server Server
		want   error
	}{
		"the same":            {Server{Name: "a", Module: "a", Version: "v1", Dependent: "module b\n\nrequire a v1\n"}, nil},
		"another version":     {Server{Name: "a", Module: "a", Version: "v2", Dependent: "module b\n\nrequire a v2\n"}, errStale},
		"another replacement": {Server{Name: "a", Module: "a", Version: "v1", Dependent: "replace c => d v1\n"}, errStale},
		"none":                {Server{Name: "b", Module: "b", Version: "v1"}, errStale},
	} {
		test.server.Pinned = files
		if _, _, err := test.server.pinned(); !errors.Is(err, test.want) {
			t.Errorf("%s: got error %v, want %v", name, err, test.want)
		}
	}
}

func TestCacheIsFilledOnce(t *testing.T) {
	t.Setenv("OIDC_INJECTOR_CACHE", t.TempDir())
	var calls atomic.Int32
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			entry, err := NewEntry(io.Discard, "test", "input")
			if err != nil {
				t.Error(err)
				return
			}
			if err := entry.Fill(t.Context(), []string{"a", "b"}, func(dir string, _ []string) error {
				calls.Add(1)
				return WriteFiles(dir, map[string][]byte{"a": nil, "b": nil})
			}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if calls.Load() != 1 {
		t.Errorf("filled %d times, want once", calls.Load())
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	t.Setenv("OIDC_INJECTOR_CACHE", t.TempDir())
	entry, err := NewEntry(io.Discard, "test", "input")
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("failed half-way")
	err = entry.Fill(t.Context(), []string{"a", "b"}, func(dir string, _ []string) error {
		return errors.Join(WriteFiles(dir, map[string][]byte{"a": nil}), failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("got error %v, want %v", err, failure)
	}
	if missing := entry.missing([]string{"a", "b"}); !slices.Equal(missing, []string{"a", "b"}) {
		t.Errorf("missing is %q, want both", missing)
	}
	left, err := filepath.Glob(filepath.Join(entry.Dir, ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %q, error %v", left, err)
	}
}

func TestProgress(t *testing.T) {
	p := StartProgress(io.Discard, "building")
	defer p.Stop(nil)
	write := func(text string) {
		if _, err := io.WriteString(p, text); err != nil {
			t.Fatal(err)
		}
	}
	write("go: downloading x v1\ngo: downloa")
	write("ding y v1\n")
	if got := p.state(time.Now()); got != "2 modules downloaded" {
		t.Error(got)
	}
	p.Expect(100)
	write("k8s.io/api/core/v1\nk8s.io")
	write("/utils/ptr\n# k8s.io/broken\na.go:1:2: error\n")
	if got := p.state(p.compiling.Add(time.Second)); got != "2 %, 2 of 100 packages compiled" {
		t.Error(got)
	}
	write(strings.Repeat("a/b\n", 18))
	if got := p.state(p.compiling.Add(31 * time.Second)); got != "20 %, 20 of 100 packages compiled, about 2m0s left" {
		t.Error(got)
	}
	write(strings.Repeat("a/b\n", 100))
	if got := p.state(p.compiling.Add(time.Minute)); got != "100 %, 120 of 100 packages compiled, about 0s left" {
		t.Error(got)
	}
}
