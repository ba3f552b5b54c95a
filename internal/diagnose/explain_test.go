package diagnose

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/cli/condition"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

const (
	enabled = "oidc-injector.io/enabled"
	status  = "oidc-injector.io/status"
	written = `{"version":"v1","tokens":["default"],"containers":["app"]}`
)

// certificate is one of an authority that ends at a time, in PEM.
func certificate(t *testing.T, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.AddDate(-1, 0, 0), NotAfter: end, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte("apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"+text),
		config.Environment{Prefix: "oidc-injector.io"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// healthy is a webhook with nothing wrong.
func healthy(t *testing.T) Webhook {
	t.Helper()
	ready := 2
	return Webhook{
		Prefix: "oidc-injector.io",
		Config: parse(t, "policy: {namespaces: [{namespaces: [team], audiences: {denied: ['forbidden-*']}}]}\n"+
			"bindings: [{name: b, namespaces: ['*'], serviceAccounts: [bound], annotations: {audience: forbidden-b}}]\n"),
		Installation: &Installation{
			Namespace: "injector", Name: "webhook", ConfigMap: "settings", Release: "r", Managed: true, Replicas: 2, Ready: 2,
		},
		Registration: &Registration{Configuration: "webhook", Ready: &ready, MutatingWebhook: admissionregistrationv1.MutatingWebhook{
			Name: "pods.oidc-injector.io", NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{enabled: "true"},
				MatchExpressions: []metav1.LabelSelectorRequirement{{
					Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system"},
				}},
			},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				CABundle: certificate(t, now.AddDate(1, 0, 0)),
				Service:  &admissionregistrationv1.ServiceReference{Namespace: "injector", Name: "webhook"},
			},
			MatchConditions: []admissionregistrationv1.MatchCondition{{
				Name: "annotated",
				Expression: `has(object.metadata.annotations) && ` +
					`object.metadata.annotations.exists(key, key.startsWith("oidc-injector.io/"))`,
			}},
		}},
	}
}

// snapshot is that of a pod, made by hand, that was injected.
func snapshot(t *testing.T) *Snapshot {
	t.Helper()
	seconds := int64(3600)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "app", Namespace: "team", CreationTimestamp: metav1.NewTime(now.Add(-5 * time.Minute)),
			Annotations: map[string]string{"oidc-injector.io/audience": "vault", status: written},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: "default",
			Containers: []corev1.Container{{
				Name: "app", Image: "app",
				VolumeMounts: []corev1.VolumeMount{{Name: "oidc-token", MountPath: "/var/run/secrets/tokens", ReadOnly: true}},
				Env:          []corev1.EnvVar{},
			}},
			Volumes: []corev1.Volume{{Name: "oidc-token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
					Audience: "vault", Path: "oidc-token", ExpirationSeconds: &seconds,
				}}},
			}}}},
		},
	}
	return &Snapshot{
		Of: "pod/app", Namespace: "team", NamespaceLabels: map[string]string{enabled: "true"}, Pod: pod, Live: pod,
		DryRun: &DryRun{Injected: true}, Webhook: healthy(t), Matches: condition.Matches, Now: now,
	}
}

// uninjected is snapshot of a pod that was not injected.
func uninjected(s *Snapshot) {
	delete(s.Pod.Annotations, status)
	s.Pod.Spec.Volumes, s.Pod.Spec.Containers[0].VolumeMounts = nil, nil
}

// logsIn has the pod of snapshot log in to a Vault.
func logsIn(t *testing.T, s *Snapshot) {
	t.Helper()
	maps.Copy(s.Pod.Annotations, map[string]string{
		"oidc-injector.io/login": "vault", "oidc-injector.io/login-address": "https://vault:8200", "oidc-injector.io/login-role": "app",
		"oidc-injector.io/login-ca-configmap": "vault-ca",
	})
	s.Pod.Annotations[status] = `{"version":"v1","tokens":["default"],"logins":["default"],"containers":["app"]}`
	s.Webhook.Config = parse(t, "login: {image: 'oidc-login:1.0'}\npolicy: {loginAddresses: {allowed: ['https://vault:8200']}}\n")
	s.ConfigMaps = map[string]ConfigMap{"vault-ca": {Found: true, Keys: []string{"ca.crt"}}}
	s.Pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
		Name: "oidc-login", Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	for _, name := range s.WantedConfigMaps() {
		if _, found := s.ConfigMaps[name]; !found {
			t.Fatalf("ConfigMap %s", name)
		}
	}
}

// leaves are the steps without steps, as STATUS NAME: DETAIL.
func leaves(steps []Step, which report.Status) []string {
	var all []string
	for i := range steps {
		if s := &steps[i]; len(s.Steps) == 0 && s.Status == which {
			all = append(all, s.Name+": "+s.Detail)
		}
		all = append(all, leaves(steps[i].Steps, which)...)
	}
	return all
}

// explainCase is a change of a snapshot, with the beginning of what each cross says.
type explainCase struct {
	change   func(t *testing.T, s *Snapshot)
	crosses  []string
	unknowns []string
	fix      string
}

const replace = "kubectl get pod app --namespace team --output yaml | kubectl replace --force -f -"

var explainCases = map[string]explainCase{
	"injected": {change: func(*testing.T, *Snapshot) {}},
	"older_than_the_label": {
		change: func(_ *testing.T, s *Snapshot) { uninjected(s) },
		crosses: []string{"status: pod app has no annotation oidc-injector.io/status: when it was created, 5m ago, " +
			"something was not yet as it is now"},
		fix: replace,
	},
	"namespace_without_label": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.NamespaceLabels = nil
		},
		crosses: []string{
			"namespaceSelector: namespace team does not match oidc-injector.io/enabled=true",
			"status: pod app has no annotation oidc-injector.io/status: it was not injected",
		},
		fix: "kubectl label namespace team --overwrite oidc-injector.io/enabled=true && " + replace,
	},
	"namespace_that_is_never_served": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Namespace = "kube-system"
		},
		crosses: []string{
			"namespaceSelector: namespace kube-system does not match kubernetes.io/metadata.name notin (kube-system)", "status: ",
		},
		fix: "kubectl get mutatingwebhookconfiguration webhook --output yaml",
	},
	"deployment_without_pods": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Of, s.Live, s.NamespaceLabels = "deployment/app", nil, nil
		},
		crosses:  []string{"namespaceSelector: "},
		unknowns: []string{"status: deployment/app has no pod in the cluster"},
		fix:      "kubectl label namespace team --overwrite oidc-injector.io/enabled=true",
	},
	"deployment_older_than_the_label": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Of, s.Controller = "deployment/app", "deployment/app"
		},
		crosses: []string{"status: "},
		fix:     "kubectl rollout restart deployment/app --namespace team",
	},
	"job": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Controller = "job/app"
		},
		crosses: []string{"status: "},
		fix:     "kubectl delete pod app --namespace team",
	},
	"cronjob": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Controller = "cronjob/app"
		},
		crosses: []string{"status: "},
		fix:     "kubectl create job --from=cronjob/app app-again --namespace team",
	},
	"annotations_of_the_workload_alone": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Of, s.Live, s.Pod.Annotations = "deployment/app", nil, nil
			s.Above, s.Template = []string{"metadata.annotations"}, "spec.template"
			s.DryRun = &DryRun{}
		},
		crosses: []string{
			"matchCondition annotated: false for this pod, ",
			"decision: metadata.annotations have no effect: annotations of pods belong into spec.template.metadata.annotations",
		},
		unknowns: []string{"status: "},
		fix:      "kubectl edit deployment/app --namespace team",
	},
	"object_selector": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Webhook.Registration.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "web"}}
		},
		crosses: []string{"objectSelector: the pod does not match tier=web", "status: "},
		fix:     "kubectl edit pod/app --namespace team",
	},
	"nothing_is_asked_for": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Pod.Annotations = nil
		},
		crosses: []string{
			"matchCondition annotated: false for this pod, which has no annotation oidc-injector.io/… and no binding: ",
			"decision: neither an annotation nor a binding asks for a token", "status: ",
		},
		fix: "kubectl annotate pod/app --namespace team --overwrite oidc-injector.io/audience=AUDIENCE && " + replace,
	},
	"condition_with_kubernetes_own_functions": {
		change: func(_ *testing.T, s *Snapshot) {
			s.Webhook.Registration.MatchConditions[0].Expression = `!authorizer.group("").resource("pods").check("get").allowed()`
		},
		unknowns: []string{"matchCondition annotated: could not compile the expression: "},
	},
	"condition_about_what_is_not_known": {
		change: func(_ *testing.T, s *Snapshot) {
			s.Webhook.Registration.MatchConditions[0].Expression = `request.userInfo.username != "x"`
		},
		unknowns: []string{"matchCondition annotated: could not evaluate the expression: "},
	},
	"opted_out": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Pod.Annotations["oidc-injector.io/inject"] = "false"
			s.DryRun = &DryRun{}
		},
		crosses: []string{`decision: the pod opts out with oidc-injector.io/inject: "false"`, "status: "},
		fix:     "kubectl annotate pod/app --namespace team --overwrite oidc-injector.io/inject- && " + replace,
	},
	"opted_out_in_a_template": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Of, s.Controller = "deployment/app", "deployment/app"
			s.Pod.Annotations["oidc-injector.io/inject"] = "false"
			s.DryRun = &DryRun{}
		},
		crosses: []string{"decision: ", "status: "},
		fix: `kubectl patch deployment/app --namespace team --type merge --patch ` +
			`'{"spec":{"template":{"metadata":{"annotations":{"oidc-injector.io/inject":null}}}}}'`,
	},
	"policy": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Of, s.Live = "deployment/app", nil
			s.Pod.Annotations["oidc-injector.io/audience"] = "forbidden-x"
			s.DryRun = &DryRun{Reason: metav1.StatusReasonInvalid, Message: "denied"}
		},
		crosses: []string{
			`metadata.annotations[oidc-injector.io/audience]: Forbidden: audience "forbidden-x": `, "decision: denied (policy)",
		},
		unknowns: []string{"status: "},
		fix:      "kubectl edit deployment/app --namespace team",
	},
	"policy_of_a_binding": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Of, s.Live, s.Pod.Spec.ServiceAccountName = "deployment/app", nil, "bound"
			s.Pod.Annotations, s.Webhook.Registration.MatchConditions = nil, nil
			s.DryRun = &DryRun{Reason: metav1.StatusReasonInvalid, Message: "denied"}
		},
		crosses:  []string{`bindings[b].annotations[audience]: Forbidden: audience "forbidden-b": `, "decision: denied (policy)"},
		unknowns: []string{"status: "},
		fix:      "kubectl edit configmap settings --namespace injector",
	},
	"not_registered": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Webhook.Registration, s.DryRun = nil, &DryRun{}
		},
		crosses: []string{"registered: no MutatingWebhookConfiguration has the webhook pods.oidc-injector.io", "status: "},
		fix:     "helm get manifest r --namespace injector | kubectl apply -f -",
	},
	"not_installed": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Webhook.Registration, s.Webhook.Installation, s.DryRun = nil, nil, &DryRun{}
		},
		crosses: []string{"registered: ", "status: "},
		fix:     "helm install oidc-injector charts/oidc-injector --namespace oidc-injector --create-namespace",
	},
	"registration_not_read": {
		change: func(_ *testing.T, s *Snapshot) {
			s.Webhook.Registration, s.Webhook.Unread = nil, []Unread{{RegistrationsUnread, "forbidden"}}
		},
		unknowns: []string{"registered: ", "MutatingWebhookConfigurations: forbidden"},
	},
	"certificate_ended": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			s.Webhook.Registration.ClientConfig.CABundle = certificate(t, now.Add(-time.Hour))
		},
		crosses: []string{"caBundle: the certificate ended at 2026-11-27T11:00:00Z, 1h ago"},
		fix:     "kubectl rollout restart deployment/webhook --namespace injector",
	},
	"certificate_replaced": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			old := certificate(t, now.Add(-time.Hour))
			s.Webhook.Registration.ClientConfig.CABundle = append(old, s.Webhook.Registration.ClientConfig.CABundle...)
		},
	},
	"bundle_of_something_else": {
		change:  func(_ *testing.T, s *Snapshot) { s.Webhook.Registration.ClientConfig.CABundle = []byte("x") },
		crosses: []string{"caBundle: contains no PEM certificates"},
		fix:     "kubectl rollout restart deployment/webhook --namespace injector",
	},
	"empty_bundle": {
		change:  func(_ *testing.T, s *Snapshot) { s.Webhook.Registration.ClientConfig.CABundle = nil },
		crosses: []string{"caBundle: empty, so that API servers cannot verify the webhook"},
		fix:     "kubectl rollout restart deployment/webhook --namespace injector",
	},
	"scaled_to_nothing": {
		change:  func(_ *testing.T, s *Snapshot) { s.Webhook.Installation.Replicas, s.Webhook.Installation.Ready = 0, 0 },
		crosses: []string{"replicas: deployment injector/webhook is scaled to 0"},
		fix:     "kubectl scale deployment/webhook --namespace injector --replicas=2",
	},
	"no_endpoint": {
		change:  func(_ *testing.T, s *Snapshot) { *s.Webhook.Registration.Ready = 0 },
		crosses: []string{"service: Service injector/webhook has no ready endpoint"},
		fix:     "kubectl rollout restart deployment/webhook --namespace injector",
	},
	"not_reachable": {
		change: func(_ *testing.T, s *Snapshot) {
			s.DryRun = &DryRun{Reason: metav1.StatusReasonInternalError, Message: "failed calling webhook"}
		},
		crosses: []string{"dry run: the API server cannot call the webhook: failed calling webhook"},
		fix:     "kubectl rollout restart deployment/webhook --namespace injector",
	},
	"not_reachable_and_ignored": {
		change:  func(_ *testing.T, s *Snapshot) { s.DryRun = &DryRun{} },
		crosses: []string{"dry run: the API server admits the pod without an answer of the webhook, as failurePolicy Fail allows"},
		fix:     "kubectl rollout restart deployment/webhook --namespace injector",
	},
	"another_configuration_in_force": {
		change: func(_ *testing.T, s *Snapshot) {
			s.Pod.Annotations["oidc-injector.io/audience"] = "forbidden-x"
		},
		crosses: []string{"metadata.annotations[oidc-injector.io/audience]: Forbidden: ", "decision: "},
		unknowns: []string{
			"dry run: the webhook answers, and injects a pod that it should not by the configuration that was read",
		},
		fix: "kubectl edit pod/app --namespace team && " + replace,
	},
	"namespace_not_read": {
		change:   func(_ *testing.T, s *Snapshot) { s.NamespaceLabels, s.NamespaceUnread = nil, true },
		unknowns: []string{"namespaceSelector: the labels of namespace team are not known"},
	},
	"owner_whose_name_is_a_command": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.Controller = "deployment/$(reboot)"
		},
		crosses: []string{"status: "},
	},
	"denied_by_somebody_else": {
		change: func(_ *testing.T, s *Snapshot) {
			s.DryRun = &DryRun{Reason: metav1.StatusReasonForbidden, Message: "exceeded quota"}
		},
		unknowns: []string{"dry run: the API server does not admit the pod: exceeded quota"},
	},
	"certificate_by_files": {
		change: func(_ *testing.T, s *Snapshot) {
			s.Webhook.Installation.Managed = false
			s.DryRun = &DryRun{Reason: metav1.StatusReasonInternalError, Message: "failed: x509: certificate signed by unknown authority"}
		},
		crosses: []string{"dry run: the API server cannot verify the webhook by the caBundle: failed: x509: "},
		fix:     "helm upgrade r charts/oidc-injector --namespace injector --reuse-values --set-file certificates.secret.caBundle=FILE",
	},
	"certificate_of_a_webhook_elsewhere": {
		change: func(_ *testing.T, s *Snapshot) {
			s.Webhook.Installation, s.Webhook.Registration.Index = nil, 1
			s.DryRun = &DryRun{Reason: metav1.StatusReasonInternalError, Message: "failed: x509: certificate signed by unknown authority"}
		},
		crosses: []string{"dry run: the API server cannot verify the webhook by the caBundle: failed: x509: "},
		fix: "kubectl patch mutatingwebhookconfiguration webhook --type json " +
			`--patch '[{"op":"add","path":"/webhooks/1/clientConfig/caBundle","value":"CA_IN_BASE64"}]'`,
	},
	"file": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.File, s.Live = "./pod.yaml", nil
			s.Pod.Annotations["oidc-injector.io/inject"] = "false"
			s.DryRun = &DryRun{}
		},
		crosses:  []string{"decision: the pod opts out"},
		unknowns: []string{"status: "},
		fix:      "${EDITOR:-vi} ./pod.yaml && kubectl apply --namespace team --filename ./pod.yaml",
	},
	"file_whose_name_is_a_command": {
		change: func(_ *testing.T, s *Snapshot) {
			uninjected(s)
			s.File, s.Live = "a b;reboot", nil
			s.Pod.Annotations["oidc-injector.io/audience"] = "forbidden-x"
			s.DryRun = &DryRun{Reason: metav1.StatusReasonInvalid, Message: "denied"}
		},
		crosses:  []string{"metadata.annotations[oidc-injector.io/audience]: Forbidden: ", "decision: "},
		unknowns: []string{"status: "},
		fix:      "${EDITOR:-vi} FILE && kubectl apply --namespace team --filename FILE",
	},
	"no_config_map": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			logsIn(t, s)
			s.ConfigMaps = map[string]ConfigMap{"vault-ca": {}}
			s.Pod.Status.InitContainerStatuses[0].State = corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"},
			}
			s.Events = []Event{{
				Object: "pod/app", Reason: "FailedMount", Message: `MountVolume.SetUp failed: configmap "vault-ca" not found`, Last: now,
			}}
		},
		crosses: []string{
			"ConfigMap vault-ca: is not there: without the certificate authorities that oidc-injector.io/login-ca-configmap names, ",
			`oidc-login: cannot start: MountVolume.SetUp failed: configmap "vault-ca" not found`,
		},
		fix: "kubectl create configmap vault-ca --namespace team --from-file=ca.crt=FILE",
	},
	"config_map_without_key": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			logsIn(t, s)
			s.ConfigMaps = map[string]ConfigMap{"vault-ca": {Found: true, Keys: []string{"tls.crt"}}}
		},
		crosses: []string{"ConfigMap vault-ca: has no key ca.crt for the certificate authorities"},
		fix: "kubectl create configmap vault-ca --namespace team --from-file=ca.crt=FILE --dry-run=client --output yaml | " +
			"kubectl apply -f -",
	},
	"config_map_not_read": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			logsIn(t, s)
			s.ConfigMaps = map[string]ConfigMap{"vault-ca": {Unread: "forbidden"}}
		},
		unknowns: []string{"ConfigMap vault-ca: forbidden"},
	},
	"waits_for_others": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			logsIn(t, s)
			s.Pod.Status.InitContainerStatuses[0].State = corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"},
			}
		},
		unknowns: []string{"oidc-login: waits for the init containers before it"},
	},
	"role_missing": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			logsIn(t, s)
			s.Pod.Status.InitContainerStatuses[0].Started = new(false)
			s.Pod.Status.InitContainerStatuses[0].State = corev1.ContainerState{
				Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now.Add(-time.Minute))},
			}
			s.Events = []Event{
				{Object: "pod/app", Container: "oidc-login", Reason: "Unhealthy", Message: "older", Last: now.Add(-time.Second)},
				{
					Object: "pod/app", Container: "oidc-login", Reason: "Unhealthy", Last: now,
					Message: "(combined from similar events): Startup probe failed: not logged in yet: could not log in to Vault at " +
						`https://vault:8200: 400: "role \"app\" could not be found" (attempt 5, next in 1m0s)`,
				},
				{Object: "pod/app", Container: "app", Reason: "Unhealthy", Message: "another container", Last: now.Add(time.Second)},
			}
		},
		crosses: []string{"oidc-login: not logged in yet, 1m after its start; its last words: could not log in to Vault at " +
			`https://vault:8200: 400: "role \"app\" could not be found" (attempt 5, next in 1m0s)`},
		fix: "kubectl oidc-injector generate vault pod/app --namespace team | sh",
	},
	"claim_refused": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			logsIn(t, s)
			s.Pod.Status.InitContainerStatuses[0].State = corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: `400: "error validating claims"`},
			}
		},
		crosses: []string{`oidc-login: ended with exit code 1; its last words: 400: "error validating claims"`},
		fix: "kubectl oidc-injector token create app --namespace team --print | kubectl oidc-injector token verify --from-cluster " +
			`--against vault-role "${VAULT_ADDR:-https://vault:8200}/v1/auth/jwt/role/app"`,
	},
	"vault_away": {
		change: func(t *testing.T, s *Snapshot) {
			t.Helper()
			logsIn(t, s)
			s.Pod.Status.InitContainerStatuses[0].State = corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "connection refused"},
			}
		},
		crosses: []string{"oidc-login: ended with exit code 1; its last words: connection refused"},
		fix:     "kubectl logs app --container oidc-login --namespace team",
	},
	"login_refused": {
		change: func(_ *testing.T, s *Snapshot) {
			s.Pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
				Name: "oidc-login", RestartCount: 3,
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					Message:  "login rejected\n",
					ExitCode: 1,
				}},
			}}
		},
		crosses: []string{"oidc-login: waits (CrashLoopBackOff), restarted 3 times; its last words: login rejected"},
		fix:     "kubectl logs app --container oidc-login --namespace team",
	},
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for name, c := range explainCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t)
			c.change(t, s)
			e := Explain(s)
			compare(t, "crosses", c.crosses, leaves(e.Steps, report.Fail))
			compare(t, "question marks", c.unknowns, leaves(e.Steps, report.Unknown))
			if diff := cmp.Diff(c.fix, e.Fix); diff != "" {
				t.Errorf("fix (-want +got):\n%s", diff)
			}
			if c.fix == "" && firstFix(e.Steps) != "" {
				t.Errorf("a step has the command %s", firstFix(e.Steps))
			}
			if Failed(e.Steps) != (len(c.crosses) > 0) {
				t.Errorf("failed: %t", Failed(e.Steps))
			}
		})
	}
}

// compare compares texts with their beginnings.
func compare(t *testing.T, what string, want, got []string) {
	t.Helper()
	if !slices.EqualFunc(want, got, func(w, g string) bool { return strings.HasPrefix(g, w) }) {
		t.Errorf("%s (-want +got):\n%s", what, cmp.Diff(want, got))
	}
}

func TestExplainInjected(t *testing.T) {
	t.Parallel()
	e := Explain(snapshot(t))
	want := []string{
		"registered: MutatingWebhookConfiguration webhook has pods.oidc-injector.io, failurePolicy Fail",
		"caBundle: valid until 2027-11-27T12:00:00Z, in 365d",
		"replicas: 2 of 2 pods of deployment injector/webhook are ready",
		"service: Service injector/webhook has 2 ready endpoints",
		"dry run: the webhook answers",
		"namespaceSelector: kubernetes.io/metadata.name notin (kube-system),oidc-injector.io/enabled=true",
		"objectSelector: selects all",
		"matchCondition annotated: the pod matches",
		"decision: tokens default; logins none; containers app",
		"status: pod app, by v1: tokens default; logins none; containers app",
		`oidc-token/oidc-token: audience "vault", mode 0644, user 0, group 0; readable to app`,
	}
	if diff := cmp.Diff(want, leaves(e.Steps, report.Pass)); diff != "" {
		t.Errorf("ticks (-want +got):\n%s", diff)
	}
	if got := leaves(e.Steps, report.Warn); len(got) > 0 {
		t.Errorf("warnings %q", got)
	}
}

// TestExplainChanged is about a pod that was injected and would get something else today:
// it is judged as it would be created, so that what it has is no conflict.
func TestExplainChanged(t *testing.T) {
	t.Parallel()
	s := snapshot(t)
	s.Pod.Annotations["oidc-injector.io/audience"] = "other"
	want := []string{"changed: annotations or configuration have changed since: a new pod gets something else"}
	if diff := cmp.Diff(want, leaves(Explain(s).Steps, report.Warn)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestExplainFiles(t *testing.T) {
	t.Parallel()
	s := snapshot(t)
	user := int64(1000)
	mode := int32(0o400)
	s.Live.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: &user}
	s.Live.Spec.Containers = append(s.Live.Spec.Containers, corev1.Container{Name: "other"})
	s.Live.Spec.Volumes[0].Projected.DefaultMode = &mode
	want := []string{`oidc-token/oidc-token: audience "vault", mode 0400, user 0, group 0; readable to none; ` +
		"app may not be able to read it: " +
		"set fsGroup or oidc-injector.io/file-mode"}
	got := slices.DeleteFunc(leaves(Explain(s).Steps, report.Warn), func(text string) bool {
		return !strings.HasPrefix(text,
			"oidc-token/")
	})
	compare(t, "files", want, got)
}

func TestExplainEvents(t *testing.T) {
	t.Parallel()
	s := snapshot(t)
	for i := range 7 {
		s.Events = append(s.Events, Event{
			Object: "pod/app", Reason: "FailedMount", Message: strings.Repeat("x", 500), Last: now.Add(-time.Duration(i) * time.Hour),
		})
	}
	got := leaves(Explain(s).Steps, report.Warn)
	got = slices.DeleteFunc(got, func(text string) bool { return !strings.HasPrefix(text, "pod/app") })
	if len(got) != 5 || !strings.HasPrefix(got[0], "pod/app: FailedMount, 1 times, 0s ago: xxx") || !strings.HasSuffix(got[0], "x…") {
		t.Errorf("got %q", got)
	}
}
