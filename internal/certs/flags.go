package certs

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/flagcheck"
)

// Where the serving certificate comes from.
const (
	FromFiles = "files"
	Made      = "managed"
)

// The bounds of lifetimes: time to replace a certificate, and a CA that outlives by
// its last third what it signs.
const (
	minCertificateDuration = 10 * time.Second
	minCertificatesOfOneCA = 3
)

// Flags are those of certificates.
type Flags struct {
	// Certificates is FromFiles, of the folder Dir, or Made.
	Certificates string
	Dir          string

	ServiceName         string
	Namespace           string
	ExtraNames          []string
	CASecretName        string
	CADuration          time.Duration
	CertificateDuration time.Duration
	// ConfigurationName and Kubeconfig are for certificates of files, too.
	ConfigurationName string
	Kubeconfig        string
}

// AddFlags defines the flags, with their defaults.
func (f *Flags) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.Certificates, "certificates", FromFiles,
		"Where the serving certificate comes from: files (--cert-dir), or managed: made and rotated by the webhook itself.")
	fs.StringVar(&f.Dir, "cert-dir", "/var/run/oidc-injector/certs",
		"Directory with the serving certificate (tls.crt, tls.key). It is reloaded when it changes.")
	fs.StringVar(&f.ServiceName, "service-name", "", "Service that the API server calls the webhook by. Managed certificates are for it.")
	fs.StringVar(&f.Namespace, "namespace", "", "Namespace of the Service, of the Secret, and of the Lease of the audit.")
	fs.StringSliceVar(&f.ExtraNames, "certificate-extra-names", nil,
		"Further DNS names and IP addresses that managed certificates are for, comma separated, such as the host of a clientConfig.url.")
	fs.StringVar(&f.CASecretName, "ca-secret-name", "", "Secret that holds the CA of managed certificates. "+
		"It is created where it is missing.")
	fs.StringVar(&f.ConfigurationName, "webhook-configuration-name", "",
		"MutatingWebhookConfiguration to write the CA of managed certificates into. "+
			"With files, /readyz verifies the certificate against its caBundle.")
	fs.DurationVar(&f.CADuration, "ca-duration", 8760*time.Hour, "Life of a managed CA. It is replaced after 2/3 of it.")
	fs.DurationVar(&f.CertificateDuration, "certificate-duration", 168*time.Hour,
		"Life of a managed serving certificate. It is replaced after 2/3 of it.")
	fs.StringVar(&f.Kubeconfig, "kubeconfig", "", "Kubeconfig to reach the API server by. "+
		"Without it, the pod's own ServiceAccount is used.")
}

// Checks are the rules for the flags.
func (f *Flags) Checks() []flagcheck.Check {
	mode := flagcheck.Check{
		OK: f.Certificates == FromFiles || f.Certificates == Made, Flag: "certificates", Value: f.Certificates,
		Allowed: FromFiles + " or " + Made,
	}
	configuration := flagcheck.Check{
		OK:   len(validation.IsDNS1123Subdomain(f.ConfigurationName)) == 0,
		Flag: "webhook-configuration-name", Value: f.ConfigurationName, Allowed: "the name of a MutatingWebhookConfiguration",
	}
	if f.Certificates != Made {
		configuration.OK = configuration.OK || f.ConfigurationName == ""
		return []flagcheck.Check{mode, {OK: f.Dir != "", Flag: "cert-dir", Value: f.Dir, Allowed: "a directory"}, configuration}
	}
	return []flagcheck.Check{
		configuration,
		{
			OK: len(validation.IsDNS1035Label(f.ServiceName)) == 0, Flag: "service-name", Value: f.ServiceName,
			Allowed: "the name of a Service",
		},
		{OK: len(validation.IsDNS1123Label(f.Namespace)) == 0, Flag: "namespace", Value: f.Namespace, Allowed: "the name of a namespace"},
		{
			OK:   !slices.ContainsFunc(f.ExtraNames, isNoHost),
			Flag: "certificate-extra-names", Value: strings.Join(f.ExtraNames, ","), Allowed: "DNS names and IP addresses",
		},
		{
			OK: len(validation.IsDNS1123Subdomain(f.CASecretName)) == 0, Flag: "ca-secret-name", Value: f.CASecretName,
			Allowed: "the name of a Secret",
		},
		{
			OK:   f.CertificateDuration >= minCertificateDuration,
			Flag: "certificate-duration", Value: f.CertificateDuration.String(), Allowed: "at least " + minCertificateDuration.String(),
		},
		{
			OK: f.CADuration >= minCertificatesOfOneCA*f.CertificateDuration, Flag: "ca-duration", Value: f.CADuration.String(),
			Allowed: fmt.Sprintf("at least %d times --certificate-duration", minCertificatesOfOneCA),
		},
	}
}

// isNoHost reports whether something is neither a DNS name nor an IP address.
func isNoHost(name string) bool {
	return net.ParseIP(name) == nil && len(validation.IsDNS1123Subdomain(name)) > 0
}
