package audit

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycoordinationv1 "k8s.io/client-go/applyconfigurations/coordination/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/oidc-injector/oidc-injector/internal/audit/audittest"
)

// locks are those of replicas of the same audit.
func locks(t *testing.T, s *audittest.Server, identities ...string) []*lock {
	t.Helper()
	client, err := coordinationclient.NewForConfig(&rest.Config{Host: s.URL, QPS: -1}) // else it waits for its turn
	if err != nil {
		t.Fatal(err)
	}
	var all []*lock
	for _, identity := range identities {
		all = append(all, &lock{LeaseLock: resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: "security", Name: "oidc-injector-audit"}, Client: client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		}})
	}
	return all
}

func held(l *lock) resourcelock.LeaderElectionRecord {
	return resourcelock.LeaderElectionRecord{HolderIdentity: l.Identity(), LeaseDurationSeconds: 30}
}

// Of replicas that all see no Lease, one gets it, and can go on with it at once.
func TestLeaseMissing(t *testing.T) {
	t.Parallel()
	s := server(t)
	for range 20 {
		s.DeleteLease()
		all := locks(t, s, "a", "b", "c", "d")
		var got sync.Map
		var group sync.WaitGroup
		for _, l := range all {
			group.Go(func() {
				if l.Create(t.Context(), held(l)) == nil {
					got.Store(l, true)
				}
			})
		}
		group.Wait()
		winners := 0
		for _, l := range all {
			if _, won := got.Load(l); !won {
				continue
			}
			winners++
			if record, _, err := l.Get(t.Context()); err != nil || record.HolderIdentity != l.Identity() {
				t.Errorf("%s has it, but the holder is %+v: %v", l.Identity(), record, err)
			}
			if err := l.Update(t.Context(), held(l)); err != nil {
				t.Error(err)
			}
		}
		if winners != 1 {
			t.Fatalf("%d replicas have it", winners)
		}
	}
}

// TestLeaseHeld: it is not taken.
func TestLeaseHeld(t *testing.T) {
	t.Parallel()
	all := locks(t, server(t), "a", "b")
	if err := all[0].Create(t.Context(), held(all[0])); err != nil {
		t.Fatal(err)
	}
	if err := all[1].Create(t.Context(), held(all[1])); !errors.Is(err, errHeld) {
		t.Errorf("error %v", err)
	}
}

// Helm knows its objects by labels and annotations: without them it would refuse a Lease
// that was made again.
func TestLeaseRecreated(t *testing.T) {
	t.Parallel()
	s := server(t)
	l := locks(t, s, "a")[0]
	labels, annotations := map[string]string{"app.kubernetes.io/managed-by": "Helm"},
		map[string]string{"meta.helm.sh/release-name": "oidc-injector"}
	made := applycoordinationv1.Lease("oidc-injector-audit", "security").WithLabels(labels).WithAnnotations(annotations)
	if _, err := l.Client.Leases("security").Apply(t.Context(), made, metav1.ApplyOptions{FieldManager: "helm"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.DeleteLease()
	if err := l.Create(t.Context(), held(l)); err != nil {
		t.Fatal(err)
	}
	again, err := l.Client.Leases("security").Get(t.Context(), "oidc-injector-audit", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]map[string]string{labels, annotations}, []map[string]string{again.Labels, again.Annotations}); diff != "" {
		t.Errorf("labels and annotations (-want +got):\n%s", diff)
	}
}
