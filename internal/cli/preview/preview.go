// Package preview decides about objects of manifests as the webhook would, and by the
// webhook's code.
package preview

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
	"github.com/oidc-injector/oidc-injector/internal/cli/yamledit"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// Webhook is a webhook that is asked.
type Webhook struct {
	Config *config.Config
	// Version is the one that it writes into pods.
	Version string
	// Namespace is that of objects which name none.
	Namespace string
	// Serves says why a namespace is not served, and is empty for one that is; nil for a
	// webhook that serves all.
	Serves func(namespace string) (reason string, err error)
}

// Answer is what the webhook says of an object.
type Answer struct {
	manifest.Object
	// Template is the path of the template of pods in a workload, and empty for a pod.
	Template string
	admission.Decision
	// Unserved says why the webhook is not asked; the decision is empty then.
	Unserved string
}

// Ask has the webhook decide about the object. It is false for objects that are neither
// a pod nor have a template of one.
func (w *Webhook) Ask(o manifest.Object) (Answer, bool, error) {
	o.Namespace = cmp.Or(o.Namespace, w.Namespace)
	q, err := admission.ReadObject(o.Raw, admission.Object{
		Group: o.Group, Resource: o.Resource, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name,
	}, w.Config.PodTemplates)
	if err != nil {
		return Answer{}, false, fmt.Errorf("%s: %w", o.String(), err)
	}
	a := Answer{Object: o, Template: q.Template}
	if q.Pod == nil {
		return a, false, nil
	}
	if w.Serves != nil {
		if a.Unserved, err = w.Serves(o.Namespace); err != nil || a.Unserved != "" {
			return a, true, err
		}
	}
	a.Decision = admission.Preview(w.Config, w.Version, q)
	return a, true, nil
}

// Operations are those of the answer, for the document that the object stands in.
func (a *Answer) Operations() ([]yamledit.Operation, error) {
	if a.Outcome == admission.Denied || len(a.Decision.Operations) == 0 {
		return nil, nil
	}
	var all []yamledit.Operation
	if metadata := a.pointer() + "/metadata"; !a.has("metadata") {
		// The API server gives every pod metadata before the webhook sees it.
		all = append(all, yamledit.Operation{Path: metadata, Value: json.RawMessage("{}")})
	}
	for i := range a.Decision.Operations {
		o := &a.Decision.Operations[i]
		value, err := json.Marshal(o.Value)
		if err != nil {
			return nil, fmt.Errorf("could not encode the patch: %w", err)
		}
		all = append(all, yamledit.Operation{Path: a.Pointer + o.Path, Value: value})
	}
	return all, nil
}

// pointer is where the pod, or the template, stands in the document.
func (a *Answer) pointer() string {
	if a.Template == "" {
		return a.Pointer
	}
	return a.Pointer + "/" + strings.ReplaceAll(a.Template, ".", "/")
}

// has reports whether the pod, or the template, has a field.
func (a *Answer) has(field string) bool {
	raw := a.Raw
	for step := range strings.SplitSeq(strings.Trim(a.Template+"."+field, "."), ".") {
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil {
			return false
		}
		raw = fields[step]
	}
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null"))
}

// Patch is the answer's patch as the webhook sends it (RFC 6902), and an empty one where
// it sends none.
func (a *Answer) Patch() ([]byte, error) {
	if a.Outcome == admission.Denied || len(a.Decision.Operations) == 0 {
		return []byte("[]"), nil
	}
	patch, err := a.Decision.Patch()
	if err != nil {
		return nil, fmt.Errorf("could not encode the patch: %w", err)
	}
	return patch, nil
}
