package policymode

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestLargePods creates those that the cost limits of the API server are the nearest to.
func TestLargePods(t *testing.T) {
	for _, size := range []struct{ tokens, containers int }{{32, 50}, {1, 500}, {1, 1}} {
		t.Run(fmt.Sprintf("%dx%d", size.tokens, size.containers), func(t *testing.T) {
			pod := podtest.New("large")
			for i := range size.tokens {
				suffix := ""
				if i > 0 {
					suffix = fmt.Sprintf(".t%d", i)
				}
				pod.Annotations[podtest.Prefix+"audience"+suffix] = fmt.Sprintf("https://party-%d.example.com", i)
				pod.Annotations[podtest.Prefix+"env"+suffix] = fmt.Sprintf("T%d_TOKEN_FILE", i)
			}
			pod.Spec.Containers = nil
			for i := range size.containers {
				pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: "app"})
			}
			if got := same(t, pod); got != equal {
				t.Errorf("the pod was refused: %v", got)
			}
		})
	}
}

// TestTooManyTokens is denied by both, with the number in the text.
func TestTooManyTokens(t *testing.T) {
	pod := podtest.New("many")
	for i := range 33 {
		pod.Annotations[fmt.Sprintf("%saudience.t%d", podtest.Prefix, i)] = "x"
	}
	if got := same(t, pod); got != deniedByBoth {
		t.Errorf("outcome %v", got)
	}
}

// TestBoundPods have no annotation, or one of their own that is stronger.
func TestBoundPods(t *testing.T) {
	for _, namespace := range []string{byWebhook, byPolicy} {
		for _, name := range []string{"reports", "report2", "other"} {
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
			accounts := kube.Client().CoreV1().ServiceAccounts(namespace)
			if _, err := accounts.Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		account     string
		labels      map[string]string
		annotations []string
		injected    bool
	}{
		"by name":         {account: "reports", injected: true},
		"by both":         {account: "reports", labels: map[string]string{"app": "grafana"}, injected: true},
		"by label":        {account: "report2", labels: map[string]string{"app": "grafana"}, injected: true},
		"another label":   {account: "report2", labels: map[string]string{"app": "x"}},
		"another account": {account: "other", labels: map[string]string{"app": "grafana"}},
		"own key":         {account: "reports", annotations: []string{"expiration=4h"}, injected: true},
		"own profile":     {account: "reports", annotations: []string{"profile=amazon"}, injected: true},
		"opted out":       {account: "reports", annotations: []string{"inject=false"}},
		"own audience": {
			account: "report2", labels: map[string]string{"app": "grafana"}, annotations: []string{"audience.aws=other"}, injected: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := podtest.New("bound", tt.annotations...)
			pod.Labels, pod.Spec.ServiceAccountName = tt.labels, tt.account
			if len(tt.annotations) == 0 {
				pod.Annotations = nil
			}
			if got := same(t, pod); got != equal {
				t.Fatalf("the pod was refused: %v", got)
			}
			created, err := dryRun(t.Context(), byPolicy, pod)
			if err != nil {
				t.Fatal(err)
			}
			if _, injected := created.Annotations[podtest.Prefix+"status"]; injected != tt.injected {
				t.Errorf("injected: %v", injected)
			}
		})
	}
}

// addsContainers is another policy, which comes after ours and adds a container of another
// user to pods that ask for it.
const addsContainers = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: zz-adds-containers}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  matchConditions:
  - {name: asked, expression: "object.metadata.?annotations[?'example.com/add'].hasValue()"}
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        [JSONPatch{op: "add", path: "/spec/containers/-", value: {"name": dyn("late"), "image": dyn("late"),
        "securityContext": dyn({"runAsUser": dyn(int(object.metadata.annotations["example.com/add"]))})}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: zz-adds-containers}
spec: {policyName: zz-adds-containers}
`

// TestContainersOfOthers are added after our policy has run, which runs again then.
func TestContainersOfOthers(t *testing.T) {
	if err := kube.Apply(t.Context(), addsContainers); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = kube.Kubectl(t.Context(), "delete", "mutatingadmissionpolicybinding,mutatingadmissionpolicy", "zz-adds-containers")
	})
	asks := func(user string, pairs ...string) *corev1.Pod {
		pod := podtest.New("late", pairs...)
		pod.Annotations["example.com/add"] = user
		return pod
	}
	podtest.Eventually(t, "the other policy", func(context.Context) error {
		pod, err := dryRun(t.Context(), byPolicy, asks("1", "inject=false"))
		if err == nil && len(pod.Spec.Containers) == 1 {
			err = errors.New("it has added nothing")
		}
		return err
	})
	for _, first := range []*int64{nil, new(int64(0)), new(int64(1000))} {
		for _, user := range []string{"0", "1000", "2000"} {
			pod := asks(user, "audience=vault", "env=VAULT_TOKEN_FILE", "aws-role-arn=arn:aws:iam::123456789012:role/app")
			pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: first}
			if got := same(t, pod); got != equal {
				t.Errorf("user %s: outcome %v", user, got)
			}
			created, err := dryRun(t.Context(), byPolicy, pod)
			if err != nil {
				t.Fatal(err)
			}
			if late := created.Spec.Containers[1]; podtest.Env(created, "late", "VAULT_TOKEN_FILE") == "" || len(late.VolumeMounts) < 2 {
				t.Errorf("the later container has %+v", late)
			}
		}
	}
}

// TestDenial has all that is wrong in one answer.
func TestDenial(t *testing.T) {
	pod := podtest.New("wrong", "audience=forbidden-x", "expiration=1s", "audience.b=b", "env.b=1X", "mount-path.c=/c", "login=vault")
	_, err := dryRun(t.Context(), byPolicy, pod)
	if err == nil {
		t.Fatal("the pod was created")
	}
	for _, want := range []string{
		`metadata.annotations[oidc-injector.io/audience]: Forbidden: audience "forbidden-x": the injector's policy denies this audience ` +
			`in namespace "shop-p"`,
		`metadata.annotations[oidc-injector.io/expiration]: Invalid value: "1s": must be whole seconds (7200) or a Go duration (2h), ` +
			`from 600 to 86400 seconds`,
		`metadata.annotations[oidc-injector.io/env.b]: Invalid value: "1X": must be the name of an environment variable`,
		`metadata.annotations[oidc-injector.io/audience.c]: Required value: the token is described (mount-path) but has no audience`,
		`metadata.annotations[oidc-injector.io/login-address]: Required value: the login needs the address of Vault`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the denial lacks %q:\n%v", want, err)
		}
	}
}

// TestWarnings reach whoever creates a pod, or a workload.
func TestWarnings(t *testing.T) {
	warnings := &podtest.Warnings{}
	restConfig := kube.RESTConfig()
	restConfig.WarningHandler = warnings
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		t.Fatal(err)
	}
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	pod := podtest.New("doubtful", "audience=vault", "audiense.b=x", "skip-containers=missing",
		"azure-client-id=00000000-0000-0000-0000-000000000000", "azure-tenant-id=00000000-0000-0000-0000-000000000000",
		"expiration.azure=20m")
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "AZURE_CLIENT_SECRET", Value: "x"}, {Name: "AZURE_TENANT_ID", Value: "x"}}
	if _, err := client.CoreV1().Pods(byPolicy).Create(t.Context(), pod, dry); err != nil {
		t.Fatal(err)
	}
	template := podtest.New("", "audience=vault", "expiration=1s")
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}, Annotations: template.Annotations}, Spec: template.Spec,
		},
	}}
	if _, err := client.AppsV1().Deployments(byPolicy).Create(t.Context(), deployment, dry); err != nil {
		t.Fatal(err)
	}
	said := strings.Join(warnings.Texts(), "\n")
	for _, want := range []string{
		`unknown annotation "oidc-injector.io/audiense.b"`,
		`oidc-injector.io/skip-containers: the pod has no container "missing"`,
		`oidc-injector.io/expiration.azure: 1200 s are too short for provider azure`,
		`container "app" sets AZURE_CLIENT_SECRET beside token "azure"`,
		`container "app" sets AZURE_TENANT_ID itself, so it keeps another value than that of token "azure"`,
		`its pods will be denied: metadata.annotations[oidc-injector.io/expiration]: Invalid value: "1s"`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no warning %q:\n%s", want, said)
		}
	}
}

// TestBothModes: where the webhook and the policies serve a namespace, as between the two
// modes, a pod is as one of them would have it.
func TestBothModes(t *testing.T) {
	const both = "shop-b"
	if err := kube.Namespace(t.Context(), both, map[string]string{injector.EnabledLabel: "true", policyLabel: "true"}); err != nil {
		t.Fatal(err)
	}
	pod := podtest.New("both", "audience=vault", "env=VAULT_TOKEN_FILE", "aws-role-arn=arn:aws:iam::123456789012:role/app",
		"gcp-provider=projects/123456/locations/global/workloadIdentityPools/pool/providers/cluster")
	podtest.Eventually(t, "all of it once", func(ctx context.Context) error {
		want, err := dryRun(ctx, byWebhook, pod)
		if err != nil {
			return err
		}
		got, err := dryRun(ctx, both, pod)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(podtest.WithoutWarnings(want), podtest.WithoutWarnings(got)); diff != "" {
			return fmt.Errorf("(-one +both):\n%s", diff)
		}
		return nil
	})
	if _, err := dryRun(t.Context(), both, podtest.New("wrong", "audience=vault", "expiration=1s")); err == nil {
		t.Error("a pod with an error was created")
	}
}
