package mutate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// place makes sure that the pod has a volume for the view.
func (in *injection) place(v *view) {
	mode := in.mode(v)
	v.volumeName = v.name()
	existing, ok := in.own(v)
	if ok && existing != nil && !in.suffices(existing, v) {
		// The mode was chosen before a later webhook added these containers.
		// The volume that others mount stays as it is; these get their own.
		v.volumeName += fmt.Sprintf("-%04o", modeOrDefault(mode))
		existing, ok = in.own(v)
	}
	if !ok {
		return
	}
	if existing != nil {
		mode = &existing.mode
	} else {
		volume := v.volume(v.volumeName, mode)
		in.patch.pointer("spec", "volumes").appendTo(&in.volumes, volume, []corev1.Volume{volume})
	}
	v.prepareMount()
	for _, c := range v.containers {
		in.warnOfMode(c, v, modeOrDefault(mode))
	}
}

// own returns the existing volume that has the view's name; nil where there is
// none. It is false where the volume is somebody else's.
func (in *injection) own(v *view) (*projection, bool) {
	p := in.existing.get(v.volumeName)
	if p == nil {
		return nil, true
	}
	if !v.holds(p) {
		in.fail(field.Invalid(p.field().Child("name"), p.name, fmt.Sprintf(
			"this name belongs to the volume that %s asks for (%s), but the pod has another volume of this name: rename it", in.wantedBy(v), v.describe())))
		return nil, false
	}
	return p, in.checkMode(p, v)
}

func (p *projection) field() *field.Path { return field.NewPath("spec", "volumes").Index(p.index) }

// suffices tells whether the containers of the view can use an existing volume
// as well as one that would be made for them.
func (in *injection) suffices(p *projection, v *view) bool {
	f := in.pod.tokenFile(p.mode)
	if f.fixed || in.annotatedMode(v) != nil {
		return true
	}
	return !slices.ContainsFunc(v.containers, func(c *container) bool { return !in.pod.readable(f, c) })
}

// mode is the view's volume mode, or nil for the API server's default.
func (in *injection) mode(v *view) *int32 {
	if want := in.annotatedMode(v); want != nil {
		return want
	}
	return in.pod.tightestMode(v.containers)
}

// annotatedMode is the mode that an annotation sets for the view's files, where
// modes have a meaning, or nil.
func (in *injection) annotatedMode(v *view) *int32 {
	if t := v.modeToken(); t != nil && in.pod.OS != annotations.Windows {
		return t.FileMode
	}
	return nil
}

func modeOrDefault(mode *int32) int32 {
	if mode == nil {
		return defaultMode
	}
	return *mode
}
