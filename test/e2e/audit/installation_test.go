package audit

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"

	"github.com/oidc-injector/oidc-injector/test/injector"
)

const lease = "oidc-injector-audit"

// clusterRules and namespaceRules are all that the audit needs: they are those of
// docs/audit.md and of the chart.
func clusterRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create"}},
		{APIGroups: []string{"apps"}, Resources: []string{"daemonsets"}, Verbs: []string{"get"}},
		{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: []string{"get"}},
		{APIGroups: []string{"apps"}, Resources: []string{"statefulsets"}, Verbs: []string{"get"}},
		{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"get"}},
	}
}

func namespaceRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{
			APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{lease},
			Verbs: []string{"get", "create", "update", "patch"},
		},
	}
}

// without is the rules but one verb on one resource.
func without(rules []rbacv1.PolicyRule, verb, resource string) []rbacv1.PolicyRule {
	for i := range rules {
		if rules[i].Resources[0] == resource {
			rules[i].Verbs = slices.DeleteFunc(rules[i].Verbs, func(v string) bool { return v == verb })
		}
	}
	return slices.DeleteFunc(rules, func(r rbacv1.PolicyRule) bool { return len(r.Verbs) == 0 })
}

// installation is a webhook with the failure policy Ignore, in a namespace of its
// own, that serves the namespaces with its label.
type installation struct {
	namespace  string
	kubeconfig string
	certs      string
	door       *door
}

func install(t *testing.T, name string, clusterRules, namespaceRules []rbacv1.PolicyRule) *installation {
	t.Helper()
	in := &installation{namespace: "audit-" + name, certs: t.TempDir(), door: open(t)}
	if err := kube.Namespace(t.Context(), in.namespace, nil); err != nil {
		t.Fatal(err)
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{"tls.crt": certificate, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(in.certs, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in.allow(t, clusterRules, namespaceRules)
	in.kubeconfig = in.writeKubeconfig(t)
	in.register(t, certificate)
	return in
}

// label is that of the namespaces which are served.
func (in *installation) label() string { return "audit-test/" + in.namespace }

// served creates a namespace, with the label or without.
func (in *installation) served(t *testing.T, name string, labelled bool) string {
	t.Helper()
	labels := map[string]string{}
	if labelled {
		labels[in.label()] = "true"
	}
	name = in.namespace + "-" + name
	if err := kube.Namespace(t.Context(), name, labels); err != nil {
		t.Fatal(err)
	}
	return name
}

func (in *installation) allow(t *testing.T, cluster, namespace []rbacv1.PolicyRule) {
	t.Helper()
	client, ctx, meta := kube.Client().RbacV1(), t.Context(), metav1.ObjectMeta{Name: in.namespace}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "default", Namespace: in.namespace}}
	if _, err := client.Roles(in.namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: namespace},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RoleBindings(in.namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: in.namespace},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: cluster},
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
	return writeKubeconfig(t, &api.Cluster{Server: kube.RESTConfig().Host, CertificateAuthorityData: kube.CA()},
		&api.AuthInfo{Token: token.Status.Token})
}

func writeKubeconfig(t *testing.T, server *api.Cluster, user *api.AuthInfo) string {
	t.Helper()
	config := api.NewConfig()
	config.Clusters["test"], config.AuthInfos["webhook"] = server, user
	config.Contexts["test"] = &api.Context{Cluster: "test", AuthInfo: "webhook"}
	config.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (in *installation) register(t *testing.T, ca []byte) {
	t.Helper()
	scope := admissionregistrationv1.NamespacedScope
	url := fmt.Sprintf("https://%s/mutate", in.door.address)
	webhooks := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: in.namespace},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: injector.WebhookName, ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: ca},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"},
					Scope: &scope,
				},
			}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{in.label(): "true"}},
			FailurePolicy:     new(admissionregistrationv1.Ignore), SideEffects: new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds: new(int32(5)), AdmissionReviewVersions: []string{"v1"},
		}},
	}
	if _, err := webhooks.Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := webhooks.Delete(context.WithoutCancel(t.Context()), in.namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// door is the way to the webhook, which can be shut.
type door struct {
	address string
	to      atomic.Pointer[string] // nil while it is shut
	mu      sync.Mutex
	conns   map[net.Conn]bool
}

func open(t *testing.T) *door {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{address: listener.Addr().String(), conns: map[net.Conn]bool{}}
	t.Cleanup(func() {
		listener.Close()
		d.shut()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go d.forward(conn)
		}
	}()
	return d
}

// shut ends all connections: the webhook is away.
func (d *door) shut() {
	d.to.Store(nil)
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		conn.Close()
	}
}

func (d *door) forward(from net.Conn) {
	defer from.Close()
	address := d.to.Load()
	if address == nil {
		return
	}
	to, err := net.Dial("tcp", *address)
	if err != nil {
		return
	}
	defer to.Close()
	d.mu.Lock()
	d.conns[from] = true
	d.mu.Unlock()
	go func() {
		_, _ = io.Copy(to, from)
		to.Close()
	}()
	_, _ = io.Copy(from, to)
	d.mu.Lock()
	delete(d.conns, from)
	d.mu.Unlock()
}

// injected reports whether a pod has its token.
func injected(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "oidc-token" })
}
