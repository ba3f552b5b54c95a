package server

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/audit"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/kubeclient"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// newAudit returns the tasks of the audit: none where it is switched off.
func (o *Options) newAudit(store *config.Store, log *slog.Logger, metrics prometheus.Registerer) ([]task, error) {
	if !o.Audit.Enabled {
		return nil, nil
	}
	rest, err := kubeclient.Load(o.Certs.Kubeconfig)
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
		REST: rest, Namespace: o.Certs.Namespace, LeaseName: o.Audit.LeaseName,
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
