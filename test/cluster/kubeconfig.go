package cluster

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig writes a kubeconfig that needs no other file.
func writeKubeconfig(path, server string, ca []byte, user string, pair keyPair) error {
	config := api.NewConfig()
	config.Clusters["oidc-injector"] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[user] = &api.AuthInfo{ClientCertificateData: pair.certificate, ClientKeyData: pair.key}
	config.Contexts["oidc-injector"] = &api.Context{Cluster: "oidc-injector", AuthInfo: user}
	config.CurrentContext = "oidc-injector"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("could not write a kubeconfig: %w", err)
	}
	return nil
}

// newRESTConfig is the admin's, without the client's own rate limit: it only
// slows tests down.
func newRESTConfig(server string, ca []byte, pair keyPair) *rest.Config {
	return &rest.Config{
		Host:            server,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca, CertData: pair.certificate, KeyData: pair.key},
		QPS:             -1,
	}
}
