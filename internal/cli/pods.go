package cli

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/kubernetes"
)

// podSelector selects the pods of a workload by its spec.selector; nil where it has none.
func podSelector(u *unstructured.Unstructured) labels.Selector {
	from := member(u.Object, "spec", "selector")
	if plain, _, err := unstructured.NestedStringMap(u.Object, "spec", "selector"); err == nil && len(plain) > 0 {
		return labels.SelectorFromSet(plain) // of a ReplicationController
	}
	var s metav1.LabelSelector
	if runtime.DefaultUnstructuredConverter.FromUnstructured(from, &s) != nil {
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(&s)
	if err != nil || selector.Empty() {
		return nil
	}
	return selector
}

// newestPod is the newest one of a workload's pods that is not going away, of those that keep
// accepts; nil for none.
func newestPod(ctx context.Context, client kubernetes.Interface, t *target, keep func(*corev1.Pod) bool) (*corev1.Pod, error) {
	selector, err := podsOf(ctx, client, t)
	if err != nil || selector == nil {
		return nil, err
	}
	list, err := client.CoreV1().Pods(t.pod.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil || !keep(&p) })
	if len(pods) == 0 {
		return nil, nil //nolint:nilnil // there is no pod
	}
	newest := slices.MaxFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return &newest, nil
}

// jobName is the label of a Job's pods, with the Job's name (Kubernetes documentation,
// "Well-Known Labels").
const jobName = "batch.kubernetes.io/job-name"

// podsOf selects the pods of a workload; nil where there can be none. A CronJob has Jobs, and
// these have pods.
func podsOf(ctx context.Context, client kubernetes.Interface, t *target) (labels.Selector, error) {
	if t.cronJob == "" {
		return t.selector, nil
	}
	list, err := client.BatchV1().Jobs(t.pod.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var jobs []string
	for i := range list.Items {
		if owner := metav1.GetControllerOf(&list.Items[i]); owner != nil && owner.UID == t.cronJob {
			jobs = append(jobs, list.Items[i].Name)
		}
	}
	if len(jobs) == 0 {
		return nil, nil //nolint:nilnil // it has not run yet, or nothing is left
	}
	is, err := labels.NewRequirement(jobName, selection.In, jobs)
	if err != nil {
		return nil, err
	}
	return labels.NewSelector().Add(*is), nil
}
