package mutate

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// checkMount compares what the container has at the mount path with what it
// should have there: the same is fine, whoever wrote it.
func (in *injection) checkMount(c *container, m *mount, v *view) {
	at := in.mountField(c, m)
	if m.device || m.partial {
		in.fail(field.Invalid(at, m.path, fmt.Sprintf(
			"container %q uses this path for another thing (volume %q), and %s wants the tokens there", c.name, m.volume, in.wantedBy(v))))
		return
	}
	p := in.existing.get(m.volume)
	if p == nil {
		return // the API server refuses a mount without a volume, in its own words
	}
	if !v.holds(p) {
		in.fail(field.Invalid(at, m.path, fmt.Sprintf(
			"container %q mounts volume %q here, which is not what %s wants here: %s", c.name, m.volume, in.wantedBy(v), v.describe())))
		return
	}
	in.checkMode(p, v)
	in.warnOfMode(c, v, p.mode)
}

// checkNesting reports mounts of the container that a read-only directory of
// ours would make impossible, or that would make ours impossible. The directory
// is given as it was written and in its comparable form.
func (in *injection) checkNesting(c *container, dir, ours, annotation string) {
	for i := range c.mounts {
		m := &c.mounts[i]
		theirs := annotations.ComparablePath(m.path, in.pod.OS)
		switch {
		case annotations.Within(theirs, ours):
			in.fail(field.Invalid(in.mountField(c, m), m.path, fmt.Sprintf(
				"container %q mounts volume %q inside %s, which %s makes a read-only directory of tokens: the container could not start",
				c.name, m.volume, dir, annotation)))
		case theirs != "/" && annotations.Within(ours, theirs) && in.readOnly(m.volume):
			in.warnOnce(fmt.Sprintf(
				"container %q: the token directory %s lies inside the read-only volume %q mounted at %q, so the container may not start",
				c.name, dir, m.volume, m.path))
		}
	}
}

// mountField is where a mount stands in the pod.
func (in *injection) mountField(c *container, m *mount) *field.Path {
	if m.device {
		return c.field().Child("volumeDevices").Index(m.index).Child("devicePath")
	}
	return c.field().Child("volumeMounts").Index(m.index).Child("mountPath")
}

func (c *container) field() *field.Path {
	return field.NewPath("spec", c.list).Index(c.index)
}

// wantedBy names the annotations that ask for a view's tokens.
func (in *injection) wantedBy(v *view) string {
	tokens := v.tokens()
	keys := make([]string, 0, len(tokens))
	for _, t := range tokens {
		keys = append(keys, t.Annotation(annotations.Audience))
	}
	return "annotation " + strings.Join(slices.Compact(keys), " and ")
}

// checkMode reports a volume whose mode contradicts the annotation.
func (in *injection) checkMode(p *projection, v *view) bool {
	want := in.annotatedMode(v)
	if want == nil || *want == p.mode {
		return true
	}
	key := v.modeToken().Annotation(annotations.FileMode)
	in.fail(field.Invalid(p.field().Child("projected", "defaultMode"),
		fmt.Sprintf("%04o", p.mode), fmt.Sprintf("volume %q holds the tokens already, but annotation %s wants mode %04o", p.name, key, *want)))
	return false
}

// readOnly tells whether the named volume is mounted read-only in any case.
func (in *injection) readOnly(volume string) bool {
	p := in.existing.get(volume)
	return p != nil && p.readOnly
}
