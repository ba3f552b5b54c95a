package audit

import (
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/flagcheck"
)

// Flags are those of the audit.
type Flags struct {
	Enabled           bool
	LeaseName         string
	NamespaceSelector string
	PodSelector       string
}

// AddFlags defines the flags, with their defaults.
func (f *Flags) AddFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&f.Enabled, "audit", false, "Look for pods that ask for tokens and were not injected. "+
		"One replica does it, the holder of a Lease in --namespace.")
	fs.StringVar(&f.LeaseName, "audit-lease-name", "oidc-injector-audit",
		"Lease of the replica that does the audit. It is created where it is missing.")
	fs.StringVar(&f.NamespaceSelector, "audit-namespace-selector", "",
		"Label selector of the namespaces to audit: that of the MutatingWebhookConfiguration. "+
			"Empty means PREFIX/enabled=true, by the prefix of annotations.")
	fs.StringVar(&f.PodSelector, "audit-pod-selector", "",
		"Label selector of the pods to audit: the objectSelector of the MutatingWebhookConfiguration. Empty means all.")
}

// Checks are the rules for the flags; none where the audit is switched off.
func (f *Flags) Checks() []flagcheck.Check {
	if !f.Enabled {
		return nil
	}
	return []flagcheck.Check{
		{
			OK: len(validation.IsDNS1123Subdomain(f.LeaseName)) == 0, Flag: "audit-lease-name", Value: f.LeaseName,
			Allowed: "the name of a Lease",
		},
		{OK: isSelector(f.NamespaceSelector), Flag: "audit-namespace-selector", Value: f.NamespaceSelector, Allowed: "a label selector"},
		{OK: isSelector(f.PodSelector), Flag: "audit-pod-selector", Value: f.PodSelector, Allowed: "a label selector"},
	}
}

func isSelector(text string) bool {
	_, err := labels.Parse(text)
	return err == nil
}
