package node

import (
	"crypto/x509"
	"math/big"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
	"github.com/oidc-injector/oidc-injector/test/cluster"
)

// testTrustBundles logs in with certificate authorities that come from the cluster
// rather than from the namespace, and with a client certificate of a Secret. Where
// Kubernetes does not serve ClusterTrustBundles yet, it drops them from pods, and the
// login says what it lacks.
func (n *node) testTrustBundles(t *testing.T) {
	t.Parallel()
	served := n.trust(t, "vault-ca", "") && n.trust(t, "example.com:issuer:vault", "example.com/issuer")
	n.createClientCertificate(t, "vault-client")
	for name, bundle := range map[string]string{
		"bundle-named": "vault-ca", "bundle-of-signer": "example.com/issuer/vault", "bundles-of-signer": "example.com/issuer",
	} {
		pod := newPod(name, container("app"))
		pod.Annotations = n.login("login-ca-bundle="+bundle, "login-client-certificate=vault-client")
		delete(pod.Annotations, "oidc-injector.io/login-ca-configmap")
		n.create(t, pod)
		if !served {
			n.waitForReason(t, pod.Name, "could not read the certificate authorities: open /var/run/oidc-login/ca/ca.crt: no such file")
			continue
		}
		n.waitReady(t, pod.Name)
		n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "app")
	}
}

// trust makes a ClusterTrustBundle with the CA of Vault. It is false where Kubernetes
// has none.
func (n *node) trust(t *testing.T, name, signer string) (served bool) {
	t.Helper()
	bundle := &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.ClusterTrustBundleSpec{
			SignerName:  signer,
			TrustBundle: string(n.vault.CA()),
		},
	}
	_, err := n.kube.Client().CertificatesV1().ClusterTrustBundles().Create(t.Context(), bundle, metav1.CreateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	if served = err == nil; !served && n.kube.Version() == cluster.DefaultKubernetesVersion {
		t.Fatal("the newest Kubernetes serves no ClusterTrustBundles")
	}
	return served
}

func (n *node) createClientCertificate(t *testing.T, name string) {
	t.Helper()
	certificate, key := testutil.IssueCertificate(t, &x509.Certificate{SerialNumber: big.NewInt(1)}, nil, nil)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	}
	if _, err := n.kube.Client().CoreV1().Secrets(n.ns).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
