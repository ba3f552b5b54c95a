package cli

import (
	"context"
	"fmt"

	"k8s.io/client-go/kubernetes"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
)

// publication is what the cluster's API server says of its issuer, as bytes and read.
type publication struct {
	discovery, keys []byte
	document        issuer.Document
}

// The paths at which API servers have the two documents (Kubernetes documentation,
// "ServiceAccount token issuer discovery").
const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/openid/v1/jwks"
)

// published asks the API server, with the rights of whoever calls.
func (g *globals) published(ctx context.Context) (publication, error) {
	client, err := g.client()
	if err != nil {
		return publication{}, err
	}
	var p publication
	if p.discovery, err = raw(ctx, client, discoveryPath); err != nil {
		return p, err
	}
	if p.keys, err = raw(ctx, client, keysPath); err != nil {
		return p, err
	}
	if p.document, err = issuer.ParseDocument(p.discovery); err != nil {
		return p, fmt.Errorf("%s of the API server: %w", discoveryPath, err)
	}
	return p, nil
}

func raw(ctx context.Context, client kubernetes.Interface, path string) ([]byte, error) {
	data, err := client.Discovery().RESTClient().Get().AbsPath(path).Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("could not read %s of the API server: %w", path, err)
	}
	return data, nil
}
