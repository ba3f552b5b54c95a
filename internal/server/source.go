package server

import (
	"crypto/tls"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oidc-injector/oidc-injector/internal/certs"
	"github.com/oidc-injector/oidc-injector/internal/certs/rotation"
	"github.com/oidc-injector/oidc-injector/internal/kubeclient"
)

// source is where the serving certificate comes from, with the tasks that keep
// it fresh.
type source struct {
	certificateSource
	probe selfProbe // nil where nothing is known of the configuration
	tasks []task
}

func (o *Options) newSource(conditions certs.Conditions, log *slog.Logger, metrics prometheus.Registerer) (*source, error) {
	if o.Certs.Certificates == certs.Made {
		return o.newManagedSource(conditions, log, metrics)
	}
	files := certs.NewFiles(o.Certs.Dir, log, metrics)
	s := &source{certificateSource: files, tasks: []task{files.Run}}
	if o.Certs.ConfigurationName == "" {
		return s, nil
	}
	config, err := kubeclient.Load(o.Certs.Kubeconfig)
	if err != nil {
		return nil, err
	}
	probe, err := certs.NewProbe(certs.ProbeOptions{
		Config: config, ConfigurationName: o.Certs.ConfigurationName, Conditions: conditions, Log: log, Metrics: metrics,
		Source: func() (*tls.Certificate, error) { return files.GetCertificate(&tls.ClientHelloInfo{}) },
	})
	if err != nil {
		return nil, err
	}
	s.probe = probe
	s.tasks = append(s.tasks, probe.Run)
	return s, nil
}

func (o *Options) newManagedSource(conditions certs.Conditions, log *slog.Logger, metrics prometheus.Registerer) (*source, error) {
	config, err := kubeclient.Load(o.Certs.Kubeconfig)
	if err != nil {
		return nil, err
	}
	m := &o.Certs
	managed, err := certs.NewManaged(certs.ManagedOptions{
		Config: config, ConfigurationName: m.ConfigurationName, Namespace: m.Namespace, SecretName: m.CASecretName,
		Names:      append(certs.ServiceNames(m.ServiceName, m.Namespace), m.ExtraNames...),
		Policy:     rotation.Policy{CADuration: m.CADuration, CertificateDuration: m.CertificateDuration},
		Conditions: conditions, Log: log, Metrics: metrics,
	})
	if err != nil {
		return nil, err
	}
	return &source{certificateSource: managed, probe: managed, tasks: []task{managed.Run}}, nil
}
