package cluster

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCacheKeyDependsOnEveryInput(t *testing.T) {
	base := kubernetesBuild{version: "v1.37.2"}
	keys := map[string]string{
		"base":      cacheKey(base.inputs("go1.26.8")...),
		"toolchain": cacheKey(base.inputs("go1.27.0")...),
		"version":   cacheKey((&kubernetesBuild{version: "v1.36.0"}).inputs("go1.26.8")...),
		"flag":      cacheKey(append(base.inputs("go1.26.8"), "-race")...),
		"shift":     cacheKey("ab", "c"),
		"shifted":   cacheKey("a", "bc"),
	}
	seen := map[string]string{}
	for name, key := range keys {
		if other, found := seen[key]; found {
			t.Errorf("%s and %s have the same key %s", name, other, key)
		}
		seen[key] = name
	}
	if again := cacheKey(base.inputs("go1.26.8")...); again != keys["base"] {
		t.Errorf("the key changed from %s to %s", keys["base"], again)
	}
}

func TestBuildFlagsTellTheVersion(t *testing.T) {
	flags := strings.Join((&kubernetesBuild{version: "v1.34.4"}).flags(), " ")
	for _, want := range []string{"version.gitVersion=v1.34.4 ", "version.gitMajor=1 ", "version.gitMinor=34 ", "-s -w"} {
		if !strings.Contains(flags, want) {
			t.Errorf("flags %q lack %q", flags, want)
		}
	}
}

func TestDefaultVersionIsPinned(t *testing.T) {
	mod, sum, found := pinnedModule(DefaultKubernetesVersion)
	if !found || len(sum) == 0 || !strings.Contains(string(mod), "k8s.io/kubernetes "+DefaultKubernetesVersion) {
		t.Errorf("modules/%s.mod or .sum is missing or of another release", DefaultKubernetesVersion)
	}
}

func TestCacheIsFilledOnce(t *testing.T) {
	t.Setenv("OIDC_INJECTOR_CACHE", t.TempDir())
	var calls atomic.Int32
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			entry, err := newCacheEntry(io.Discard, "test", "input")
			if err != nil {
				t.Error(err)
				return
			}
			if err := entry.fill(t.Context(), []string{"a", "b"}, func(dir string, _ []string) error {
				calls.Add(1)
				return writeFiles(dir, map[string][]byte{"a": nil, "b": nil})
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

func TestCacheKeepsNothingOfAFailure(t *testing.T) {
	t.Setenv("OIDC_INJECTOR_CACHE", t.TempDir())
	entry, err := newCacheEntry(io.Discard, "test", "input")
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("failed half-way")
	err = entry.fill(t.Context(), []string{"a", "b"}, func(dir string, _ []string) error {
		return errors.Join(writeFiles(dir, map[string][]byte{"a": nil}), failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("got error %v, want %v", err, failure)
	}
	if missing := entry.missing([]string{"a", "b"}); !slices.Equal(missing, []string{"a", "b"}) {
		t.Errorf("missing is %q, want both", missing)
	}
	left, err := filepath.Glob(filepath.Join(entry.dir, ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %q, error %v", left, err)
	}
}

func TestProgressCountsPackagesOnly(t *testing.T) {
	p := startProgress(io.Discard, "building")
	for _, part := range []string{"k8s.io/api/core/v1\nk8s.io", "/utils/ptr\n# k8s.io/broken\n", "a.go:1:2: error\ngo: downloading x v1\n"} {
		if _, err := io.WriteString(p, part); err != nil {
			t.Fatal(err)
		}
	}
	p.stop(nil)
	if p.count != 2 {
		t.Errorf("counted %d packages, want 2", p.count)
	}
}

func TestAbandonedStateIsRemoved(t *testing.T) {
	parent := t.TempDir()
	used, err := newState(parent)
	if err != nil {
		t.Fatal(err)
	}
	abandoned, err := newState(parent)
	if err != nil {
		t.Fatal(err)
	}
	abandoned.lock.Close() // as the kernel does when a process is killed
	third, err := newState(parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(used.dir); err != nil {
		t.Errorf("the state in use is gone: %v", err)
	}
	if _, err := os.Stat(abandoned.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the abandoned state is still there: %v", err)
	}
	for _, s := range []*state{used, third} {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	}
}
