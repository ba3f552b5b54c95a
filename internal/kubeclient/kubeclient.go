// Package kubeclient finds the API server.
package kubeclient

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/oidc-injector/oidc-injector/internal/version"
)

// Load returns the way to the API server: that of a kubeconfig, or without one
// that of the pod that this program runs in.
func Load(kubeconfig string) (*rest.Config, error) {
	var config *rest.Config
	var err error
	if kubeconfig == "" {
		config, err = rest.InClusterConfig()
	} else {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("could not load the API client configuration: %w", err)
	}
	// How the API server's audit log calls us.
	config.UserAgent = "oidc-injector-webhook/" + version.Version()
	return config, nil
}
