package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/oidc-injector/oidc-injector/internal/server"
)

func TestTheDefaultsOfTheFlagsAreValid(t *testing.T) {
	t.Parallel()
	var o server.Options
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(flags)
	if err := flags.Parse(nil); err != nil {
		t.Fatal(err)
	}
	want := server.Options{
		Port: 9443, CertDir: "/var/run/oidc-injector/certs", TLSMinVersion: "VersionTLS12",
		MetricsBindAddress: ":8080", HealthProbeBindAddress: ":8081", LogLevel: "info", LogFormat: "json", AnnotationPrefix: "oidc-injector.io",
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}

func TestEveryInvalidFlagIsReported(t *testing.T) {
	t.Parallel()
	o := server.Options{
		BindAddress: "localhost", Port: 65536, TLSMinVersion: "1.2", MetricsBindAddress: "8080", HealthProbeBindAddress: "",
		ShutdownDelay: -time.Second, LogLevel: "INFO", LogFormat: "xml", AnnotationPrefix: "Example.com/",
	}
	want := strings.TrimSuffix(`--bind-address: invalid value "localhost": must be an IP address
--port: invalid value "65536": must be from 1 to 65535
--cert-dir: invalid value "": must be a directory
--tls-min-version: invalid value "1.2": must be VersionTLS12 or VersionTLS13
--metrics-bind-address: invalid value "8080": must be host:port, :port or "0"
--health-probe-bind-address: invalid value "": must be host:port, :port or "0"
--shutdown-delay-duration: invalid value "-1s": must be zero or more
--log-level: invalid value "INFO": must be debug, info, warn or error
--log-format: invalid value "xml": must be json or text
--annotation-prefix: invalid value "Example.com/": must be a DNS name, such as oidc-injector.io
`, "\n")
	for range 20 { // in the same order each time
		err := o.Validate()
		if err == nil {
			t.Fatal("accepted")
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Fatalf("error (-want +got):\n%s", diff)
		}
	}
}

func TestTheLimitsOfFlags(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*server.Options){
		"the lowest port":        func(o *server.Options) { o.Port = 1 },
		"the highest port":       func(o *server.Options) { o.Port = 65535 },
		"IPv6":                   func(o *server.Options) { o.BindAddress, o.MetricsBindAddress = "::1", "[::1]:8080" },
		"no metrics, no probes":  func(o *server.Options) { o.MetricsBindAddress, o.HealthProbeBindAddress = "0", "0" },
		"a prefix with subnames": func(o *server.Options) { o.AnnotationPrefix = "tokens.example.com" },
	} {
		o := options(t)
		change(&o)
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
