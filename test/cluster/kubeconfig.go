package cluster

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/oidc-injector/oidc-injector/test/internal/pki"
)

// writeKubeconfig writes a kubeconfig that needs no other file.
func writeKubeconfig(path, server string, ca []byte, user string, pair pki.KeyPair) error {
	config := api.NewConfig()
	config.Clusters["oidc-injector"] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[user] = &api.AuthInfo{ClientCertificateData: pair.Certificate, ClientKeyData: pair.Key}
	config.Contexts["oidc-injector"] = &api.Context{Cluster: "oidc-injector", AuthInfo: user}
	config.CurrentContext = "oidc-injector"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("could not write a kubeconfig: %w", err)
	}
	return nil
}

// newRESTConfig is the admin's, without the client's own rate limit: it only
// slows tests down.
func newRESTConfig(server string, ca []byte, pair pki.KeyPair) *rest.Config {
	return &rest.Config{
		Host:            server,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca, CertData: pair.Certificate, KeyData: pair.Key},
		QPS:             -1,
	}
}
