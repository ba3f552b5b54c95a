package certs

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// LoadConfig returns the way to the API server: that of a kubeconfig, or without
// one that of the pod that this program runs in.
func LoadConfig(kubeconfig, userAgent string) (*rest.Config, error) {
	var config *rest.Config
	var err error
	if kubeconfig == "" {
		config, err = rest.InClusterConfig()
	} else {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("could not find the API server: %w", err)
	}
	config.UserAgent = userAgent
	return config, nil
}
