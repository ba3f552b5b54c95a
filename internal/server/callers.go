package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/caller"
	"github.com/oidc-injector/oidc-injector/internal/kubeclient"
)

// callers are let in by their tokens; without a verifier everybody is.
type callers struct{ verifier *caller.Verifier }

// newCallers returns what the flags ask for. Every ServiceAccount may read the keys
// (ClusterRole system:service-account-issuer-discovery).
func (o *Options) newCallers(log *slog.Logger, metrics prometheus.Registerer) (callers, error) {
	if o.CallerTokenAudience == "" {
		return callers{}, nil
	}
	config, err := kubeclient.Load(o.Certs.Kubeconfig)
	if err != nil {
		return callers{}, err
	}
	client, err := coreclient.NewForConfig(config)
	if err != nil {
		return callers{}, fmt.Errorf("could not prepare to call the API server: %w", err)
	}
	return callers{caller.New(caller.Options{
		Keys: caller.Discover(func(ctx context.Context, path string) ([]byte, error) {
			return client.RESTClient().Get().AbsPath(path).DoRaw(ctx)
		}),
		Audiences:         []string{o.CallerTokenAudience + Path, o.CallerTokenAudience + WorkloadsPath},
		ConfigurationName: o.Certs.ConfigurationName, Log: log, Metrics: metrics,
	})}, nil
}

func (c callers) wrap(next http.Handler) http.Handler {
	if c.verifier == nil {
		return next
	}
	return c.verifier.Wrap(next)
}

func (c callers) tasks() []task {
	if c.verifier == nil {
		return nil
	}
	return []task{c.verifier.Run}
}

// ready reports whether callers could be let in.
func (c callers) ready() error {
	if c.verifier == nil {
		return nil
	}
	return c.verifier.Ready()
}
