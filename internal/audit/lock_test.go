package audit

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Two replicas that both see no Lease make one, and one of them holds it.
func TestAMissingLeaseIsMadeAndTakenOnce(t *testing.T) {
	t.Parallel()
	s := server(t)
	client, err := coordinationclient.NewForConfig(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	of := func(identity string) lock {
		return lock{&resourcelock.LeaseLock{
			LeaseMeta: metav1.ObjectMeta{Namespace: "security", Name: "oidc-injector-audit"}, Client: client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		}}
	}
	a, b := of("a"), of("b")
	if err := a.Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "a", LeaseDurationSeconds: 30}); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "b", LeaseDurationSeconds: 30}); !errors.Is(err, errHeld) {
		t.Errorf("the second one gets: %v", err)
	}
	record, _, err := b.Get(t.Context())
	if err != nil || record.HolderIdentity != "a" {
		t.Errorf("the holder is %+v: %v", record, err)
	}
	// The first one can go on with it at once.
	if err := a.Update(t.Context(), *record); err != nil {
		t.Error(err)
	}
}
