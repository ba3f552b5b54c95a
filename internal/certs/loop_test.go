package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// TestLoopSleep: how long the loop sleeps of a minute, with two objects of which one is
// never changed.
func TestLoopSleep(t *testing.T) {
	t.Parallel()
	idle := func(context.Context) (watch.Interface, error) { return watch.NewFake(), nil }
	// after is a watch that has this to say after a time.
	after := func(wait time.Duration, say func(*watch.FakeWatcher)) startWatch {
		return func(context.Context) (watch.Interface, error) {
			watcher := watch.NewFakeWithChanSize(1, false)
			go func() {
				time.Sleep(wait)
				say(watcher)
			}()
			return watcher, nil
		}
	}
	var none runtime.Object
	for name, test := range map[string]struct {
		watch       startWatch
		least, most time.Duration
	}{
		"nothing changes": {idle, time.Minute, time.Minute},
		"a change": {
			after(5*time.Second, func(w *watch.FakeWatcher) { w.Modify(none) }),
			5*time.Second + 10*time.Millisecond, 5*time.Second + 10*time.Millisecond,
		},
		"a change at once":   {after(0, func(w *watch.FakeWatcher) { w.Add(none) }), 10 * time.Millisecond, 10 * time.Millisecond},
		"the watch ends":     {after(0, func(w *watch.FakeWatcher) { w.Stop() }), 510 * time.Millisecond, 1510 * time.Millisecond},
		"the version is old": {after(0, func(w *watch.FakeWatcher) { w.Error(none) }), 510 * time.Millisecond, 1510 * time.Millisecond},
		"no watch": {
			func(context.Context) (watch.Interface, error) { return nil, errors.New("forbidden") },
			time.Minute, time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := loop{log: slog.New(slog.DiscardHandler), watches: []startWatch{idle, test.watch}}
				began := time.Now()
				l.sleep(t.Context(), time.Minute, awaitChange)
				if slept := time.Since(began); slept < test.least || slept > test.most {
					t.Errorf("slept for %s, want %s to %s", slept, test.least, test.most)
				}
			})
		})
	}
}

// TestWatchVersion: no change is missed, and none is seen twice.
func TestWatchVersion(t *testing.T) {
	t.Parallel()
	answers := map[string]string{"GET": "7", "PATCH": "8"} // the resource version
	asked := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("watch") != "" {
			asked = r.FormValue("fieldSelector") + " from " + r.FormValue("resourceVersion")
			return
		}
		if answers[r.Method] == "" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
			return
		}
		fmt.Fprintf(w, `{"metadata":{"name":"x","resourceVersion":%q}}`, answers[r.Method])
	}))
	t.Cleanup(server.Close)
	clock := &apiClock{ahead: newAhead(prometheus.NewRegistry())}
	a, err := newAPIServer(&rest.Config{Host: server.URL}, clock, "injector", "security", "ca")
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what string, start startWatch, want string) {
		t.Helper()
		watcher, err := start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		watcher.Stop()
		if asked != want {
			t.Errorf("%s: watches %q, want %q", what, asked, want)
		}
	}
	c, err := a.getConfiguration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.getSecret(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("what was read", a.watchConfiguration, "metadata.name=injector from 7")
	expect("what was read", a.watchSecret, "metadata.name=ca from 7")
	if _, err := a.applyBundle(t.Context(), c, []byte("bundle")); err != nil {
		t.Fatal(err)
	}
	expect("what was written", a.watchConfiguration, "metadata.name=injector from 8")
	clear(answers)
	if c, err := a.getConfiguration(t.Context()); c != nil || err != nil {
		t.Fatal(c, err)
	}
	if secret, err := a.getSecret(t.Context()); secret != nil || err != nil {
		t.Fatal(secret, err)
	}
	expect("what does not exist", a.watchConfiguration, "metadata.name=injector from ")
	expect("what does not exist", a.watchSecret, "metadata.name=ca from ")
}

// TestLoopSleepAfterFailure: it does not wait for the end of its pause when the API server
// is there again, or a right is.
func TestLoopSleepAfterFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		start := func(context.Context) (watch.Interface, error) {
			if time.Since(began) < 10*time.Second {
				return nil, errors.New("forbidden")
			}
			return watch.NewFake(), nil
		}
		l := loop{log: slog.New(slog.DiscardHandler), watches: []startWatch{start}}
		l.sleep(t.Context(), time.Minute, awaitStart)
		if slept := time.Since(began); slept < 10*time.Second || slept > 14*time.Second {
			t.Errorf("slept for %s", slept)
		}
	})
}
