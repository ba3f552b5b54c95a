package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// apiServer answers as one with these installations of the chart, by the labels and
// names that the chart gives its objects (test/chart has the real ones).
func apiServer(t *testing.T, namespaces ...string) (kubeconfig string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		selector := r.URL.Query().Get("labelSelector")
		var answer any
		switch {
		case r.URL.Path == "/apis/apps/v1/deployments" || strings.HasSuffix(r.URL.Path, "/deployments"):
			list := appsv1.DeploymentList{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DeploymentList"}}
			for _, namespace := range namespaces {
				if strings.Contains(r.URL.Path, "/namespaces/") && !strings.Contains(r.URL.Path, "/"+namespace+"/") {
					continue
				}
				list.Items = append(list.Items, deployment(namespace))
			}
			answer = list
		case strings.HasSuffix(r.URL.Path, "/configmaps/oidc-injector-1"):
			answer = corev1.ConfigMap{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
				Data: map[string]string{"config.yaml": "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n" +
					"profiles: {vault: {audience: vault}}\n"},
			}
		case strings.HasSuffix(r.URL.Path, "/mutatingwebhookconfigurations"):
			if !strings.Contains(selector, "app.kubernetes.io/instance=") {
				t.Errorf("selector %q", selector)
			}
			answer = admissionregistrationv1.MutatingWebhookConfigurationList{
				TypeMeta: metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfigurationList"},
				Items: []admissionregistrationv1.MutatingWebhookConfiguration{{Webhooks: []admissionregistrationv1.MutatingWebhook{{
					Name:              "pods.tokens.example.com",
					NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tokens": "yes"}},
				}}}},
			}
		case r.URL.Path == "/api/v1/namespaces/shop":
			answer = corev1.Namespace{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
				ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"tokens": "yes"}},
			}
		case r.URL.Path == "/api/v1/namespaces/default":
			answer = corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
		default:
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n" +
		"users: [{name: u, user: {}}]\nclusters: [{name: c, cluster: {server: '" + server.URL + "'}}]\n"
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

func deployment(namespace string) appsv1.Deployment {
	d := appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "oidc-injector", Labels: map[string]string{"app.kubernetes.io/instance": namespace},
	}}
	d.Spec.Template.Spec = corev1.PodSpec{
		Containers: []corev1.Container{{Args: []string{"--port=8443", "--annotation-prefix=tokens.example.com"}}},
		Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "oidc-injector-1"},
		}}}},
	}
	return d
}

const bound = `apiVersion: v1
kind: Pod
metadata:
  name: app
  namespace: NAMESPACE
  annotations:
    tokens.example.com/profile: vault
spec:
  containers:
  - name: app
    image: app
`

func TestFromCluster(t *testing.T) {
	t.Parallel()
	one, two, none := apiServer(t, "tokens"), apiServer(t, "tokens", "others"), apiServer(t)
	for name, tt := range map[string]struct {
		kubeconfig, namespace, flag string
		code                        int
		out, errOut                 string
	}{
		"served": {one, "shop", "--from-cluster", ExitOK, "audience: vault", ""},
		"not served": {
			one, "default", "--from-cluster", ExitOK, "image: app\n",
			`namespace "default" is not served: its labels do not match tokens=yes`,
		},
		"by name": {two, "shop", "--from-cluster=others/oidc-injector", ExitOK, "audience: vault", ""},
		"several": {two, "shop", "--from-cluster", ExitError, "", "name one of tokens/oidc-injector, others/oidc-injector"},
		"none":    {none, "shop", "--from-cluster", ExitError, "", "hint: name its configuration with --config FILE"},
		"no such": {one, "shop", "--from-cluster=a/b", ExitError, "", "the cluster has no installation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := call(t, strings.ReplaceAll(bound, "NAMESPACE", tt.namespace), "render", tt.flag, "--kubeconfig",
				tt.kubeconfig)
			if code != tt.code || !strings.Contains(out, tt.out) || !strings.Contains(errOut, tt.errOut) || tt.errOut == "" &&
				errOut != "" {
				t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
			}
		})
	}
}
