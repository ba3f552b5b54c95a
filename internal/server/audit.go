package server

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/audit"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/kubeclient"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// AuditOptions are the flags of the search for pods that were not injected.
type AuditOptions struct {
	Enabled           bool
	LeaseName         string
	NamespaceSelector string
	PodSelector       string
}

func (a *AuditOptions) addFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&a.Enabled, "audit", false, "Look for pods that ask for tokens and were not injected. One replica does it, the holder of a Lease in --namespace.")
	fs.StringVar(&a.LeaseName, "audit-lease-name", "oidc-injector-audit", "Lease of the replica that does the audit. It is created where it is missing.")
	fs.StringVar(&a.NamespaceSelector, "audit-namespace-selector", "",
		"Label selector of the namespaces to audit: that of the MutatingWebhookConfiguration. Empty means PREFIX/enabled=true, by the prefix of annotations.")
	fs.StringVar(&a.PodSelector, "audit-pod-selector", "",
		"Label selector of the pods to audit: the objectSelector of the MutatingWebhookConfiguration. Empty means all.")
}

func (o *Options) auditChecks() []check {
	a := &o.Audit
	if !a.Enabled {
		return nil
	}
	checks := []check{
		{len(validation.IsDNS1123Subdomain(a.LeaseName)) == 0, "audit-lease-name", a.LeaseName, "the name of a Lease"},
		{isSelector(a.NamespaceSelector), "audit-namespace-selector", a.NamespaceSelector, "a label selector"},
		{isSelector(a.PodSelector), "audit-pod-selector", a.PodSelector, "a label selector"},
	}
	if o.Certificates != certificatesManaged { // which needs a namespace, too
		namespace := o.Managed.Namespace
		checks = append(checks, check{len(validation.IsDNS1123Label(namespace)) == 0, "namespace", namespace, "the name of a namespace"})
	}
	return checks
}

func isSelector(text string) bool {
	_, err := labels.Parse(text)
	return err == nil
}

// newAudit returns the tasks of the audit: none where it is switched off.
func (o *Options) newAudit(store *config.Store, log *slog.Logger, metrics prometheus.Registerer) ([]task, error) {
	if !o.Audit.Enabled {
		return nil, nil
	}
	rest, err := kubeclient.Load(o.Managed.Kubeconfig)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("could not find a name for this replica: %w", err)
	}
	selector := o.Audit.NamespaceSelector
	if selector == "" {
		selector = o.AnnotationPrefix + "/enabled=true"
	}
	auditor, err := audit.New(audit.Options{
		REST: rest, Namespace: o.Managed.Namespace, LeaseName: o.Audit.LeaseName,
		// Also a replica that was restarted in its container is another one.
		Identity:          host + "_" + rand.Text(),
		NamespaceSelector: selector, PodSelector: o.Audit.PodSelector, Prefix: annotations.Prefix(o.AnnotationPrefix),
		Config: store.Current, Version: version.Version(), Log: log, Metrics: metrics,
	})
	if err != nil {
		return nil, err
	}
	return []task{auditor.Run}, nil
}
