package chart

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	applycoordinationv1 "k8s.io/client-go/applyconfigurations/coordination/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"
)

// grants is the written list of all that the chart grants, in each mode.
const (
	grantsOfSelfProbe = `
ClusterRole/oidc-injector:
- {apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], resourceNames: [oidc-injector], verbs: [get,
  watch]}
ClusterRoleBinding/oidc-injector: ClusterRole/oidc-injector to ServiceAccount/oidc-injector
`
	grantsOfManaged = `
ClusterRole/oidc-injector:
- {apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], resourceNames: [oidc-injector], verbs: [get,
  watch, patch]}
ClusterRoleBinding/oidc-injector: ClusterRole/oidc-injector to ServiceAccount/oidc-injector
Role/oidc-injector:
- {apiGroups: [""], resources: [secrets], resourceNames: [oidc-injector-ca], verbs: [get, watch, create, update, patch]}
RoleBinding/oidc-injector: Role/oidc-injector to ServiceAccount/oidc-injector
`
	grantsOfAudit = `
ClusterRole/oidc-injector:
- {apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], resourceNames: [oidc-injector], verbs: [get,
  watch, patch]}
- {apiGroups: [""], resources: [namespaces], verbs: [list, watch]}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
- {apiGroups: [apps], resources: [daemonsets, replicasets, statefulsets], verbs: [get]}
- {apiGroups: [batch], resources: [jobs], verbs: [get]}
ClusterRoleBinding/oidc-injector: ClusterRole/oidc-injector to ServiceAccount/oidc-injector
Role/oidc-injector:
- {apiGroups: [""], resources: [secrets], resourceNames: [oidc-injector-ca], verbs: [get, watch, create, update, patch]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [oidc-injector-audit], verbs: [get, create, update, patch]}
RoleBinding/oidc-injector: Role/oidc-injector to ServiceAccount/oidc-injector
`
	grantsOfAuditAlone = `
ClusterRole/oidc-injector:
- {apiGroups: [""], resources: [namespaces], verbs: [list, watch]}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}
- {apiGroups: [apps], resources: [daemonsets, replicasets, statefulsets], verbs: [get]}
- {apiGroups: [batch], resources: [jobs], verbs: [get]}
ClusterRoleBinding/oidc-injector: ClusterRole/oidc-injector to ServiceAccount/oidc-injector
Role/oidc-injector:
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [oidc-injector-audit], verbs: [get, create, update, patch]}
RoleBinding/oidc-injector: Role/oidc-injector to ServiceAccount/oidc-injector
`
	// grantsOfTest are there while `helm test` runs.
	grantsOfTest = `
Role/oidc-injector-test:
- {apiGroups: [""], resources: [pods], verbs: [create]}
RoleBinding/oidc-injector-test: Role/oidc-injector-test to ServiceAccount/oidc-injector-test
`
	grantOfDiscovery = `
ClusterRoleBinding/oidc-injector-issuer-discovery: ClusterRole/system:service-account-issuer-discovery to Group/system:unauthenticated
`
)

func TestGrants(t *testing.T) {
	for values, want := range map[string]string{
		"":                                   grantsOfManaged,
		"certificates: {mode: cert-manager}": grantsOfSelfProbe,
		variants["secret"]:                   "",
		"issuerDiscovery: {anonymous: true}": grantsOfManaged + grantOfDiscovery,
		"audit: {enabled: true}":             grantsOfAudit,
		"mode: policy":                       "",
		"audit: {enabled: true}\ncertificates: {mode: cert-manager, selfProbe: false}":             grantsOfAuditAlone,
		"certificates: {mode: cert-manager, selfProbe: false}\nissuerDiscovery: {anonymous: true}": grantOfDiscovery,
	} {
		var listed map[string]any
		if err := yaml.Unmarshal([]byte(want+grantsOfTest), &listed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(listed, grants(render(t, values, "--kube-version=1.36.0"))); diff != "" {
			t.Errorf("with values %q (-listed +granted):\n%s", values, diff)
		}
	}
}

func grants(all objects) map[string]any {
	granted := map[string]any{}
	for name, object := range all {
		switch object.GetKind() {
		case "Role", "ClusterRole":
			granted[name] = object.Object["rules"]
		case "RoleBinding", "ClusterRoleBinding":
			role, _, _ := unstructured.NestedStringMap(object.Object, "roleRef")
			text := role["kind"] + "/" + role["name"] + " to"
			subjects, _, _ := unstructured.NestedSlice(object.Object, "subjects")
			for _, subject := range subjects {
				s := subject.(map[string]any)
				text += " " + s["kind"].(string) + "/" + s["name"].(string)
			}
			granted[name] = text
		}
	}
	return granted
}

// TestWebhookRights tries what the webhook has to be able to do, and what it must
// not.
func TestWebhookRights(t *testing.T) {
	withNamespace(t)
	install(t, helms[0])
	writeCertificates(t)
	client := asWebhook(t)
	secrets, admin := client.CoreV1().Secrets(namespace), kube.Client().CoreV1().Secrets(namespace)
	configurations := client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	const secret = "oidc-injector-ca"
	manager := metav1.ApplyOptions{FieldManager: "test"}
	named := func(name string) metav1.ListOptions {
		return metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	}

	if err := admin.Delete(t.Context(), secret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Create(t.Context(), newSecret("other"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tryAll(t, []attempt{
		{"create its Secret by apply", func(ctx context.Context) error {
			_, err := secrets.Apply(ctx, applycorev1.Secret(secret, namespace), manager)
			return err
		}, true},
		{"read its Secret", func(ctx context.Context) error { _, err := secrets.Get(ctx, secret, metav1.GetOptions{}); return err }, true},
		{"watch its Secret", func(ctx context.Context) error { return stopped(secrets.Watch(ctx, named(secret))) }, true},
		{"read its configuration", func(ctx context.Context) error {
			_, err := configurations.Get(ctx, release, metav1.GetOptions{})
			return err
		}, true},
		{"watch its configuration", func(ctx context.Context) error { return stopped(configurations.Watch(ctx, named(release))) }, true},

		{"create another Secret by apply", func(ctx context.Context) error {
			_, err := secrets.Apply(ctx, applycorev1.Secret("new", namespace), manager)
			return err
		}, false},
		{"create a Secret", func(ctx context.Context) error {
			_, err := secrets.Create(ctx, newSecret("new"), metav1.CreateOptions{})
			return err
		}, false},
		{
			"read another Secret", func(ctx context.Context) error { _, err := secrets.Get(ctx, "other", metav1.GetOptions{}); return err },
			false,
		},
		{"list Secrets", func(ctx context.Context) error { _, err := secrets.List(ctx, metav1.ListOptions{}); return err }, false},
		{"watch all Secrets", func(ctx context.Context) error { return stopped(secrets.Watch(ctx, metav1.ListOptions{})) }, false},
		{"delete its Secret", func(ctx context.Context) error { return secrets.Delete(ctx, secret, metav1.DeleteOptions{}) }, false},
		{"read a Secret of its name elsewhere", func(ctx context.Context) error {
			_, err := client.CoreV1().Secrets("default").Get(ctx, secret, metav1.GetOptions{})
			return err
		}, false},
		{
			"delete its configuration", func(ctx context.Context) error {
				return configurations.Delete(ctx, release,
					metav1.DeleteOptions{})
			},
			false,
		},
		{
			"watch all configurations", func(ctx context.Context) error { return stopped(configurations.Watch(ctx, metav1.ListOptions{})) },
			false,
		},
		{"read pods", func(ctx context.Context) error {
			_, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
			return err
		}, false},
		{"read namespaces", func(ctx context.Context) error {
			_, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
			return err
		}, false},
	})
}

// TestAuditRights has the audit on. That each of them is needed is tested in
// test/e2e/audit.
func TestAuditRights(t *testing.T) {
	withNamespace(t)
	install(t, helms[0], "--set=audit.enabled=true")
	writeCertificates(t)
	client := asWebhook(t)
	const lease = "oidc-injector-audit"
	leases := client.CoordinationV1().Leases(namespace)
	tryAll(t, []attempt{
		{"hold its Lease", func(ctx context.Context) error {
			held, err := leases.Get(ctx, lease, metav1.GetOptions{})
			if err == nil {
				held.Spec.HolderIdentity = new("test")
				_, err = leases.Update(ctx, held, metav1.UpdateOptions{})
			}
			return err
		}, true},
		{"create its Lease by apply", func(ctx context.Context) error {
			if err := kube.Client().CoordinationV1().Leases(namespace).Delete(ctx, lease, metav1.DeleteOptions{}); err != nil {
				return err
			}
			_, err := leases.Apply(ctx, applycoordinationv1.Lease(lease, namespace), metav1.ApplyOptions{FieldManager: "test"})
			return err
		}, true},
		{"list pods", func(ctx context.Context) error {
			_, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
			return err
		}, true},
		{"list namespaces", func(ctx context.Context) error {
			_, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
			return err
		}, true},
		{"read a ReplicaSet", func(ctx context.Context) error {
			_, err := client.AppsV1().ReplicaSets(namespace).Get(ctx, "any", metav1.GetOptions{})
			return orMissing(err)
		}, true},
		{"read a Job", func(ctx context.Context) error {
			_, err := client.BatchV1().Jobs(namespace).Get(ctx, "any", metav1.GetOptions{})
			return orMissing(err)
		}, true},
		{"create an Event", func(ctx context.Context) error {
			_, err := client.EventsV1().Events(namespace).Create(ctx, newEvent(), metav1.CreateOptions{})
			return err
		}, true},

		{"create a Lease", func(ctx context.Context) error {
			_, err := leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, metav1.CreateOptions{})
			return err
		}, false},
		{"list ReplicaSets", func(ctx context.Context) error {
			_, err := client.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
			return err
		}, false},
		{
			"read another Lease", func(ctx context.Context) error { _, err := leases.Get(ctx, "other", metav1.GetOptions{}); return err },
			false,
		},
		{"delete pods", func(ctx context.Context) error {
			return client.CoreV1().Pods(namespace).Delete(ctx, "any", metav1.DeleteOptions{})
		}, false},
		{"read Events", func(ctx context.Context) error {
			_, err := client.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
			return err
		}, false},
		{"list Secrets", func(ctx context.Context) error {
			_, err := client.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
			return err
		}, false},
	})
}

func newEvent() *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}, EventTime: metav1.NowMicro(), ReportingController: "example.com/test",
		ReportingInstance: "test", Action: "Test", Reason: "Test", Type: corev1.EventTypeNormal,
		Regarding: corev1.ObjectReference{Namespace: namespace},
	}
}

// orMissing takes an object that is not there for one that may be read.
func orMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// attempt is something that the webhook may do or not.
type attempt struct {
	name    string
	do      func(ctx context.Context) error
	allowed bool
}

func tryAll(t *testing.T, attempts []attempt) {
	t.Helper()
	for _, a := range attempts {
		err := a.do(t.Context())
		if a.allowed && err != nil {
			t.Errorf("it cannot %s: %v", a.name, err)
		}
		if !a.allowed && !apierrors.IsForbidden(err) {
			t.Errorf("it can %s: %v", a.name, err)
		}
	}
}

// stopped stops a watch at once.
func stopped(w watch.Interface, err error) error {
	if err == nil {
		w.Stop()
	}
	return err
}
