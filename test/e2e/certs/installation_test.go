package certs

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

const (
	serviceName = "injector"
	secretName  = "injector-ca"
	webhookName = "pods.oidc-injector.io"
)

// installation is what a chart installs, in a namespace of its own.
type installation struct {
	namespace  string // also the name of the MutatingWebhookConfiguration
	pods       string // the namespace whose pods are injected
	kubeconfig string
	port       string // of the Service; any where it is empty
	balancer   *balancer
	replicas   []*replica
	// secretRule and configurationRule are what the ServiceAccount may do.
	secretRule, configurationRule rbacv1.PolicyRule
}

// install creates everything but the replicas. Changes are made before.
func install(t *testing.T, name string, changes ...func(*installation)) *installation {
	t.Helper()
	in := &installation{namespace: "certs-" + name, pods: "certs-" + name + "-pods"}
	in.secretRule = rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{secretName},
		Verbs: []string{"get", "watch", "update", "patch", "create"},
	}
	in.configurationRule = rbacv1.PolicyRule{
		APIGroups: []string{admissionregistrationv1.GroupName}, Resources: []string{"mutatingwebhookconfigurations"},
		ResourceNames: []string{in.namespace}, Verbs: []string{"get", "watch", "patch"},
	}
	for _, change := range changes {
		change(in)
	}
	for _, namespace := range []string{in.namespace, in.pods} {
		if err := kube.Namespace(t.Context(), namespace, map[string]string{"certs-test": namespace}); err != nil {
			t.Fatal(err)
		}
	}
	in.balancer = startBalancer(t, cmp.Or(in.port, "0"))
	in.allow(t)
	in.kubeconfig = in.writeKubeconfig(t)
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: serviceName},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}
	if _, err := kube.Client().CoreV1().Services(in.namespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	in.createSecret(t)
	in.register(t)
	t.Cleanup(func() { in.unregister(t) })
	in.awaitInForce(t)
	return in
}

// awaitInForce waits until the API server has heard of the rights and of the
// registration. Between a chart's objects and its first replica there is the pull
// of an image; here there is nothing.
func (in *installation) awaitInForce(t *testing.T) {
	t.Helper()
	client := in.client(t)
	eventually(t, "the rights are in force", func() bool {
		_, secretErr := client.CoreV1().Secrets(in.namespace).Get(t.Context(), secretName, metav1.GetOptions{})
		_, configurationErr := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), in.namespace,
			metav1.GetOptions{})
		return secretErr == nil && configurationErr == nil
	})
	eventually(t, "the webhook is called", func() bool {
		_, err := kube.Client().CoreV1().Pods(in.pods).Create(t.Context(), newPod(),
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "failed calling webhook")
	})
}

// createSecret creates the empty Secret that a chart has, so that it goes when
// the chart goes.
func (in *installation) createSecret(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name:   secretName,
		Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"},
	}}
	if _, err := kube.Client().CoreV1().Secrets(in.namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// configuration is what a chart registers, without a caBundle.
func (in *installation) configuration() *admissionregistrationv1.MutatingWebhookConfiguration {
	scope := admissionregistrationv1.NamespacedScope
	port, path := in.balancer.port, "/mutate"
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: in.namespace},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: webhookName,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				Service: &admissionregistrationv1.ServiceReference{Name: serviceName, Namespace: in.namespace, Path: &path, Port: &port},
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"},
					Scope: &scope,
				},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"certs-test": in.pods}},
			FailurePolicy:           new(admissionregistrationv1.Fail),
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds:          new(int32(5)),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

func (in *installation) register(t *testing.T) {
	t.Helper()
	webhooks := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := webhooks.Create(t.Context(), in.configuration(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (in *installation) unregister(t *testing.T) {
	t.Helper()
	webhooks := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	if err := webhooks.Delete(context.WithoutCancel(t.Context()), in.namespace, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// allow grants the two rules and nothing else.
func (in *installation) allow(t *testing.T) {
	t.Helper()
	client, ctx := kube.Client().RbacV1(), t.Context()
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "default", Namespace: in.namespace}}
	meta := metav1.ObjectMeta{Name: in.namespace}
	if _, err := client.Roles(in.namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{in.secretRule}},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RoleBindings(in.namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: in.namespace},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{in.configurationRule}},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: in.namespace},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// writeKubeconfig writes one with a token of the ServiceAccount.
func (in *installation) writeKubeconfig(t *testing.T) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(3600))}}
	token, err := kube.Client().CoreV1().ServiceAccounts(in.namespace).CreateToken(t.Context(), "default", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := api.NewConfig()
	config.Clusters["test"] = &api.Cluster{Server: kube.RESTConfig().Host, CertificateAuthorityData: kube.CA()}
	config.AuthInfos["webhook"] = &api.AuthInfo{Token: token.Status.Token}
	config.Contexts["test"] = &api.Context{Cluster: "test", AuthInfo: "webhook"}
	config.CurrentContext = "test"
	path := t.TempDir() + "/kubeconfig"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// secret is the Secret as it is now.
func (in *installation) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := kube.Client().CoreV1().Secrets(in.namespace).Get(t.Context(), secretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// registered is the configuration as it is now.
func (in *installation) registered(t *testing.T) *admissionregistrationv1.MutatingWebhookConfiguration {
	t.Helper()
	c, err := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), in.namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (in *installation) bundle(t *testing.T) []byte {
	t.Helper()
	return in.registered(t).Webhooks[0].ClientConfig.CABundle
}

// patchBundle overwrites the bundle as somebody else would.
func (in *installation) patchBundle(t *testing.T, bundle string) {
	t.Helper()
	patch, err := json.Marshal([]map[string]any{{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": []byte(bundle)}})
	if err != nil {
		t.Fatal(err)
	}
	webhooks := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := webhooks.Patch(t.Context(), in.namespace, types.JSONPatchType, patch,
		metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
}

// subjects are those of the certificates in a PEM text.
func subjects(t *testing.T, text []byte) []string {
	t.Helper()
	var names []string
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return names
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, certificate.Subject.CommonName)
	}
}

// eventually waits for a condition, and returns how long it took.
func eventually(t *testing.T, what string, condition func() bool) time.Duration {
	t.Helper()
	return eventuallyWithin(t, time.Minute, what, condition)
}

func eventuallyWithin(t *testing.T, limit time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for time.Since(start) < limit {
		if condition() {
			return time.Since(start)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("timed out waiting: %s", what)
	return 0
}

// newPod is annotated, so that it must not come without its token.
func newPod() *corev1.Pod {
	pod := podtest.New("", "audience=vault")
	pod.GenerateName = "load-"
	return pod
}

// injected reports whether a pod has its token.
func injected(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "oidc-token" })
}

// setVerbs changes what the ServiceAccount may do; nil leaves a rule as it is.
func (in *installation) setVerbs(t *testing.T, secret, configuration []string) {
	t.Helper()
	client := kube.Client().RbacV1()
	if secret != nil {
		in.secretRule.Verbs = secret
	}
	if configuration != nil {
		in.configurationRule.Verbs = configuration
	}
	meta := metav1.ObjectMeta{Name: in.namespace}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{in.secretRule}}
	if _, err := client.Roles(in.namespace).Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	clusterRole := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{in.configurationRule}}
	if _, err := client.ClusterRoles().Update(t.Context(), clusterRole, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// client is one with the rights of the webhook.
func (in *installation) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", in.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// issueFiles writes a serving certificate for a name, and returns its CA.
func issueFiles(t *testing.T, name string) (dir string, ca []byte) {
	t.Helper()
	dir = t.TempDir()
	certificate, key := testutil.IssueCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, nil, nil)
	for file, content := range map[string][]byte{"tls.crt": certificate, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, certificate
}
