// Package server runs the webhook: TLS, probes, metrics, logging and an orderly
// end. What an admission gets as its answer is decided in internal/admission.
package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// Options are the webhook's flags.
type Options struct {
	ConfigFile             string
	BindAddress            string
	Port                   int
	Certificates           string
	CertDir                string
	Managed                ManagedOptions
	Audit                  AuditOptions
	ClientCAFile           string
	ClientAllowedNames     []string
	TLSMinVersion          string
	EnableHTTP2            bool
	MetricsBindAddress     string
	HealthProbeBindAddress string
	ShutdownDelay          time.Duration
	LogLevel               string
	LogFormat              string
	AnnotationPrefix       string
}

// ManagedOptions are the flags of certificates that the webhook makes itself.
type ManagedOptions struct {
	ServiceName              string
	Namespace                string
	ExtraNames               []string
	CASecretName             string
	WebhookConfigurationName string // of files, too
	CADuration               time.Duration
	CertificateDuration      time.Duration
	Kubeconfig               string
}

// Where the serving certificate comes from.
const (
	certificatesFiles   = "files"
	certificatesManaged = "managed"
)

// The values that flags may take.
var (
	tlsVersions = map[string]uint16{"VersionTLS12": tls.VersionTLS12, "VersionTLS13": tls.VersionTLS13}
	logLevels   = map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	logFormats = []string{"json", "text"}
)

// disabled is the address that switches a listener off.
const disabled = "0"

// AddFlags defines the flags, with their defaults.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, "config", "",
		"Path of the InjectorConfig file. It is reloaded when it changes. Without it, the built-in defaults serve.")
	fs.StringVar(&o.BindAddress, "bind-address", "", "IP address to serve admission reviews on. Empty means all.")
	fs.IntVar(&o.Port, "port", 9443, "Port to serve admission reviews on, at the path /mutate.")
	o.addCertificateFlags(fs)
	fs.StringVar(&o.ClientCAFile, "client-ca-file", "",
		"File with the CA certificates that clients' certificates must be signed by. It is reloaded when it changes. Without it, clients need no certificate.")
	fs.StringSliceVar(&o.ClientAllowedNames, "client-allowed-names", nil,
		"Common names that clients' certificates may have, comma separated; with --client-ca-file. Empty allows every certificate of that CA.")
	fs.StringVar(&o.TLSMinVersion, "tls-min-version", "VersionTLS12", "Lowest TLS version to accept: VersionTLS12 or VersionTLS13.")
	fs.BoolVar(&o.EnableHTTP2, "enable-http2", false, "Offer HTTP/2 to clients.")
	fs.StringVar(&o.MetricsBindAddress, "metrics-bind-address", ":8080", `Address to serve /metrics on, over plain HTTP. "0" switches it off.`)
	fs.StringVar(&o.HealthProbeBindAddress, "health-probe-bind-address", ":8081",
		`Address to serve /healthz and /readyz on, over plain HTTP. "0" switches it off.`)
	fs.DurationVar(&o.ShutdownDelay, "shutdown-delay-duration", 0,
		"Time to keep serving after SIGTERM while /readyz fails already, so that the API server stops sending requests here first.")
	fs.StringVar(&o.LogLevel, "log-level", "info", "Lowest level to log: debug, info, warn or error.")
	fs.StringVar(&o.LogFormat, "log-format", "json", "Format of the log: json or text.")
	fs.StringVar(&o.AnnotationPrefix, "annotation-prefix", annotations.DefaultPrefix, "Prefix of the annotations, before the slash.")
	o.Audit.addFlags(fs)
}

func (o *Options) addCertificateFlags(fs *pflag.FlagSet) {
	m := &o.Managed
	fs.StringVar(&o.Certificates, "certificates", certificatesFiles,
		"Where the serving certificate comes from: files (--cert-dir), or managed: made and rotated by the webhook itself.")
	fs.StringVar(&o.CertDir, "cert-dir", "/var/run/oidc-injector/certs",
		"Directory with the serving certificate (tls.crt, tls.key). It is reloaded when it changes.")
	fs.StringVar(&m.ServiceName, "service-name", "", "Service that the API server calls the webhook by. Managed certificates are for it.")
	fs.StringVar(&m.Namespace, "namespace", "", "Namespace of the Service, of the Secret, and of the Lease of the audit.")
	fs.StringSliceVar(&m.ExtraNames, "certificate-extra-names", nil,
		"Further DNS names and IP addresses that managed certificates are for, comma separated, such as the host of a clientConfig.url.")
	fs.StringVar(&m.CASecretName, "ca-secret-name", "", "Secret that holds the CA of managed certificates. It is created where it is missing.")
	fs.StringVar(&m.WebhookConfigurationName, "webhook-configuration-name", "",
		"MutatingWebhookConfiguration to write the CA of managed certificates into. With files, /readyz verifies the certificate against its caBundle.")
	fs.DurationVar(&m.CADuration, "ca-duration", 8760*time.Hour, "Life of a managed CA. It is replaced after 2/3 of it.")
	fs.DurationVar(&m.CertificateDuration, "certificate-duration", 168*time.Hour,
		"Life of a managed serving certificate. It is replaced after 2/3 of it.")
	fs.StringVar(&m.Kubeconfig, "kubeconfig", "", "Kubeconfig to reach the API server by. Without it, the pod's own ServiceAccount is used.")
}

// Validate reports everything that is wrong with the flags.
func (o *Options) Validate() error {
	var errs []error
	_, tlsVersion := tlsVersions[o.TLSMinVersion]
	_, logLevel := logLevels[o.LogLevel]
	for _, c := range append([]check{
		{o.BindAddress == "" || net.ParseIP(o.BindAddress) != nil, "bind-address", o.BindAddress, "an IP address"},
		{o.Port >= 1 && o.Port <= 65535, "port", strconv.Itoa(o.Port), "from 1 to 65535"},
		{
			len(o.ClientAllowedNames) == 0 || o.ClientCAFile != "", "client-allowed-names",
			strings.Join(o.ClientAllowedNames, ","), "used together with --client-ca-file",
		},
		{tlsVersion, "tls-min-version", o.TLSMinVersion, "VersionTLS12 or VersionTLS13"},
		{isAddress(o.MetricsBindAddress), "metrics-bind-address", o.MetricsBindAddress, `host:port, :port or "0"`},
		{isAddress(o.HealthProbeBindAddress), "health-probe-bind-address", o.HealthProbeBindAddress, `host:port, :port or "0"`},
		{o.ShutdownDelay >= 0, "shutdown-delay-duration", o.ShutdownDelay.String(), "zero or more"},
		{logLevel, "log-level", o.LogLevel, "debug, info, warn or error"},
		{slices.Contains(logFormats, o.LogFormat), "log-format", o.LogFormat, strings.Join(logFormats, " or ")},
		{
			len(validation.IsDNS1123Subdomain(o.AnnotationPrefix)) == 0, "annotation-prefix",
			o.AnnotationPrefix, "a DNS name, such as " + annotations.DefaultPrefix,
		},
	}, slices.Concat(o.certificateChecks(), o.auditChecks())...) {
		if !c.ok {
			errs = append(errs, fmt.Errorf("--%s: invalid value %q: must be %s", c.flag, c.value, c.allowed))
		}
	}
	return errors.Join(errs...)
}

// check is a rule for one flag.
type check struct {
	ok                   bool
	flag, value, allowed string
}

// The bounds of lives: time to replace a certificate, and a CA that outlives by
// its last third what it signs.
const (
	minCertificateDuration = 10 * time.Second
	minCertificatesOfOneCA = 3
)

func (o *Options) certificateChecks() []check {
	m := &o.Managed
	mode := check{
		o.Certificates == certificatesFiles || o.Certificates == certificatesManaged, "certificates", o.Certificates,
		certificatesFiles + " or " + certificatesManaged,
	}
	configuration := check{
		len(validation.IsDNS1123Subdomain(m.WebhookConfigurationName)) == 0, "webhook-configuration-name",
		m.WebhookConfigurationName, "the name of a MutatingWebhookConfiguration",
	}
	if o.Certificates != certificatesManaged {
		configuration.ok = configuration.ok || m.WebhookConfigurationName == ""
		return []check{mode, {o.CertDir != "", "cert-dir", o.CertDir, "a directory"}, configuration}
	}
	return []check{
		configuration,
		{len(validation.IsDNS1035Label(m.ServiceName)) == 0, "service-name", m.ServiceName, "the name of a Service"},
		{len(validation.IsDNS1123Label(m.Namespace)) == 0, "namespace", m.Namespace, "the name of a namespace"},
		{!slices.ContainsFunc(m.ExtraNames, isNoHost), "certificate-extra-names", strings.Join(m.ExtraNames, ","), "DNS names and IP addresses"},
		{len(validation.IsDNS1123Subdomain(m.CASecretName)) == 0, "ca-secret-name", m.CASecretName, "the name of a Secret"},
		{
			m.CertificateDuration >= minCertificateDuration, "certificate-duration",
			m.CertificateDuration.String(), "at least " + minCertificateDuration.String(),
		},
		{
			m.CADuration >= minCertificatesOfOneCA*m.CertificateDuration, "ca-duration", m.CADuration.String(),
			fmt.Sprintf("at least %d times --certificate-duration", minCertificatesOfOneCA),
		},
	}
}

// isNoHost reports whether something is neither a DNS name nor an IP address.
func isNoHost(name string) bool {
	return net.ParseIP(name) == nil && len(validation.IsDNS1123Subdomain(name)) > 0
}

// isAddress reports whether a server can listen on it, host:port or :port, or need
// not.
func isAddress(address string) bool {
	if address == disabled {
		return true
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}
