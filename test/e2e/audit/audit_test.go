package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// replicaSet creates one. There are no controllers here, so tests make its pods.
func replicaSet(t *testing.T, namespace, name string, replicas int32) *appsv1.ReplicaSet {
	t.Helper()
	set, err := kube.Client().AppsV1().ReplicaSets(namespace).Create(t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: selector(name), Template: template(name)},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func selector(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

// template is that of a workload whose pods ask for a token.
func template(app string) corev1.PodTemplateSpec {
	pod := podtest.New("", "audience=vault")
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: selector(app).MatchLabels, Annotations: pod.Annotations}, Spec: pod.Spec,
	}
}

// owned makes a pod one of a controller's, and of its labels.
func owned(pod *corev1.Pod, kind schema.GroupVersionKind, by metav1.Object) *corev1.Pod {
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(by, kind)}
	pod.Labels = selector(by.GetName()).MatchLabels
	return pod
}

// ownedByOthers makes a StatefulSet have a pod, and creates one of a DaemonSet and
// one of a Job, which their controllers let be: it is on no node, and belongs to
// another Job controller.
func ownedByOthers(t *testing.T, namespace string) {
	t.Helper()
	const daemons, state, work = "daemons", "state", "work"
	apps, options := kube.Client().AppsV1(), metav1.CreateOptions{}
	ds, err := apps.DaemonSets(namespace).Create(t.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: daemons}, Spec: appsv1.DaemonSetSpec{Selector: selector(daemons), Template: template(daemons)},
	}, options)
	if err != nil {
		t.Fatal(err)
	}
	_, err = apps.StatefulSets(namespace).Create(t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: state}, Spec: appsv1.StatefulSetSpec{Selector: selector(state), Template: template(state)},
	}, options)
	if err != nil {
		t.Fatal(err)
	}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: work}, Spec: batchv1.JobSpec{ManagedBy: new("example.com/nobody"), Template: template(work)},
	}
	job.Spec.ManualSelector, job.Spec.Selector = new(true), selector(work)
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	if job, err = kube.Client().BatchV1().Jobs(namespace).Create(t.Context(), job, options); err != nil {
		t.Fatal(err)
	}
	podtest.Create(t, kube, namespace, owned(podtest.New("of-daemons", "audience=vault"), appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
		ds))
	podtest.Create(t, kube, namespace, owned(podtest.New("of-work", "audience=vault"), batchv1.SchemeGroupVersion.WithKind("Job"), job))
}

func remove(t *testing.T, namespace string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := kube.Client().CoreV1().Pods(namespace).Delete(t.Context(), name,
			metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
			t.Fatal(err)
		}
	}
}

// reopen opens the door to a replica, and waits until the API server reaches the webhook again.
func (in *installation) reopen(t *testing.T, r *replica, namespace string) {
	t.Helper()
	in.door.to.Store(&r.webhook)
	podtest.Eventually(t, "the webhook injects", func(ctx context.Context) error {
		pod, err := kube.Client().CoreV1().Pods(namespace).
			Create(ctx, podtest.New("probe", "audience=vault"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil && !injected(pod) {
			err = errors.New("not injected")
		}
		return err
	})
}

// events are those of the audit about an object.
func events(t *testing.T, namespace string, about types.UID) []eventsv1.Event {
	t.Helper()
	list, err := kube.Client().EventsV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var of []eventsv1.Event
	for i := range list.Items {
		if list.Items[i].Regarding.UID == about && list.Items[i].ReportingController == "oidc-injector.io/audit" {
			of = append(of, list.Items[i])
		}
	}
	return of
}

func TestMissedPods(t *testing.T) {
	in := install(t, "missed", clusterRules(), namespaceRules())
	a := in.start(t)
	a.awaitLeader(t, 1)
	b := in.start(t)
	shop, later := in.served(t, "shop", true), in.served(t, "later", false)
	in.reopen(t, a, shop)

	// What is injected is not even read: its metadata tells.
	inOrder := map[string][]string{
		"plain": nil, "out": {"audience=vault", "inject=false"}, "token": {"audience=vault"},
		"two": {"audience=vault", "audience.aws=sts", "mount-path.aws=/var/run/secrets/aws", "env.aws=AWS_TOKEN"},
	}
	for name, pairs := range inOrder {
		podtest.Create(t, kube, shop, podtest.New(name, pairs...))
	}
	a.awaitMetric(t, float64(len(inOrder)), "oidc_injector_audit_pods_seen_total")
	a.awaitMissed(t, counts{})
	if n := a.mustMetric(t, "oidc_injector_audit_checks_total"); n != 0 {
		t.Errorf("%v pods were read", n)
	}

	// The webhook is away, and the failure policy lets pods in.
	in.door.shut()
	web := replicaSet(t, shop, "web", 3)
	bare := podtest.Create(t, kube, shop, podtest.New("bare", "audience=vault", "expiration=1s"))
	if injected(bare) {
		t.Fatal("the webhook was to be away")
	}
	api := replicaSet(t, shop, "api", 0)
	claims := owned(podtest.New("claims", "audience=vault"), appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), api)
	claims.Labels = nil // whoever creates a pod may claim any owner
	claims = podtest.Create(t, kube, shop, claims)
	podtest.Create(t, kube, shop, podtest.New("copied", "audience=vault",
		`status={"version":"v1","tokens":["default"],"containers":["app"]}`))
	podtest.Create(t, kube, shop, podtest.New("done", "audience=vault"))
	finish(t, shop, "done")
	podtest.Create(t, kube, shop, mirror("static"))
	podtest.Create(t, kube, later, podtest.New("early", "audience=vault"))
	a.awaitMissed(t, counts{"not_injected": 4, "denied": 1, "foreign_status": 1})
	b.awaitMissed(t, counts{})

	podtest.Eventually(t, "the Events", func(context.Context) error {
		if of := events(t, shop, web.UID); len(of) != 1 || of[0].Reason != "NotInjected" || of[0].Related == nil {
			return fmt.Errorf("events about the ReplicaSet: %+v", of)
		}
		if of := events(t, shop, bare.UID); len(of) != 1 || !strings.Contains(of[0].Note, "expiration") {
			return fmt.Errorf("events about the bare pod: %+v", of)
		}
		if of := events(t, shop, claims.UID); len(of) != 1 {
			return fmt.Errorf("events about the pod that claims an owner: %+v", of)
		}
		return nil
	})
	if of := events(t, shop, api.UID); len(of) != 0 {
		t.Errorf("events about a ReplicaSet that a pod claimed: %+v", of)
	}
	description, err := kube.Kubectl(t.Context(), "describe", "replicaset", "--namespace="+shop, "web")
	if err != nil || !strings.Contains(description, "requests tokens but was not injected") {
		t.Errorf("kubectl describe: %v\n%s", err, description)
	}

	t.Log(description)
	table, err := kube.Kubectl(t.Context(), "get", "events", "-A", "--field-selector=reportingComponent=oidc-injector.io/audit")
	if err != nil || !strings.Contains(table, "replicaset/web") {
		t.Errorf("kubectl get events: %v\n%s", err, table)
	}

	// A label comes later, and goes.
	relabel(t, later, in.label(), new("true"))
	a.awaitMissed(t, counts{"not_injected": 5, "denied": 1, "foreign_status": 1})
	relabel(t, later, in.label(), nil)
	a.awaitMissed(t, counts{"not_injected": 4, "denied": 1, "foreign_status": 1})

	// Created again, they are injected. The copied status stays a reason to look,
	// and what the API server has stored by then has everything.
	in.reopen(t, b, shop)
	remove(t, shop, "bare", "claims", "copied")
	err = kube.Client().CoreV1().Pods(shop).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))},
		metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(web.Spec.Selector)})
	if err != nil {
		t.Fatal(err)
	}
	podtest.Create(t, kube, shop, podtest.New("copied", "audience=vault",
		`status={"version":"v1","tokens":["default"],"containers":["app"]}`))
	if n := a.awaitMetric(t, 1, "oidc_injector_audit_checks_total", "result", "not_missed"); n != 1 {
		t.Errorf("%v pods were read and found in order", n)
	}
	a.awaitMissed(t, counts{})
	if list, seen := a.mustMetric(t, "oidc_injector_audit_last_list_timestamp_seconds"), time.Now().Unix(); list < float64(seen-600) {
		t.Errorf("last list: %v", list)
	}
	for _, r := range []*replica{a, b} {
		if r.log.Has("forbidden") || r.log.Has("vault") {
			t.Error("a right is missing, or the log quotes a pod")
		}
	}
}

// mirror is a static pod, as its kubelet shows it.
func mirror(name string) *corev1.Pod {
	pod := podtest.New(name, "audience=vault")
	pod.Annotations[corev1.MirrorPodAnnotationKey] = "x"
	pod.Spec.NodeName = "somewhere"
	return pod
}

func finish(t *testing.T, namespace, name string) {
	t.Helper()
	patch := []byte(`{"status":{"phase":"Succeeded"}}`)
	if _, err := kube.Client().CoreV1().Pods(namespace).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{},
		"status"); err != nil {
		t.Fatal(err)
	}
}

func relabel(t *testing.T, namespace, label string, value *string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{label: value}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kube.Client().CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, patch,
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// What was injected has everything, also after the API server has filled in its
// defaults: whoever looks at it with admission's eyes finds nothing to add.
func TestInjectedPodsAreNotMissed(t *testing.T) {
	in := install(t, "kinds", clusterRules(), namespaceRules())
	config := t.TempDir() + "/config.yaml"
	writeFile(t, config, "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\nlogin: {image: login}\n"+
		"profiles: {both: {audience: vault, audience.aws: sts}}\npolicy: {loginAddresses: {allowed: [\"*\"]}}\n")
	r := in.start(t, "--config="+config)
	r.awaitLeader(t, 1)
	shop := in.served(t, "shop", true)
	in.reopen(t, r, shop)
	login := []string{"audience=vault", "login=vault", "login-address=https://vault:8200", "login-role=web"}
	kinds := map[string][]string{
		"profile": {"profile=both"}, "mode": {"audience=vault", "file-mode=0440", "env=TOKEN"}, "sidecar": login,
		"init": append(slices.Clip(login), "login-mode=init", "login-ca-configmap=ca", "login-env=LOGIN"),
	}
	for name, pairs := range kinds {
		// A status of somebody else's is a reason to look; the webhook replaces it.
		podtest.Create(t, kube, shop, podtest.New(name, append(pairs, "status={}")...))
	}
	r.awaitMetric(t, float64(len(kinds)), "oidc_injector_audit_checks_total")
	r.awaitMissed(t, counts{})
}

// The audit resumes when its leader dies, and when the API server was away.
func TestAuditResumes(t *testing.T) {
	in := install(t, "leader", clusterRules(), namespaceRules())
	a := in.start(t)
	a.awaitLeader(t, 1)
	b := in.start(t)
	shop := in.served(t, "shop", true)
	const pods = 200
	began := time.Now()
	for i := range pods { // the door is shut
		podtest.Create(t, kube, shop, podtest.New(fmt.Sprintf("pod-%d", i), "audience=vault"))
	}
	t.Logf("%d pods a second can be created here, one after the other", int(pods/time.Since(began).Seconds()))
	a.awaitMissed(t, counts{"not_injected": pods})

	began = time.Now()
	a.signal(t, syscall.SIGKILL)
	b.awaitLeader(t, 1)
	t.Logf("another replica took over after %v", time.Since(began).Round(time.Second))
	b.awaitMissed(t, counts{"not_injected": pods})

	if err := kube.RestartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	remove(t, shop, "pod-7")
	b.awaitMissed(t, counts{"not_injected": pods - 1})

	// One that ends in order hands over at once.
	c := in.start(t)
	began = time.Now()
	b.signal(t, syscall.SIGTERM)
	c.awaitLeader(t, 1)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the handover took %v", took)
	}
}

// No right is granted that is not needed.
func TestEachRightIsNeeded(t *testing.T) {
	for _, right := range []string{
		"list namespaces", "watch namespaces", "list pods", "watch pods", "get pods", "create events",
		"get daemonsets", "get replicasets", "get statefulsets", "get jobs", "get leases", "create leases", "patch leases", "update leases",
	} {
		t.Run(right, func(t *testing.T) {
			verb, resource, _ := strings.Cut(right, " ")
			in := install(t, strings.ReplaceAll(right, " ", "-"), without(clusterRules(), verb, resource),
				without(namespaceRules(), verb, resource))
			shop := in.served(t, "shop", true)
			replicaSet(t, shop, "set", 1)
			ownedByOthers(t, shop)
			podtest.Create(t, kube, shop, podtest.New("web", "audience=vault"))
			r := in.start(t)
			podtest.Eventually(t, "the loss", func(context.Context) error {
				if !r.log.Has(fmt.Sprintf(`cannot %s resource \"%s\"`, verb, resource)) {
					return errors.New("nothing is missing")
				}
				return nil
			})
		})
	}
}

// Pods that a binding is about are missed, too, and those of other ServiceAccounts are not.
func TestMissedBoundPods(t *testing.T) {
	in := install(t, "bindings", clusterRules(), namespaceRules())
	shop := in.served(t, "shop", true)
	config := t.TempDir() + "/config.yaml"
	writeFile(t, config, "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"+
		"bindings: [{name: web, namespaces: ['"+shop+"'], serviceAccounts: [default], podLabels: {app: web}, "+
		"annotations: {audience: vault}}]\n")
	r := in.start(t, "--config="+config)
	r.awaitLeader(t, 1)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "other"}}
	if _, err := kube.Client().CoreV1().ServiceAccounts(shop).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // of nobody: a controller would have its say in how many there are
		pod := podtest.New(fmt.Sprintf("web-%d", i))
		pod.Labels = map[string]string{"app": "web"}
		podtest.Create(t, kube, shop, pod)
		other := podtest.New(fmt.Sprintf("other-%d", i))
		other.Labels, other.Spec.ServiceAccountName = map[string]string{"app": "web"}, "other"
		podtest.Create(t, kube, shop, other)
	}
	r.awaitMissed(t, counts{"not_injected": 3})
	if n := r.awaitMetric(t, 3, "oidc_injector_audit_checks_total", "result", "not_missed"); n != 3 {
		t.Errorf("%v pods of another ServiceAccount were read", n)
	}
}
