package audit

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycoordinationv1 "k8s.io/client-go/applyconfigurations/coordination/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// fieldManager is who creates the Lease.
const fieldManager = "oidc-injector-audit"

var errHeld = errors.New("another replica holds the Lease already")

// lock is a lock by a Lease that is created by server-side apply where it is
// missing: unlike a plain create, RBAC can allow that for one name. It has the
// labels and annotations again by which Helm knows it as its own.
type lock struct {
	resourcelock.LeaseLock

	known *metav1.ObjectMeta // of the Lease that was found first
}

// Get reads the Lease.
func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if l.known == nil {
		lease, err := l.Client.Leases(l.LeaseMeta.Namespace).Get(ctx, l.LeaseMeta.Name, metav1.GetOptions{})
		if err != nil {
			return nil, nil, err
		}
		l.known = &lease.ObjectMeta
	}
	return l.LeaseLock.Get(ctx)
}

// Create creates the Lease, without a holder, and then takes it, unless another
// replica holds it by then.
func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	name, namespace := l.LeaseMeta.Name, l.LeaseMeta.Namespace
	empty := applycoordinationv1.Lease(name, namespace)
	if l.known != nil {
		empty.WithLabels(l.known.Labels).WithAnnotations(l.known.Annotations)
	}
	if _, err := l.Client.Leases(namespace).Apply(ctx, empty, metav1.ApplyOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("could not create the Lease of the audit: %w", err)
	}
	held, _, err := l.Get(ctx)
	if err != nil {
		return err
	}
	if held.HolderIdentity != "" {
		return errHeld
	}
	return l.Update(ctx, record) // which fails if it was modified concurrently
}
