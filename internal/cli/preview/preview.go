// Package preview decides about objects of manifests as the webhook would, and by the
// webhook's code.
package preview

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
	"github.com/oidc-injector/oidc-injector/internal/cli/yamledit"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
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

// Templates says where objects have templates of pods: as configured, or else as is known of
// their kind.
func (w *Webhook) Templates() podtemplate.Locations {
	return slices.Concat(w.Config.PodTemplates, podtemplate.Known)
}

// Ask has the webhook decide about the object. It is false for objects that are neither
// a pod nor have a template of one.
func (w *Webhook) Ask(o manifest.Object) (Answer, bool, error) {
	o.Namespace = cmp.Or(o.Namespace, w.Namespace)
	templates := w.Templates()
	q, err := admission.ReadObject(o.Raw, admission.Object{
		Group: o.Group, Resource: o.Resource, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name,
	}, templates)
	a := Answer{Object: o, Template: templates.Find(o.Group, o.Resource)}
	if err != nil || q.Pod == nil && a.Template != "" {
		// The API server would refuse it, in words of its own.
		if a.Errors = a.noTexts(); len(a.Errors) > 0 {
			a.Outcome = admission.Denied
			return a, true, nil
		}
	}
	if err != nil {
		return Answer{}, false, fmt.Errorf("%s: %w", o.String(), err)
	}
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

// noTexts are errors about annotations whose values are no text: a number, or a word that
// YAML takes for one.
func (a *Answer) noTexts() field.ErrorList {
	var list map[string]json.RawMessage
	if json.Unmarshal(a.field("metadata.annotations"), &list) != nil {
		return nil
	}
	at := field.NewPath("metadata", "annotations")
	if a.Template != "" {
		at = field.NewPath(a.Template, "metadata", "annotations")
	}
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if value := list[name]; len(value) > 0 && value[0] != '"' {
			errs = append(errs, finding.Error(finding.NotText, field.Invalid(at.Key(name), annotations.Shorten(string(value)),
				"the value of an annotation must be text: put it in quotes")))
		}
	}
	return errs
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
func (a *Answer) has(name string) bool {
	raw := a.field(name)
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null"))
}

// field is a field of the pod, or of the template, in JSON; nil where there is none.
func (a *Answer) field(path string) json.RawMessage {
	raw := a.Raw
	for step := range strings.SplitSeq(strings.Trim(a.Template+"."+path, "."), ".") {
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil {
			return nil
		}
		raw = fields[step]
	}
	return raw
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
