// Package server runs the webhook: TLS, probes, metrics, logging and an orderly
// end. What an admission gets as its answer is decided in internal/admission.
package server

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/audit"
	"github.com/oidc-injector/oidc-injector/internal/certs"
	"github.com/oidc-injector/oidc-injector/internal/flagcheck"
)

// Options are the webhook's flags.
type Options struct {
	ConfigFile             string
	BindAddress            string
	Port                   int
	Certs                  certs.Flags
	Audit                  audit.Flags
	ClientCAFile           string
	ClientAllowedNames     []string
	CallerTokenAudience    string
	TLSMinVersion          string
	EnableHTTP2            bool
	MetricsBindAddress     string
	HealthProbeBindAddress string
	ShutdownDelay          time.Duration
	LogLevel               string
	LogFormat              string
	AnnotationPrefix       string
}

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
	o.Certs.AddFlags(fs)
	fs.StringVar(&o.ClientCAFile, "client-ca-file", "",
		"File with the CA certificates that clients' certificates must be signed by. It is reloaded when it changes. "+
			"Without it, clients need no certificate.")
	fs.StringSliceVar(&o.ClientAllowedNames, "client-allowed-names", nil,
		"Common names that clients' certificates may have, comma separated; with --client-ca-file. "+
			"Empty allows every certificate of that CA.")
	fs.StringVar(&o.CallerTokenAudience, "caller-token-audience", "",
		"Audience, without its path, of the tokens by which API servers have to prove what they are (KEP-6060, alpha in Kubernetes 1.37), "+
			"such as https://NAME.NAMESPACE.svc:443. Without it, callers need no token.")
	fs.StringVar(&o.TLSMinVersion, "tls-min-version", "VersionTLS13", "Lowest TLS version to accept: VersionTLS12 or VersionTLS13.")
	fs.BoolVar(&o.EnableHTTP2, "enable-http2", false, "Offer HTTP/2 to clients.")
	fs.StringVar(&o.MetricsBindAddress, "metrics-bind-address", ":8080",
		`Address to serve /metrics on, over plain HTTP. "0" switches it off.`)
	fs.StringVar(&o.HealthProbeBindAddress, "health-probe-bind-address", ":8081",
		`Address to serve /healthz and /readyz on, over plain HTTP. "0" switches it off.`)
	fs.DurationVar(&o.ShutdownDelay, "shutdown-delay-duration", 0,
		"Time to keep serving after SIGTERM while /readyz fails already, so that the API server stops sending requests here first.")
	fs.StringVar(&o.LogLevel, "log-level", "info", "Lowest level to log: debug, info, warn or error.")
	fs.StringVar(&o.LogFormat, "log-format", "json", "Format of the log: json or text.")
	fs.StringVar(&o.AnnotationPrefix, "annotation-prefix", annotations.DefaultPrefix, "Prefix of the annotations, before the slash.")
	o.Audit.AddFlags(fs)
}

// Validate reports everything that is wrong with the flags.
func (o *Options) Validate() error {
	_, tlsVersion := tlsVersions[o.TLSMinVersion]
	_, logLevel := logLevels[o.LogLevel]
	checks := []flagcheck.Check{
		{
			OK: o.BindAddress == "" || net.ParseIP(o.BindAddress) != nil, Flag: "bind-address", Value: o.BindAddress,
			Allowed: "an IP address",
		},
		{OK: o.Port >= 1 && o.Port <= 65535, Flag: "port", Value: strconv.Itoa(o.Port), Allowed: "from 1 to 65535"},
		{
			OK:   len(o.ClientAllowedNames) == 0 || o.ClientCAFile != "",
			Flag: "client-allowed-names", Value: strings.Join(o.ClientAllowedNames, ","), Allowed: "used together with --client-ca-file",
		},
		{
			OK:   o.CallerTokenAudience == "" || isBaseURL(o.CallerTokenAudience) && o.Certs.ConfigurationName != "",
			Flag: "caller-token-audience", Value: o.CallerTokenAudience,
			Allowed: "https://HOST:PORT without a path, used together with --webhook-configuration-name",
		},
		{OK: tlsVersion, Flag: "tls-min-version", Value: o.TLSMinVersion, Allowed: "VersionTLS12 or VersionTLS13"},
		{
			OK: isAddress(o.MetricsBindAddress), Flag: "metrics-bind-address", Value: o.MetricsBindAddress,
			Allowed: `host:port, :port or "0"`,
		},
		{
			OK: isAddress(o.HealthProbeBindAddress), Flag: "health-probe-bind-address", Value: o.HealthProbeBindAddress,
			Allowed: `host:port, :port or "0"`,
		},
		{OK: o.ShutdownDelay >= 0, Flag: "shutdown-delay-duration", Value: o.ShutdownDelay.String(), Allowed: "zero or more"},
		{OK: logLevel, Flag: "log-level", Value: o.LogLevel, Allowed: "debug, info, warn or error"},
		{OK: slices.Contains(logFormats, o.LogFormat), Flag: "log-format", Value: o.LogFormat, Allowed: strings.Join(logFormats, " or ")},
		{
			OK:   len(validation.IsDNS1123Subdomain(o.AnnotationPrefix)) == 0,
			Flag: "annotation-prefix", Value: o.AnnotationPrefix, Allowed: "a DNS name, such as " + annotations.DefaultPrefix,
		},
	}
	checks = slices.Concat(checks, o.Certs.Checks(), o.Audit.Checks())
	if o.Audit.Enabled && o.Certs.Certificates != certs.Made { // which needs a namespace, too
		namespace := o.Certs.Namespace
		checks = append(checks, flagcheck.Check{
			OK: len(validation.IsDNS1123Label(namespace)) == 0, Flag: "namespace", Value: namespace, Allowed: "the name of a namespace",
		})
	}
	return flagcheck.Errors(checks...)
}

// isBaseURL reports whether it is the URL of a server, without a path.
func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && text == "https://"+u.Host
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
