package server_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/server"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

const configHeader = "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"

func TestShutdownAnswersInFlight(t *testing.T) {
	w := started(t, options(t))
	slow, body := io.Pipe()
	type result struct {
		answer answer
		err    error
	}
	results := make(chan result, 1)
	client := w.client(nil)
	go func() {
		a, err := w.send(t, client, slow)
		results <- result{a, err}
	}()
	if _, err := io.WriteString(body, review[:len(review)/2]); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the request has arrived", func() bool {
		return strings.Contains(w.metrics(t), `controller_runtime_webhook_requests_in_flight{webhook="/mutate"} 1`)
	})

	w.stop()
	testutil.Eventually(t, "readiness is off", func() bool {
		code, text := w.probe(t, "/readyz")
		return code == http.StatusServiceUnavailable && text == "not ready: shutting down\n"
	})
	testutil.Eventually(t, "no new connections are taken", func() bool {
		_, err := w.post(t, w.client(nil))
		return err != nil
	})
	if code, _ := w.probe(t, "/healthz"); code != http.StatusOK {
		t.Errorf("healthz while the last request is answered: %d", code)
	}
	w.metrics(t)

	if _, err := io.WriteString(body, review[len(review)/2:]); err != nil {
		t.Fatal(err)
	}
	_ = body.Close()
	r := <-results
	if r.err != nil {
		t.Fatal(r.err)
	}
	expectPatch(t, r.answer)
	w.expectEnd(t)
	if code, _ := w.probe(t, "/healthz"); code != 0 {
		t.Errorf("healthz after the end: %d", code)
	}
}

// TestShutdownDelay: the webhook serves on.
func TestShutdownDelay(t *testing.T) {
	o := options(t)
	o.ShutdownDelay = 4 * time.Second
	w := started(t, o)
	client := w.client(nil)
	client.Transport.(*http.Transport).DisableKeepAlives = false // as an API server
	if w.expectAnswer(t, client).closes {
		t.Error("connections are closed before the end")
	}
	w.stop()
	testutil.Eventually(t, "readiness is off", func() bool {
		_, text := w.probe(t, "/readyz")
		return text == "not ready: shutting down\n"
	})
	if !w.expectAnswer(t, client).closes {
		t.Error("the client is not told to connect elsewhere")
	}
	w.expectEnd(t)
	if !w.log.Has(`msg="shutting down" delay=4s`) {
		t.Errorf("log:\n%s", w.log)
	}
}

// TestShutdownBeforeCertificate: the program can end before it has a certificate.
func TestShutdownBeforeCertificate(t *testing.T) {
	w := start(t, options(t))
	testutil.Eventually(t, "the probes are served", func() bool {
		code, _ := w.probe(t, "/healthz")
		return code == http.StatusOK
	})
	w.stop()
	w.expectEnd(t)
}

// TestConfigReload: no request is dropped.
func TestConfigReload(t *testing.T) {
	o := options(t)
	o.ConfigFile = filepath.Join(t.TempDir(), "config.yaml")
	allow := func(audience string) {
		write(t, o.ConfigFile, []byte(configHeader+"policy: {audiences: {allowed: ["+audience+"]}}\n"))
	}
	allow("vault")
	w := started(t, o)

	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		clients.Go(func() {
			client := w.client(nil)
			client.Transport.(*http.Transport).DisableKeepAlives = false
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := w.post(t, client)
				if err != nil || a.code != http.StatusOK {
					t.Errorf("HTTP %d, error %v", a.code, err)
					return
				}
			}
		})
	}
	allowed := func() bool {
		a, err := w.post(t, w.client(nil))
		return err == nil && strings.Contains(a.body, `"allowed":true`)
	}
	if !allowed() {
		t.Error("denied by the first configuration")
	}
	allow("other")
	testutil.Eventually(t, "the second configuration denies", func() bool { return !allowed() })
	write(t, o.ConfigFile, []byte("broken: ["))
	testutil.Eventually(t, "the log says that the third one is broken", func() bool { return w.log.Has("configuration not reloaded") })
	if allowed() {
		t.Error("a broken configuration changed something")
	}
	if !strings.Contains(w.metrics(t), "\noidc_injector_config_last_reload_successful 0\n") {
		t.Error("the metrics do not say that the file is broken")
	}
	allow("vault")
	testutil.Eventually(t, "the last configuration allows", allowed)
	close(stop)
	clients.Wait()
}

func TestMetrics(t *testing.T) {
	w := started(t, options(t))
	w.expectAnswer(t, w.client(nil))
	metrics := w.metrics(t)
	for _, want := range []string{
		`oidc_injector_admissions_total{outcome="mutated",reason="injected"} 1`,
		`oidc_injector_admissions_total{outcome="failed",reason="panic"} 0`,
		`oidc_injector_admission_duration_seconds_bucket{le="2.5e-05"} `,
		`oidc_injector_certificate_expiration_timestamp_seconds{certificate="serving"} `,
		"oidc_injector_config_last_reload_successful 1\n",
		`oidc_injector_config_reloads_total{result="failure"} 0`,
		"oidc_injector_config_last_reload_success_timestamp_seconds ",
		`oidc_injector_build_info{goversion="go`,
		"go_goroutines ",
		"process_resident_memory_bytes ",
		`controller_runtime_webhook_requests_total{code="200",webhook="/mutate"} `,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if code, _ := get(t, "http://"+w.MetricsBindAddress+"/"); code != http.StatusNotFound {
		t.Errorf("another path: %d", code)
	}
}

func TestListenersOff(t *testing.T) {
	o := options(t)
	metrics, probes := o.MetricsBindAddress, o.HealthProbeBindAddress
	o.MetricsBindAddress, o.HealthProbeBindAddress = "0", "0"
	w := start(t, o)
	w.ca.issue(t, "webhook", time.Hour).write(t, o.Certs.Dir)
	testutil.Eventually(t, "reviews are answered", func() bool {
		_, err := w.post(t, w.client(nil))
		return err == nil
	})
	for _, address := range []string{metrics, probes} {
		if code, text := get(t, "http://"+address+"/"); code != 0 {
			t.Errorf("%s answers: %d %s", address, code, text)
		}
	}
}

func TestOtherPaths(t *testing.T) {
	w := started(t, options(t))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+loopback(w.Port)+"/", strings.NewReader(review))
	if err != nil {
		t.Fatal(err)
	}
	response, err := w.client(nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("HTTP %d", response.StatusCode)
	}
}

func TestPortInUse(t *testing.T) {
	occupied, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	address := occupied.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for name, take := range map[string]func(*server.Options){
		"webhook": func(o *server.Options) { o.Port, _ = strconv.Atoi(port) },
		"metrics": func(o *server.Options) { o.MetricsBindAddress = address },
		"probes":  func(o *server.Options) { o.HealthProbeBindAddress = address },
	} {
		o := options(t)
		take(&o)
		err := server.Run(t.Context(), o, io.Discard)
		want := "listen tcp " + address + ": bind: address already in use"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestUnusableFiles(t *testing.T) {
	dir := t.TempDir()
	wrong := filepath.Join(dir, "wrong")
	write(t, wrong, []byte("kind: Wrong\n"))
	missing := filepath.Join(dir, "missing")
	for _, tt := range []struct {
		name   string
		change func(*server.Options)
		want   string
	}{
		{
			"a wrong configuration", func(o *server.Options) { o.ConfigFile = wrong },
			wrong + `: invalid configuration: [apiVersion: Unsupported value: "": supported values: "config.oidc-injector.io/v1alpha1", ` +
				`kind: Unsupported value: "Wrong": supported values: "InjectorConfig"]`,
		},
		{
			"no configuration", func(o *server.Options) { o.ConfigFile = missing },
			"could not read the configuration: open " + missing + ": no such file or directory",
		},
		{
			"a wrong client CA", func(o *server.Options) { o.ClientCAFile = wrong },
			"could not use --client-ca-file " + wrong + ": contains no PEM certificates",
		},
		{
			"no client CA", func(o *server.Options) { o.ClientCAFile = missing },
			"could not read --client-ca-file: open " + missing + ": no such file or directory",
		},
	} {
		o := options(t)
		tt.change(&o)
		err := server.Run(t.Context(), o, io.Discard)
		if err == nil {
			t.Errorf("%s: accepted", tt.name)
		} else if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestLogFormat(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		o := options(t)
		o.LogFormat = format
		w := started(t, o)
		w.expectAnswer(t, w.client(nil))
		w.stop()
		w.expectEnd(t)
		for line := range strings.Lines(w.log.String()) {
			if json.Valid([]byte(line)) != (format == "json") {
				t.Errorf("format %s: %s", format, line)
			}
		}
	}
}

func TestLogLevel(t *testing.T) {
	o := options(t)
	o.LogLevel = "warn"
	w := start(t, o)
	testutil.Eventually(t, "the log says that there is no certificate", func() bool {
		return w.log.Has(`level=WARN msg="serving certificate not loaded, retrying" dir=` + o.Certs.Dir)
	})
	w.ca.issue(t, "webhook", time.Hour).write(t, o.Certs.Dir)
	w.eventuallyReady(t)
	w.expectAnswer(t, w.client(nil))
	w.stop()
	w.expectEnd(t)
	if w.log.Has("level=INFO") || w.log.Has("level=DEBUG") {
		t.Errorf("log:\n%s", w.log)
	}
}

// What a pod holds is nowhere in the log, whichever library writes it.
func TestNoContentLogged(t *testing.T) {
	const marker = "hunter2secret"
	w := started(t, options(t))
	client := w.client(nil)
	for _, body := range []string{
		strings.Replace(review, "vault", marker, 1), strings.Replace(review, "vault", " "+marker, 1), review + marker, marker,
	} {
		if _, err := w.send(t, client, strings.NewReader(body)); err != nil {
			t.Error(err)
		}
	}
	w.stop()
	w.expectEnd(t)
	if w.log.Has(marker) || !w.log.Has("outcome=mutated") || !w.log.Has("outcome=denied") || !w.log.Has("request refused") {
		t.Errorf("log:\n%s", w.log)
	}
}
