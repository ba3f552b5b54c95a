package cluster

import (
	"fmt"
	"os"
)

const (
	// admissionConfiguration is the file that tells the API server by which
	// kubeconfig it is a client of webhooks, and webhookKubeconfig is that.
	admissionConfiguration = "admission.yaml"
	webhookKubeconfig      = "webhooks.kubeconfig"

	// ClientName is the common name of the certificate, signed by the cluster's
	// CA, that the API server presents to webhooks.
	ClientName = "kube-apiserver"
)

// writeAdmissionConfiguration makes the API server present a certificate to all
// webhooks (Kubernetes documentation, "Authenticate apiservers").
func (c *Cluster) writeAdmissionConfiguration() error {
	configuration := fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: MutatingAdmissionWebhook
  configuration: &webhooks
    apiVersion: apiserver.config.k8s.io/v1
    kind: WebhookAdmissionConfiguration
    kubeConfigFile: %q
- name: ValidatingAdmissionWebhook
  configuration: *webhooks
`, c.state.Path(webhookKubeconfig))
	kubeconfig := fmt.Sprintf(`apiVersion: v1
kind: Config
users:
- name: '*'
  user: {client-certificate: %q, client-key: %q}
`, c.pki.file("kubelet-client.crt"), c.pki.file("kubelet-client.key"))
	for name, content := range map[string]string{admissionConfiguration: configuration, webhookKubeconfig: kubeconfig} {
		if err := os.WriteFile(c.state.Path(name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("could not write the configuration of admission: %w", err)
		}
	}
	return nil
}
