package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/oidc-injector/oidc-injector/internal/audit"
	"github.com/oidc-injector/oidc-injector/internal/certs"
	"github.com/oidc-injector/oidc-injector/internal/server"
)

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	var o server.Options
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.AddFlags(flags)
	if err := flags.Parse(nil); err != nil {
		t.Fatal(err)
	}
	want := server.Options{
		Port: 9443, TLSMinVersion: "VersionTLS13",
		Certs: certs.Flags{
			Certificates: "files", Dir: "/var/run/oidc-injector/certs", CADuration: 8760 * time.Hour,
			CertificateDuration: 168 * time.Hour,
		},
		Audit:              audit.Flags{LeaseName: "oidc-injector-audit"},
		MetricsBindAddress: ":8080", HealthProbeBindAddress: ":8081", LogLevel: "info", LogFormat: "json",
		AnnotationPrefix: "oidc-injector.io",
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}

func TestInvalidFlags(t *testing.T) {
	t.Parallel()
	o := server.Options{
		BindAddress: "localhost", Port: 65536, Certs: certs.Flags{Certificates: "files"}, TLSMinVersion: "1.2", MetricsBindAddress: "8080",
		HealthProbeBindAddress: "",
		ShutdownDelay:          -time.Second, LogLevel: "INFO", LogFormat: "xml", AnnotationPrefix: "Example.com/",
	}
	want := strings.TrimSuffix(`--bind-address: invalid value "localhost": must be an IP address
--port: invalid value "65536": must be from 1 to 65535
--tls-min-version: invalid value "1.2": must be VersionTLS12 or VersionTLS13
--metrics-bind-address: invalid value "8080": must be host:port, :port or "0"
--health-probe-bind-address: invalid value "": must be host:port, :port or "0"
--shutdown-delay-duration: invalid value "-1s": must be zero or more
--log-level: invalid value "INFO": must be debug, info, warn or error
--log-format: invalid value "xml": must be json or text
--annotation-prefix: invalid value "Example.com/": must be a DNS name, such as oidc-injector.io
--cert-dir: invalid value "": must be a directory
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

func TestFlagLimits(t *testing.T) {
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

// flagsTest is what is wrong with changed flags; nothing is, if want is empty.
type flagsTest struct {
	name   string
	change func(*server.Options)
	want   string
}

func expectErrors(t *testing.T, tests []flagsTest) {
	t.Helper()
	for _, tt := range tests {
		o := options(t)
		tt.change(&o)
		got := ""
		if err := o.Validate(); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestInvalidCertificateFlags(t *testing.T) {
	t.Parallel()
	expectErrors(t, []flagsTest{
		{
			"another source", func(o *server.Options) { o.Certs.Certificates = "vault" },
			`--certificates: invalid value "vault": must be files or managed`,
		},
		{"managed, and nothing else", func(o *server.Options) {
			o.Certs = certs.Flags{Certificates: "managed", ExtraNames: []string{"a.example", "a b"}}
		}, `--webhook-configuration-name: invalid value "": must be the name of a MutatingWebhookConfiguration
--service-name: invalid value "": must be the name of a Service
--namespace: invalid value "": must be the name of a namespace
--certificate-extra-names: invalid value "a.example,a b": must be DNS names and IP addresses
--ca-secret-name: invalid value "": must be the name of a Secret
--certificate-duration: invalid value "0s": must be at least 10s`},
		{"durations that do not fit", func(o *server.Options) {
			o.Certs = managed()
			o.Certs.CADuration = 20 * time.Hour
		}, `--ca-duration: invalid value "20h0m0s": must be at least 3 times --certificate-duration`},
		{
			"files, and no name", func(o *server.Options) { o.Certs.ConfigurationName = "a b" },
			`--webhook-configuration-name: invalid value "a b": must be the name of a MutatingWebhookConfiguration`,
		},
		{"all of it", func(o *server.Options) {
			o.Certs = managed()
		}, ""},
	})
}

// managed are valid flags of managed certificates.
func managed() certs.Flags {
	return certs.Flags{
		Certificates: "managed", ServiceName: "oidc-injector", Namespace: "security", CASecretName: "oidc-injector-ca",
		ConfigurationName: "oidc-injector",
		ExtraNames:        []string{"hooks.example.com", "192.0.2.1", "2001:db8::1"}, CADuration: 30 * time.Hour,
		CertificateDuration: 10 * time.Hour,
	}
}

func TestInvalidAuditFlags(t *testing.T) {
	t.Parallel()
	wrong := audit.Flags{LeaseName: "A", NamespaceSelector: "a=b=c", PodSelector: "in ("}
	expectErrors(t, []flagsTest{
		{"switched off", func(o *server.Options) { o.Audit = wrong }, ""},
		{"files, and all of it wrong", func(o *server.Options) {
			o.Audit = wrong
			o.Audit.Enabled = true
		}, `--audit-lease-name: invalid value "A": must be the name of a Lease
--audit-namespace-selector: invalid value "a=b=c": must be a label selector
--audit-pod-selector: invalid value "in (": must be a label selector
--namespace: invalid value "": must be the name of a namespace`},
		{"managed, without a namespace", func(o *server.Options) {
			o.Certs = managed()
			o.Certs.Namespace, o.Audit.Enabled = "", true
		}, `--namespace: invalid value "": must be the name of a namespace`},
		{"all of it", func(o *server.Options) {
			o.Certs.Namespace = "security"
			o.Audit = audit.Flags{
				Enabled: true, LeaseName: "audit", PodSelector: "app in (web,shop),!legacy",
				NamespaceSelector: "oidc-injector.io/enabled!=false,kubernetes.io/metadata.name notin (kube-system,security)",
			}
		}, ""},
	})
}
