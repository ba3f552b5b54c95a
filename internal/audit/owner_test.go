package audit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

func TestClaimedOwner(t *testing.T) {
	t.Parallel()
	ref := func(change func(*metav1.OwnerReference)) *corev1.Pod {
		return with(newPod("web"), func(p *corev1.Pod) { change(&p.OwnerReferences[1]) })
	}
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"a ReplicaSet":          {newPod("web"), true},
		"a Job":                 {ref(func(r *metav1.OwnerReference) { r.APIVersion, r.Kind = "batch/v1", "Job" }), true},
		"no controller":         {ref(func(r *metav1.OwnerReference) { r.Controller = nil }), false},
		"another group":         {ref(func(r *metav1.OwnerReference) { r.APIVersion = "example.com/v1" }), false},
		"another kind":          {ref(func(r *metav1.OwnerReference) { r.Kind = "Deployment" }), false},
		"an object of no space": {ref(func(r *metav1.OwnerReference) { r.APIVersion, r.Kind = "v1", "Node" }), false},
		"a name without end":    {ref(func(r *metav1.OwnerReference) { r.Name = strings.Repeat("x", 1<<20) }), false},
		"a name that is a path": {ref(func(r *metav1.OwnerReference) { r.Name = "../../secrets/x" }), false},
		"a UID without end":     {ref(func(r *metav1.OwnerReference) { r.UID = "a-uid-of-more-than-36-characters-is-none" }), false},
		"a version without end": {ref(func(r *metav1.OwnerReference) { r.APIVersion = strings.Repeat("x", 1<<20) }), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := claimedOwner(&tt.pod.ObjectMeta); (got.controller != nil) != tt.want {
				t.Errorf("owner %+v", got)
			}
		})
	}
}

func TestOwns(t *testing.T) { //nolint:tparallel // its parts share a server that is made to fail
	t.Parallel()
	s := server(t)
	s.ReplicaSet("shop", "web", "uid", map[string]string{"app": "web"})
	client, _ := metered(t, s)
	log := &testutil.Log{}
	v := newVerifier(client, log.Logger())
	set := &controllers[1]
	for name, tt := range map[string]struct {
		owner     owner
		namespace string
		labels    map[string]string
		want      bool
	}{
		"nobody":               {owner{}, "shop", map[string]string{"app": "web"}, false},
		"its own":              {owner{set, "web", "uid"}, "shop", map[string]string{"app": "web", "other": "x"}, true},
		"an earlier one":       {owner{set, "web", "earlier"}, "shop", map[string]string{"app": "web"}, false},
		"there is none":        {owner{set, "other", "uid"}, "shop", map[string]string{"app": "web"}, false},
		"in another namespace": {owner{set, "web", "uid"}, "other", map[string]string{"app": "web"}, false},
		"not selected":         {owner{set, "web", "uid"}, "shop", map[string]string{"app": "api"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := v.owns(t.Context(), tt.owner, tt.namespace, tt.labels)
			if err != nil || got != tt.want {
				t.Errorf("%t, %v", got, err)
			}
		})
	}
	own := owner{set, "web", "uid"}
	t.Run("trouble is no answer", func(t *testing.T) {
		s.Fail("get replicaset", 1, 503)
		if _, err := v.owns(t.Context(), own, "shop", map[string]string{"app": "web"}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("without the right nobody owns anything", func(t *testing.T) {
		s.Fail("get replicaset", 2, 403)
		for range 2 {
			if got, err := v.owns(t.Context(), own, "shop", map[string]string{"app": "web"}); got || err != nil {
				t.Errorf("%t, %v", got, err)
			}
		}
		if lines := strings.Count(log.String(), "cannot be verified"); lines != 1 {
			t.Errorf("logged %d times", lines)
		}
	})
}

// An Event names only an object that owns the pod, whatever the pod says.
func TestEventOwners(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.ReplicaSet("shop", "web-5d4f8c", "web", map[string]string{"app": "web"})
	stranger := func(name string, change func(*corev1.Pod)) { s.Pod(with(newPod(name, "audience=vault"), change)) }
	stranger("other-labels", func(p *corev1.Pod) { p.Labels = nil })
	stranger("other-uid", func(p *corev1.Pod) { p.OwnerReferences[1].UID = "x" })
	stranger("other-kind", func(p *corev1.Pod) { p.OwnerReferences[1].APIVersion, p.OwnerReferences[1].Kind = "v1", "Namespace" })
	r := start(t, s, "a", 100)
	r.await("oidc_injector_audit_events_total", counts{"success": 3})
	s.Pod(newPod("own", "audience=vault")) // what others claimed does not keep back its Event
	r.await("oidc_injector_audit_events_total", counts{"success": 4})
	got := map[string]string{}
	for _, e := range s.Events() {
		got[e.Regarding.Name] = e.Regarding.Kind
	}
	want := map[string]string{"other-labels": "Pod", "other-uid": "Pod", "other-kind": "Pod", "web-5d4f8c": "ReplicaSet"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what Events are about (-want +got):\n%s", diff)
	}
}

// An owner that cannot be read for now gets its Event later.
func TestEventsWaitForOwners(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.ReplicaSet("shop", "web-5d4f8c", "web", map[string]string{"app": "web"})
	s.Fail("get replicaset", 2, 503)
	s.Pod(newPod("web", "audience=vault"))
	r := start(t, s, "a", 100)
	r.await("oidc_injector_audit_events_total", counts{"success": 1, "failure": 2})
	if events := s.Events(); len(events) != 1 || events[0].Regarding.Kind != "ReplicaSet" {
		t.Errorf("events %+v", events)
	}
}
