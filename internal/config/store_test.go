package config_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

// allowing is a configuration file that allows one audience.
func allowing(audience string) string {
	return header + "policy: {audiences: {allowed: [" + audience + "]}}\n"
}

// followed is a store that follows a file.
type followed struct {
	*config.Store
	path    string
	log     *testutil.Log
	metrics *prometheus.Registry
}

func follow(t *testing.T, content string) *followed {
	t.Helper()
	f := &followed{path: filepath.Join(t.TempDir(), "config.yaml"), log: &testutil.Log{}, metrics: prometheus.NewRegistry()}
	write(t, f.path, content)
	store, err := config.NewStore(config.StoreOptions{
		Path: f.path, Environment: environment(), Interval: time.Millisecond, Log: f.log.Logger(), Metrics: f.metrics,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Store = store
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return f
}

// allows reports whether an audience is allowed now.
func (f *followed) allows(audience string) bool {
	return allows(f.Current(), audience)
}

// counted are the reload metrics.
type counted struct{ successes, failures, inForce float64 }

func (f *followed) expectReloads(t *testing.T, want counted) {
	t.Helper()
	for range 10000 {
		if f.counted(t) == want {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("metrics %+v, want %+v", f.counted(t), want)
}

func (f *followed) counted(t *testing.T) counted {
	t.Helper()
	return counted{
		successes: f.metric(t, "oidc_injector_config_reloads_total", "success"),
		failures:  f.metric(t, "oidc_injector_config_reloads_total", "failure"),
		inForce:   f.metric(t, "oidc_injector_config_last_reload_successful", ""),
	}
}

func (f *followed) lastSuccess(t *testing.T) float64 {
	t.Helper()
	return f.metric(t, "oidc_injector_config_last_reload_success_timestamp_seconds", "")
}

// metric is the value of a counter or gauge, by the value of its only label.
func (f *followed) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("there is no metric %s %s", name, label)
	return 0
}

func TestStoreWithoutFile(t *testing.T) {
	t.Parallel()
	log := &testutil.Log{}
	store, err := config.NewStore(config.StoreOptions{Environment: environment(), Log: log.Logger(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- store.Run(ctx) }()
	if !allows(store.Current(), "vault") {
		t.Error("the built-in defaults deny an ordinary audience")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if log.String() != "" {
		t.Errorf("log:\n%s", log)
	}
}

func TestStoreStartErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wrong := filepath.Join(dir, "wrong.yaml")
	write(t, wrong, header+"maxExpiration: 1s\n")
	missing := filepath.Join(dir, "missing.yaml")
	for path, want := range map[string]string{
		missing: "could not read the configuration: open " + missing + ": no such file or directory",
		wrong: wrong + `: invalid configuration: maxExpiration: Invalid value: "1s": ` +
			`must be a Go duration of whole seconds from 10m0s to 1193046h28m16s, such as 24h`,
	} {
		_, err := config.NewStore(config.StoreOptions{Path: path, Environment: environment(), Metrics: prometheus.NewRegistry()})
		if err == nil {
			t.Errorf("%s was accepted", path)
		} else if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
	}
}

func TestStoreReloads(t *testing.T) {
	t.Parallel()
	f := follow(t, allowing("before"))
	f.expectReloads(t, counted{0, 0, 1})
	if !f.allows("before") || f.allows("after") {
		t.Fatal("the first configuration is not in force")
	}
	loaded := f.lastSuccess(t)
	if loaded == 0 {
		t.Error("the first load has no timestamp")
	}
	write(t, f.path, allowing("after"))
	testutil.Eventually(t, "the new file is in force", func() bool { return f.allows("after") && !f.allows("before") })
	f.expectReloads(t, counted{1, 0, 1})
	if f.lastSuccess(t) < loaded {
		t.Error("the timestamp went back")
	}
	testutil.Eventually(t, "the log says so", func() bool { return f.log.String() != "" })
	if diff := cmp.Diff("level=INFO msg=\"configuration reloaded\" path="+f.path+"\n", f.log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestStoreKeepsPreviousOfBrokenFile(t *testing.T) {
	t.Parallel()
	f := follow(t, allowing("before"))
	write(t, f.path, header+"maxExpiration: 1s\n")
	f.expectReloads(t, counted{0, 1, 0})
	if !f.allows("before") || f.allows("other") {
		t.Error("the previous configuration is no longer in force")
	}
	want := `level=ERROR msg="configuration not reloaded, the previous one stays in force" path=` + f.path +
		` error="invalid configuration: maxExpiration: Invalid value: \"1s\": must be a Go duration of whole seconds from 10m0s to ` +
		`1193046h28m16s, such as 24h"` + "\n"
	testutil.Eventually(t, "the log says so", func() bool { return f.log.String() != "" })
	if diff := cmp.Diff(want, f.log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}

	write(t, f.path, allowing("after"))
	testutil.Eventually(t, "the good file is in force", func() bool { return f.allows("after") })
	f.expectReloads(t, counted{1, 1, 1})
}

func TestNotesAreLogged(t *testing.T) {
	t.Parallel()
	f := follow(t, header+"bindings: [{name: b, namespaces: [c, d], serviceAccounts: [a], annotations: {audience: vault}}]\n"+
		"policy: {namespaces: [{namespaces: [c], audiences: {denied: [vault]}}]}\n")
	const want = `level=WARN msg="policy forbids what a binding gives"`
	if got := f.log.String(); !strings.HasPrefix(got, want) || !strings.Contains(got, "binding b: pods in c ") {
		t.Errorf("log: %s", got)
	}
}

func TestStoreKeepsPreviousOfRemovedFile(t *testing.T) {
	t.Parallel()
	f := follow(t, allowing("before"))
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	f.expectReloads(t, counted{0, 1, 0})
	if !f.allows("before") {
		t.Error("the configuration went away with its file")
	}
	want := `level=ERROR msg="configuration not reloaded, the previous one stays in force" path=` + f.path + ` error="the file is gone"` +
		"\n"
	testutil.Eventually(t, "the log says so", func() bool { return f.log.String() != "" })
	if diff := cmp.Diff(want, f.log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}

	write(t, f.path, allowing("before")) // what it was before is good content again
	f.expectReloads(t, counted{1, 1, 1})
}

func TestStoreConcurrentReaders(t *testing.T) {
	t.Parallel()
	f := follow(t, allowing("even"))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				cfg := f.Current()
				even, odd := allows(cfg, "even"), allows(cfg, "odd")
				if even == odd {
					t.Error("half of a configuration was seen")
					return
				}
			}
		})
	}
	for i := range 10 {
		next := []string{"odd", "even"}[i%2]
		write(t, f.path, allowing(next))
		testutil.Eventually(t, "the file is in force", func() bool { return f.allows(next) })
		write(t, f.path, "broken: [")
		f.expectReloads(t, counted{float64(i + 1), float64(i + 1), 0})
	}
	close(stop)
	readers.Wait()
}

// Audiences that are found out later hold beside the file, and after its next change.
func TestStoreAddsAPIServerAudiences(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, header+"policy: {apiServerAudiences: [configured]}\n")
	store, err := config.NewStore(config.StoreOptions{
		Path: path, Environment: environment(), Interval: time.Millisecond, Log: slog.New(slog.DiscardHandler),
		Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !store.AddAPIServerAudiences([]string{"a", "b"}) || store.AddAPIServerAudiences([]string{"b", "a"}) ||
		!store.AddAPIServerAudiences([]string{"c", "a"}) {
		t.Error("what is new is not told from what is not")
	}
	expectRefused := func() {
		t.Helper()
		for audience, refused := range map[string]bool{"a": true, "b": true, "c": true, "configured": true, "d": false} {
			if allows(store.Current(), audience) == refused {
				t.Errorf("audience %s: refused is not %t", audience, refused)
			}
		}
	}
	expectRefused()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = store.Run(ctx) }()
	write(t, path, header+"policy: {apiServerAudiences: [configured], audiences: {denied: [x]}}\n")
	for allows(store.Current(), "x") && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	expectRefused()
	many := make([]string, 1000)
	for i := range many {
		many[i] = "many-" + strconv.Itoa(i)
	}
	store.AddAPIServerAudiences(many)
	if allows(store.Current(), "many-10") || !allows(store.Current(), "many-900") {
		t.Error("the number of audiences is not bounded")
	}
}
