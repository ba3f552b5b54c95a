// Package server runs the webhook: TLS, probes, metrics, logging and an orderly
// end. What an admission gets as its answer is decided in internal/admission.
package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	CertDir                string
	ClientCAFile           string
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
	fs.StringVar(&o.CertDir, "cert-dir", "/var/run/oidc-injector/certs",
		"Directory with the serving certificate (tls.crt, tls.key). It is reloaded when it changes.")
	fs.StringVar(&o.ClientCAFile, "client-ca-file", "",
		"File with the CA certificates that clients' certificates must be signed by. It is reloaded when it changes. Without it, clients need no certificate.")
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
}

// Validate reports everything that is wrong with the flags.
func (o *Options) Validate() error {
	var errs []error
	wrong := func(flag, value, allowed string) {
		errs = append(errs, fmt.Errorf("--%s: invalid value %q: must be %s", flag, value, allowed))
	}
	if o.BindAddress != "" && net.ParseIP(o.BindAddress) == nil {
		wrong("bind-address", o.BindAddress, "an IP address")
	}
	if o.Port < 1 || o.Port > 65535 {
		wrong("port", strconv.Itoa(o.Port), "from 1 to 65535")
	}
	if o.CertDir == "" {
		wrong("cert-dir", o.CertDir, "a directory")
	}
	if _, ok := tlsVersions[o.TLSMinVersion]; !ok {
		wrong("tls-min-version", o.TLSMinVersion, "VersionTLS12 or VersionTLS13")
	}
	for _, listener := range []struct{ flag, address string }{
		{"metrics-bind-address", o.MetricsBindAddress}, {"health-probe-bind-address", o.HealthProbeBindAddress},
	} {
		if _, _, err := net.SplitHostPort(listener.address); err != nil && listener.address != disabled {
			wrong(listener.flag, listener.address, `host:port, :port or "0"`)
		}
	}
	if o.ShutdownDelay < 0 {
		wrong("shutdown-delay-duration", o.ShutdownDelay.String(), "zero or more")
	}
	if _, ok := logLevels[o.LogLevel]; !ok {
		wrong("log-level", o.LogLevel, "debug, info, warn or error")
	}
	if o.LogFormat != logFormats[0] && o.LogFormat != logFormats[1] {
		wrong("log-format", o.LogFormat, strings.Join(logFormats, " or "))
	}
	if len(validation.IsDNS1123Subdomain(o.AnnotationPrefix)) > 0 {
		wrong("annotation-prefix", o.AnnotationPrefix, "a DNS name, such as "+annotations.DefaultPrefix)
	}
	return errors.Join(errs...)
}
