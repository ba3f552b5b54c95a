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
// missing: unlike a plain create, RBAC can allow that for one name.
type lock struct{ *resourcelock.LeaseLock }

// Create creates the Lease, without a holder, and then takes it, unless another
// replica has been faster.
func (l lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	name, namespace := l.LeaseMeta.Name, l.LeaseMeta.Namespace
	empty := applycoordinationv1.Lease(name, namespace)
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
	return l.Update(ctx, record) // which fails if somebody has written it since
}
