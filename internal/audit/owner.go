package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
)

// controller is a kind of Kubernetes' own that controls pods by a selector.
type controller struct{ apiVersion, kind, resource string }

// controllers are those whose pods the audit reports by an Event about their
// controller; docs/audit.md lists the rights. Pods of others get their own.
var controllers = []controller{
	{"apps/v1", "DaemonSet", "daemonsets"},
	{"apps/v1", "ReplicaSet", "replicasets"},
	{"apps/v1", "StatefulSet", "statefulsets"},
	{"batch/v1", "Job", "jobs"},
}

// owner is the controller that a pod names. Its fields are of bounded length,
// which those of an owner reference are not.
type owner struct {
	*controller // nil where there is none

	name string
	uid  types.UID
}

// maxUID is the length of a UUID.
const maxUID = 36

// claimedOwner is what a pod says of its controller. Whoever creates a pod writes
// that, so it is a claim until it is verified.
func claimedOwner(m *metav1.ObjectMeta) owner {
	ref := metav1.GetControllerOfNoCopy(m)
	if ref == nil || len(ref.UID) > maxUID || len(ref.Name) > validation.DNS1123SubdomainMaxLength ||
		len(validation.IsDNS1123Subdomain(ref.Name)) > 0 {
		return owner{}
	}
	for i := range controllers {
		if c := &controllers[i]; c.apiVersion == ref.APIVersion && c.kind == ref.Kind {
			return owner{controller: c, name: ref.Name, uid: ref.UID}
		}
	}
	return owner{}
}

// verifier finds out whether controllers own the pods that name them.
type verifier struct {
	client rest.Interface
	log    *slog.Logger
	denied rate.Sometimes
}

func newVerifier(client rest.Interface, log *slog.Logger) *verifier {
	return &verifier{client: client, log: log, denied: rate.Sometimes{First: 1, Interval: time.Hour}}
}

// selecting is what is read of a controller.
type selecting struct {
	Metadata struct {
		UID types.UID `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		Selector *metav1.LabelSelector `json:"selector"`
	} `json:"spec"`
}

// owns reports whether the controller exists in the pod's namespace under the
// name and UID that the pod gives, and selects the pod's labels. That is when the
// controller itself counts the pod as its own: it releases others. The error says
// that nothing could be found out for now.
func (v *verifier) owns(ctx context.Context, o owner, namespace string, podLabels map[string]string) (bool, error) {
	if o.controller == nil {
		return false, nil
	}
	request := v.client.Get().AbsPath("/apis", o.apiVersion).Namespace(namespace).Resource(o.resource).Name(o.name).SetHeader("Accept",
		"application/json")
	var body bytes.Buffer
	err := readBounded(ctx, request, &body, maxObject)
	switch {
	case apierrors.IsForbidden(err):
		v.denied.Do(func() { v.log.Warn("owners of pods cannot be verified, Events are about pods", "error", err) })
		return false, nil
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("could not get the %s: %w", o.kind, err)
	}
	var s selecting
	if err := json.Unmarshal(body.Bytes(), &s); err != nil {
		return false, fmt.Errorf("could not decode the %s: %w", o.kind, err)
	}
	if s.Metadata.UID != o.uid {
		return false, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(s.Spec.Selector)
	if err != nil {
		return false, nil //nolint:nilerr // the API server stores no such selector; it would select nothing
	}
	return selector.Matches(labels.Set(podLabels)), nil
}
