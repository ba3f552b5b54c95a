package login

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestAnotherCluster needs no login: the API server of another cluster accepts the
// tokens of this one's issuer, as its authentication configuration says, and a pod
// reads there with the injected file in a kubeconfig (docs/providers.md).
func TestAnotherCluster(t *testing.T) {
	t.Parallel()
	const audience = "https://other.example.com"
	ns := namespace(t, "other-cluster", server.CA())
	user := "kube-a:" + subject(ns)
	other := startTrusting(t, audience)
	allowReading(t, other, user)

	pod := podtest.Create(t, kube, ns, podtest.New("app", "audience="+audience, "audience.wrong=https://wrong.example.com"))
	client := clientWith(t, other, tokenFile(t, pod, "oidc-token"))
	var review *authenticationv1.SelfSubjectReview
	// The API server fetches the keys of the issuer when it starts, and again and
	// again until it has them.
	podtest.Eventually(t, "the token is accepted", func(ctx context.Context) (err error) {
		review, err = client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{},
			metav1.CreateOptions{})
		return err
	})
	if got := review.Status.UserInfo.Username; got != user {
		t.Errorf("the other cluster knows the pod as %q instead of %q", got, user)
	}
	if _, err := client.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("what is granted: %v", err)
	}
	if _, err := client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("what is not granted: %v", err)
	}
	wrong := clientWith(t, other, tokenFile(t, pod, "oidc-token-wrong"))
	if _, err := wrong.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("a token for another audience: %v", err)
	}
}

// startTrusting starts a cluster whose API server trusts the issuer of the first one.
func startTrusting(t *testing.T, audience string) *cluster.Cluster {
	t.Helper()
	return startWith(t, fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: %s
    audiences: [%s]
    certificateAuthority: |
      %s
  claimMappings:
    username:
      claim: sub
      prefix: "kube-a:"
`, kube.Issuer(), audience, strings.ReplaceAll(strings.TrimSpace(string(kube.CA())), "\n", "\n      ")))
}

// startWith starts a cluster with an authentication configuration.
func startWith(t *testing.T, authentication string) *cluster.Cluster {
	t.Helper()
	config := filepath.Join(t.TempDir(), "authentication.yaml")
	if err := os.WriteFile(config, []byte(authentication), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := cluster.Start(t.Context(), cluster.Options{
		APIServerArgs: []string{"--authentication-config=" + config},
		Progress:      os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Stop(); err != nil {
			t.Error(err)
		}
	})
	return other
}

// allowReading lets a user read the ConfigMaps of the namespace default.
func allowReading(t *testing.T, other *cluster.Cluster, user string) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "reader"}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"configmaps"},
		Verbs: []string{"list"},
	}}}
	if _, err := other.Client().RbacV1().Roles("default").Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if _, err := other.Client().RbacV1().RoleBindings("default").Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// tokenFile has the token that a volume of the pod projects, as the kubelet would
// write it.
func tokenFile(t *testing.T, pod *corev1.Pod, volume string) string {
	t.Helper()
	token, err := kube.RequestToken(t.Context(), pod, tokenSource(t, pod, volume))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), volume)
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tokenSource is the token that a volume of the pod projects.
func tokenSource(t *testing.T, pod *corev1.Pod, volume string) *corev1.ServiceAccountTokenProjection {
	t.Helper()
	i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume })
	if i < 0 {
		t.Fatalf("the pod has no volume %s", volume)
	}
	return pod.Spec.Volumes[i].Projected.Sources[0].ServiceAccountToken
}

// clientWith is a client by a kubeconfig as a pod would have it, and no more.
func clientWith(t *testing.T, other *cluster.Cluster, tokenFile string) kubernetes.Interface {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, other.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: other
contexts: [{name: other, context: {cluster: other, user: pod}}]
clusters: [{name: other, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: pod, user: {tokenFile: %q}}]
`, other.RESTConfig().Host, ca, tokenFile)
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
