package chart

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applyadmissionregistrationv1 "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

const namespace = "oidc-injector"

// asWebhook is a client with the rights of the webhook's ServiceAccount.
func asWebhook(t *testing.T) kubernetes.Interface {
	t.Helper()
	config := kube.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":oidc-injector",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// certificates are what the webhook writes in managed mode.
type certificates struct {
	Data    map[string][]byte
	Bundles []string
}

// written stand for a CA. To the API server they are bytes.
func written() certificates {
	const bundle = "the webhook's own\n" + testCA
	return certificates{
		Data:    map[string][]byte{"ca.crt": []byte(testCA), "ca.key": []byte("secret")},
		Bundles: []string{bundle, bundle, bundle},
	}
}

// writeCertificates does what the webhook does after its installation, with its rights:
// the Secret by an update, and the bundles by server-side apply.
func writeCertificates(t *testing.T) {
	t.Helper()
	client, want := asWebhook(t), written()
	// The API server learns of roles a moment after they were made.
	podtest.Eventually(t, "the webhook's rights", func(ctx context.Context) error {
		secret, err := client.CoreV1().Secrets(namespace).Get(ctx, "oidc-injector-ca", metav1.GetOptions{})
		if err != nil {
			return err
		}
		secret.Data = want.Data
		if _, err := client.CoreV1().Secrets(namespace).Update(ctx, secret,
			metav1.UpdateOptions{FieldManager: "oidc-injector-certificates"}); err != nil {
			return err
		}
		return applyBundles(ctx, client, want.Bundles)
	})
}

func applyBundles(ctx context.Context, client kubernetes.Interface, bundles []string) error {
	configurations := client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	current, err := configurations.Get(ctx, "oidc-injector", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if len(current.Webhooks) != len(bundles) {
		return fmt.Errorf("there are %d webhooks", len(current.Webhooks))
	}
	apply := applyadmissionregistrationv1.MutatingWebhookConfiguration("oidc-injector").WithUID(current.UID)
	for i, bundle := range bundles {
		apply.WithWebhooks(applyadmissionregistrationv1.MutatingWebhook().WithName(current.Webhooks[i].Name).
			WithClientConfig(applyadmissionregistrationv1.WebhookClientConfig().WithCABundle([]byte(bundle)...)))
	}
	_, err = configurations.Apply(ctx, apply, metav1.ApplyOptions{FieldManager: "oidc-injector-certificates", Force: true})
	return err
}

// readCertificates is what became of it.
func readCertificates(t *testing.T) certificates {
	t.Helper()
	secret, err := kube.Client().CoreV1().Secrets(namespace).Get(t.Context(), "oidc-injector-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	configuration, err := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "oidc-injector",
		metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := certificates{Data: secret.Data}
	for i := range configuration.Webhooks {
		c.Bundles = append(c.Bundles, string(configuration.Webhooks[i].ClientConfig.CABundle))
	}
	return c
}

// certificatesAreKept reports whether an operation has left the certificates alone.
func certificatesAreKept(t *testing.T, after string) {
	t.Helper()
	if diff := cmp.Diff(written(), readCertificates(t)); diff != "" {
		t.Errorf("after %s the certificates are others (-want +got):\n%s", after, diff)
	}
}

func newSecret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}
}
