package install

import (
	"context"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/test/internal/certmanager"
	"github.com/oidc-injector/oidc-injector/test/internal/helm"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

const byCertManager = "--set=certificates.mode=cert-manager"

// testCertManager is the chart with a real cert-manager, to the webhook's own certificates
// and back.
func (n *node) testCertManager(t *testing.T) {
	n.tellIfFailed(t)
	certmanager.Start(t, repository, n.kube)
	gone := helm.NothingIsLeft(t, n.kube)
	n.install(t, n.helm4, byCertManager)
	n.serveApps(t)
	n.runInjected(t, "app")
	n.helmTest(t, n.helm4)

	t.Run("certificate renewed", n.testRenewed)
	t.Run("to managed", func(t *testing.T) {
		n.underLoad(t, tolerance{}, func() { n.upgrade(t, "--reset-values") })
		n.runInjected(t, "managed")
	})
	// The CA injector overwrites a bundle that the webhooks still serve by, and they write it
	// again, until they have been replaced.
	t.Run("back to cert-manager", func(t *testing.T) {
		n.underLoad(t, tolerance{denied: true}, func() { n.upgrade(t, byCertManager) })
		n.runInjected(t, "again")
	})

	n.uninstall(t, n.helm4, gone)
}

// testRenewed asks cert-manager for another certificate, as `cmctl renew` does.
func (n *node) testRenewed(t *testing.T) {
	n.underLoad(t, tolerance{}, func() {
		pods := n.webhooks(t)
		before := map[string]*x509.Certificate{}
		for i := range pods {
			before[pods[i].Name] = n.certificate(t, &pods[i])
		}
		n.kubectl(t, "patch", "certificate", release, "--subresource=status", "--type=json", fmt.Sprintf(
			`--patch=[{"op":"add","path":"/status/conditions/-","value":{"type":"Issuing","status":"True","reason":"ManuallyTriggered",`+
				`"lastTransitionTime":%q}}]`,
			time.Now().UTC().Format(time.RFC3339)))
		n.kubectl(t, "wait", "certificate", release, "--for=jsonpath={.status.revision}=2", "--timeout=60s")
		for i := range pods {
			n.kubectl(t, "annotate", "pod", pods[i].Name, "example.com/look=now") // the kubelet looks once a minute otherwise
		}
		for i := range pods {
			podtest.EventuallyWithin(t, 3*time.Minute, "the new certificate", func(context.Context) error {
				if n.certificate(t, &pods[i]).Equal(before[pods[i].Name]) {
					return fmt.Errorf("%s serves the old one", pods[i].Name)
				}
				return nil
			})
		}
	})
}
