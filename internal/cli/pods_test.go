package cli

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

// podAt is a pod of an age in minutes.
func podAt(name string, age int, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "team", Labels: labels,
		CreationTimestamp: metav1.NewTime(time.Date(2026, 11, 27, 12, -age, 0, 0, time.UTC)),
	}}
}

func jobOf(name string, owner types.UID) *batchv1.Job {
	yes := true
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team", OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "batch/v1", Kind: "CronJob", Name: "backup", UID: owner, Controller: &yes,
	}}}}
}

// TestNewestPod holds which pod of a workload is looked at.
func TestNewestPod(t *testing.T) {
	t.Parallel()
	leaving := podAt("leaving", 0, map[string]string{"app": "web"})
	leaving.DeletionTimestamp, leaving.Finalizers = &metav1.Time{Time: time.Now()}, []string{"a/b"}
	client := fake.NewClientset(
		jobOf("backup-1", "mine"), jobOf("backup-2", "mine"), jobOf("backup-3", "of-an-earlier-one"),
		podAt("first-run", 30, map[string]string{jobName: "backup-1"}), podAt("last-run", 10, map[string]string{jobName: "backup-2"}),
		podAt("not-mine", 1, map[string]string{jobName: "backup-3"}),
		podAt("web-old", 20, map[string]string{"app": "web"}), podAt("web-new", 5, map[string]string{"app": "web"}), leaving,
	)
	const template = "template: {spec: {containers: [{name: app, image: app}]}}"
	for name, tt := range map[string]struct{ object, want string }{
		"a CronJob's Jobs": {
			"{apiVersion: batch/v1, kind: CronJob, metadata: {name: backup, uid: mine}, spec: {jobTemplate: {spec: {" + template + "}}}}",
			"last-run",
		},
		"a CronJob that has not run": {
			"{apiVersion: batch/v1, kind: CronJob, metadata: {name: backup, uid: new}, spec: {jobTemplate: {spec: {" + template + "}}}}",
			"",
		},
		"a Job": {
			"{apiVersion: batch/v1, kind: Job, metadata: {name: b}, spec: {selector: {matchLabels: {" + jobName + ": backup-1}}, " +
				template + "}}",
			"first-run",
		},
		"a Deployment": {
			"{apiVersion: apps/v1, kind: Deployment, metadata: {name: w}, spec: {selector: {matchLabels: {app: web}}, " + template + "}}",
			"web-new",
		},
		"a selector with expressions": {
			"{apiVersion: apps/v1, kind: Deployment, metadata: {name: w}, spec: {selector: {matchExpressions: " +
				"[{key: app, operator: In, values: [web]}]}, " + template + "}}",
			"web-new",
		},
		"a ReplicationController": {
			"{apiVersion: v1, kind: ReplicationController, metadata: {name: w}, spec: {selector: {app: web}, " + template + "}}", "web-new",
		},
		"no selector": {
			"{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: w}, spec: {" + template + "}}", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var u unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(tt.object), &u.Object); err != nil {
				t.Fatal(err)
			}
			target, err := readTarget(&u, "team", true)
			if err != nil {
				t.Fatal(err)
			}
			pod, err := newestPod(t.Context(), client, target, func(*corev1.Pod) bool { return true })
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if pod != nil {
				got = pod.Name
			}
			if got != tt.want {
				t.Errorf("pod %q, want %q", got, tt.want)
			}
		})
	}
}
