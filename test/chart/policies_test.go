package chart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

const policyValues = `
config:
  policy:
    audiences:
      allowed: %s
      denied: ["*.denied.example.com", 'odd "one" \ & <two>', "exact?"]
    namespaces:
    - {namespaces: ["policy-pay-*", policy-other], audiences: {allowed: [sts.amazonaws.com, "https://kubernetes.default.svc"],
      denied: [https://pay.example.com]}}
    - {namespaces: ["policy-pay-1"], audiences: {allowed: ["*one"]}}
    apiServerAudiences: ["https://issuer.example.com", "api-*"]
policies:
  unlabelledNamespaces: {enabled: true}
  tokenVolumes: {enabled: true}
`

// applyPolicies makes the chart's policies, and waits until the API server has compiled
// them: without a complaint.
func applyPolicies(t *testing.T, all objects, names ...string) {
	t.Helper()
	some := objects{}
	for name, object := range all {
		if strings.HasPrefix(name, "ValidatingAdmissionPolicy") {
			some[name] = object
		}
	}
	applyAll(t, some)
	policies := kube.Client().AdmissionregistrationV1().ValidatingAdmissionPolicies()
	for _, name := range names {
		podtest.Eventually(t, "the check of "+name, func(ctx context.Context) error {
			policy, err := policies.Get(ctx, name, metav1.GetOptions{})
			if err == nil && (policy.Status.TypeChecking == nil || policy.Status.ObservedGeneration != policy.Generation) {
				err = errors.New("not checked yet")
			}
			return err
		})
		policy, err := policies.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, warning := range policy.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s: %s", name, warning.FieldRef, warning.Warning)
		}
	}
}

// TestTokenPolicyDecidesAsWebhook compares what the API server says of tokens in volumes
// with what the webhook says of the same audiences.
func TestTokenPolicyDecidesAsWebhook(t *testing.T) {
	namespaces := []string{"policy-plain", "policy-pay-1", "policy-pay-2", "policy-other"}
	for _, ns := range namespaces {
		if err := kube.Namespace(t.Context(), ns, nil); err != nil {
			t.Fatal(err)
		}
	}
	audiences := []string{
		"vault", "vault2", "https://a.example.com", "https://a.denied.example.com", `odd "one" \ & <two>`, "exact1", "exact12",
		"sts.amazonaws.com",
		"https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local", "https://issuer.example.com", "api-1",
		"https://pay.example.com",
		"number one", "a\nb one", "https://kubernetes", "https://kubernetesX",
	}
	for _, allowed := range []string{`[]`, `[vault, "https://*.example.com"]`, `["*", "api-1"]`} {
		t.Run(allowed, func(t *testing.T) {
			all := render(t, fmt.Sprintf(policyValues, allowed))
			applyPolicies(t, all, "oidc-injector-token-volumes")
			webhook, err := config.Parse([]byte(all.at(t, configMap)), config.Environment{Prefix: annotations.DefaultPrefix})
			if err != nil {
				t.Fatal(err)
			}
			// A policy is in force a moment after it was written.
			podtest.Eventually(t, "the policy", func(ctx context.Context) error {
				_, err := createToken(ctx, "policy-plain", "exact1")
				if err == nil {
					return errors.New("nothing is denied")
				}
				return nil
			})
			time.Sleep(time.Second)
			denied := 0
			for _, ns := range namespaces {
				for _, audience := range audiences {
					want := webhook.Policy.For(ns).Audience(audience)
					_, err := createToken(t.Context(), ns, audience)
					if (want == nil) != (err == nil) {
						t.Errorf("audience %q in %s: the webhook says %v, the API server %v", audience, ns, want, err)
					}
					if err != nil {
						denied++
						if !strings.Contains(err.Error(), "oidc-injector-token-volumes") ||
							!strings.HasSuffix(err.Error(), "volumes token") {
							t.Errorf("audience %q in %s: %v", audience, ns, err)
						}
					}
				}
			}
			if denied == 0 || denied == len(namespaces)*len(audiences) {
				t.Errorf("%d denials compare nothing", denied)
			}
			// Without an audience it is for the API server, which some namespaces allow by name.
			for ns, allows := range map[string]bool{
				"policy-pay-1": true, "policy-other": true,
				"policy-plain": strings.Contains(allowed, "api-1"),
			} {
				if _, err := createToken(t.Context(), ns, ""); (err == nil) != allows {
					t.Errorf("no audience in %s: %v", ns, err)
				}
			}
			if _, err := createToken(t.Context(), "kube-system", "exact1"); err != nil {
				t.Error(err)
			}
		})
	}
}

// createToken creates a pod with a token in a volume, in a dry run.
func createToken(ctx context.Context, namespace, audience string) (*corev1.Pod, error) {
	pod := podtest.New("pod")
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "none", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{DownwardAPI: &corev1.DownwardAPIProjection{}},
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "token"}},
		}}}},
	}
	return kube.Client().CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// TestTokenPolicyAllowsAPIServerVolume: each pod has it, and whoever writes it by hand gets what
// they would have anyway, and nothing else.
func TestTokenPolicyAllowsAPIServerVolume(t *testing.T) {
	const ns = "policy-own"
	if err := kube.Namespace(t.Context(), ns, nil); err != nil {
		t.Fatal(err)
	}
	applyPolicies(t, render(t, fmt.Sprintf(policyValues, "[]")), "oidc-injector-token-volumes")
	podtest.Eventually(t, "the policy", func(ctx context.Context) error {
		if _, err := createToken(ctx, ns, ""); err == nil {
			return errors.New("nothing is denied")
		}
		return nil
	})
	time.Sleep(time.Second)
	create := func(pod *corev1.Pod) (*corev1.Pod, error) {
		return kube.Client().CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	plain := podtest.New("pod")
	plain.Spec.AutomountServiceAccountToken = nil
	plain.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "init"}}
	stored, err := create(plain)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(stored.Spec.Volumes); n != 1 || len(stored.Spec.Containers[0].VolumeMounts) != 1 ||
		len(stored.Spec.InitContainers[0].VolumeMounts) != 1 {
		t.Fatalf("the API server adds %d volumes, and mounts %v", n, stored.Spec.Containers[0].VolumeMounts)
	}
	type edit func(pod *corev1.Pod, volume *corev1.ProjectedVolumeSource, mount *corev1.VolumeMount)
	for name, tt := range map[string]struct {
		edit    edit
		allowed bool
	}{
		"as it is": {func(*corev1.Pod, *corev1.ProjectedVolumeSource, *corev1.VolumeMount) {}, true},
		"in one container only": {func(p *corev1.Pod, _ *corev1.ProjectedVolumeSource, _ *corev1.VolumeMount) {
			p.Spec.InitContainers = nil
		}, true},
		"at another path": {edit: func(_ *corev1.Pod, _ *corev1.ProjectedVolumeSource, m *corev1.VolumeMount) { m.MountPath = "/token" }},
		"a part of it":    {edit: func(_ *corev1.Pod, _ *corev1.ProjectedVolumeSource, m *corev1.VolumeMount) { m.SubPath = "token" }},
		"at a second path in an init container": {edit: func(p *corev1.Pod, _ *corev1.ProjectedVolumeSource, m *corev1.VolumeMount) {
			p.Spec.InitContainers[0].VolumeMounts = append(p.Spec.InitContainers[0].VolumeMounts,
				corev1.VolumeMount{Name: m.Name, MountPath: "/token"})
		}},
		"writable": {edit: func(_ *corev1.Pod, _ *corev1.ProjectedVolumeSource, m *corev1.VolumeMount) { m.ReadOnly = false }},
		"no token is mounted": {edit: func(p *corev1.Pod, _ *corev1.ProjectedVolumeSource, _ *corev1.VolumeMount) {
			p.Spec.AutomountServiceAccountToken = new(bool)
		}},
		"another name": {edit: func(p *corev1.Pod, _ *corev1.ProjectedVolumeSource, m *corev1.VolumeMount) {
			p.Spec.Volumes[0].Name, m.Name, p.Spec.InitContainers = "api-access", "api-access", nil
		}},
		"another lifetime": {edit: func(_ *corev1.Pod, v *corev1.ProjectedVolumeSource, _ *corev1.VolumeMount) {
			*v.Sources[0].ServiceAccountToken.ExpirationSeconds = 86400
		}},
		"another file": {edit: func(_ *corev1.Pod, v *corev1.ProjectedVolumeSource, _ *corev1.VolumeMount) {
			v.Sources[0].ServiceAccountToken.Path = "jwt"
		}},
		"another ConfigMap": {edit: func(_ *corev1.Pod, v *corev1.ProjectedVolumeSource, _ *corev1.VolumeMount) {
			v.Sources[1].ConfigMap.Name = "own"
		}},
		"another item": {edit: func(_ *corev1.Pod, v *corev1.ProjectedVolumeSource, _ *corev1.VolumeMount) {
			v.Sources[2].DownwardAPI.Items[0].FieldRef.FieldPath = "metadata.name"
		}},
		"another mode": {edit: func(_ *corev1.Pod, v *corev1.ProjectedVolumeSource, _ *corev1.VolumeMount) { *v.DefaultMode = 0o444 }},
		"one token more": {edit: func(_ *corev1.Pod, v *corev1.ProjectedVolumeSource, _ *corev1.VolumeMount) {
			v.Sources = append(v.Sources, corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "more"}})
		}},
		"one source less": {edit: func(_ *corev1.Pod, v *corev1.ProjectedVolumeSource,
			_ *corev1.VolumeMount,
		) {
			v.Sources = v.Sources[:2]
		}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := podtest.New("pod")
			pod.Spec = *stored.Spec.DeepCopy()
			tt.edit(pod, pod.Spec.Volumes[0].Projected, &pod.Spec.Containers[0].VolumeMounts[0])
			if _, err := create(pod); (err == nil) != tt.allowed || err != nil &&
				!strings.Contains(err.Error(), "oidc-injector-token-volumes") {
				t.Errorf("allowed %t, and: %v", tt.allowed, err)
			}
		})
	}
}

// TestUnlabelledNamespaceWarnings: pods and whatever makes pods.
func TestUnlabelledNamespaceWarnings(t *testing.T) {
	for ns, labels := range map[string]map[string]string{
		"warn-plain": nil, "warn-on": {"oidc-injector.io/enabled": "true"},
		"warn-off": {"oidc-injector.io/enabled": "false"},
	} {
		if err := kube.Namespace(t.Context(), ns, labels); err != nil {
			t.Fatal(err)
		}
	}
	for mode, want := range map[string]map[string]bool{
		"OptIn":  {"warn-plain": true, "warn-on": false, "warn-off": true, "default": true, "kube-system": false},
		"OptOut": {"warn-plain": false, "warn-on": false, "warn-off": true, "default": false, "kube-system": false},
	} {
		t.Run(mode, func(t *testing.T) {
			all := render(t, fmt.Sprintf(policyValues, "[]")+"webhook: {namespaces: {mode: "+mode+"}}\n")
			applyPolicies(t, all, "oidc-injector-unlabelled-namespaces", "oidc-injector-namespace-label")
			checkLabelValues(t, mode)
			for ns, warned := range want {
				for _, manifest := range workloads {
					for annotation, counts := range map[string]bool{
						"oidc-injector.io/audience: x":     true,
						"oidc-injector.io/inject: 'false'": false, "other.io/audience: x": false,
					} {
						podtest.Eventually(t, "the right warnings", func(ctx context.Context) error {
							got, err := warnings(ctx, ns, fmt.Sprintf(manifest, annotation))
							if err != nil {
								return err
							}
							if (len(got) > 0) != (warned && counts) || len(got) > 0 &&
								!strings.Contains(got[0], "kubectl label namespace "+ns+" oidc-injector.io/enabled=true") {
								return fmt.Errorf("in %s, %s is warned of by %q:\n%s", ns, annotation, got, manifest)
							}
							return nil
						})
					}
				}
			}
		})
	}
}

// checkLabelValues tries values of the namespace label.
func checkLabelValues(t *testing.T, mode string) {
	t.Helper()
	odd := map[string]string{
		"OptIn":  `does not have this namespace served: only =true does`,
		"OptOut": `does not leave this namespace out: only =false does`,
	}[mode]
	for _, value := range []string{"true", "false", "yes", "False", "", "none"} {
		label, want := "oidc-injector.io/enabled: '"+value+"'", "label oidc-injector.io/enabled="+value+" "+odd
		if value == "none" {
			label, want = "a: b", ""
		}
		if value == "true" || value == "false" {
			want = ""
		}
		podtest.Eventually(t, "the right warnings", func(ctx context.Context) error {
			_, said, err := kube.KubectlSaying(ctx, strings.NewReader("{apiVersion: v1, kind: Namespace, metadata: {name: label-values, "+
				"labels: {"+label+"}}}"),
				"create", "--dry-run=server", "--filename=-")
			if err != nil || (said == "") != (want == "") || !strings.Contains(said, want) {
				return fmt.Errorf("%s: %w, %s", label, err, said)
			}
			return nil
		})
	}
}

// workloads are manifests of all kinds that the policy looks at.
var workloads = []string{
	// On the level above the pods' own, too.
	`{apiVersion: apps/v1, kind: Deployment, metadata: {name: w, annotations: {%s}}, spec: {selector: {matchLabels: {a: b}}, template: ` +
		`{metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}}}`,
	`{apiVersion: batch/v1, kind: CronJob, metadata: {name: w}, spec: {schedule: "@daily", jobTemplate: {metadata: {annotations: {%s}}, ` +
		`spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}}}`,
	`{apiVersion: v1, kind: ReplicationController, metadata: {name: w}, spec: {selector: {a: b}, template: {metadata: {labels: {a: b}, ` +
		`annotations: {%s}}, spec: {containers: [{name: a, image: a}]}}}}`,
	`{apiVersion: v1, kind: Pod, metadata: {name: w, annotations: {%s}}, spec: {containers: [{name: a, image: a}]}}`,
	`{apiVersion: apps/v1, kind: Deployment, metadata: {name: w}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: ` +
		`{a: b}, annotations: {%s}}, spec: {containers: [{name: a, image: a}]}}}}`,
	`{apiVersion: batch/v1, kind: Job, metadata: {name: w}, spec: {template: {metadata: {annotations: {%s}}, spec: {restartPolicy: Never,` +
		` containers: [{name: a, image: a}]}}}}`,
	`{apiVersion: batch/v1, kind: CronJob, metadata: {name: w}, spec: {schedule: "@daily", jobTemplate: {spec: {template: {metadata: ` +
		`{annotations: {%s}}, spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}}}`,
}

// warnings creates an object in a dry run and returns what the API server warns of.
func warnings(ctx context.Context, namespace, manifest string) ([]string, error) {
	var u unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
		return nil, err
	}
	var heard podtest.Warnings
	config := kube.RESTConfig()
	config.WarningHandler = &heard
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	resource := schema.GroupVersionResource{Group: u.GroupVersionKind().Group, Version: "v1", Resource: strings.ToLower(u.GetKind()) + "s"}
	_, err = client.Resource(resource).Namespace(namespace).Create(ctx, &u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return heard.Texts(), err
}

// applyAll applies some objects and deletes them at the end of the test.
func applyAll(t *testing.T, all objects) {
	t.Helper()
	var manifests strings.Builder
	for _, object := range all {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&manifests, "---\n%s", text)
	}
	if err := kube.Apply(t.Context(), manifests.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if _, err := kube.KubectlWithInput(ctx, strings.NewReader(manifests.String()), "delete", "--filename=-"); err != nil {
			t.Error(err)
		}
	})
}
