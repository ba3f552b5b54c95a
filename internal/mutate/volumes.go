package mutate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
)

// placement is the volume that a view is mounted from where a container has no
// mount of it yet. The name is empty where there is none.
type placement struct {
	name string
	// mode is the volume's defaultMode, for tokens, and user the owner of the file,
	// or nil where the kubelet decides.
	mode int32
	user *int64
	// newToken is true where the pod lacks the volume of a token; newMode is its
	// mode, or nil for the API server's default.
	newToken bool
	newMode  *int32
	// added are the volumes of a login that the pod lacks: that of the result, and
	// those of the files that its container has.
	added []corev1.Volume
}

// place finds or makes a volume for each view that has to be mounted. The
// placements are in the order of the views.
func place(pod *Pod, p plan, o Options, f *findings) []placement {
	placements := make([]placement, len(p.views))
	for i := range p.views {
		v := &p.views[i]
		if v.token == nil {
			continue
		}
		if containers := p.mounting(v); len(containers) > 0 {
			placements[i] = placeToken(pod, v, containers, o.SetTokenUser, f)
		}
	}
	for _, l := range p.logins {
		placements[l.index] = placeLogin(pod, l, f)
	}
	return placements
}

// mounting are the containers to which a mount of the view is to be added.
func (p *plan) mounting(v *view) []*container {
	containers := make([]*container, 0, len(p.grants))
	for i := range p.grants {
		if s := p.grants[i].sees(v); s != nil && s.mount == nil {
			containers = append(containers, p.grants[i].container)
		}
	}
	return containers
}

// placeToken finds or makes the volume of a token for the containers that mount it.
// With setUser the volume names the user that all of them run as, if there is one,
// unless an annotation says the mode, which an owner would take all effect from.
func placeToken(pod *Pod, v *view, containers []*container, setUser bool, f *findings) placement {
	place := placement{name: v.volume}
	mode := annotatedMode(pod, v.token)
	if mode == nil {
		mode = pod.tightestMode(containers)
		if setUser && pod.OS != annotations.Windows {
			place.user = pod.commonUser(slices.Values(containers))
		}
	}
	place.mode = modeOrDefault(mode)
	existing, mine := ownVolume(pod, place.name, v.token, f)
	if mine && existing != nil && !suffices(pod, existing, v.token, containers) {
		// The mode was chosen before a later webhook added these containers. The
		// volume that others mount stays as it is; these get another. No name of a
		// token begins with the second hyphen.
		variant := fmt.Sprintf("--%04o", place.mode)
		if place.user != nil {
			variant = fmt.Sprintf("--u%d", *place.user)
		}
		place.name = annotations.Name(v.prefix.Names().TokenVolume, v.token.Name, variant)
		existing, mine = ownVolume(pod, place.name, v.token, f)
	}
	switch {
	case !mine:
		return placement{}
	case existing != nil:
		place.mode, place.user = existing.mode, existing.owner(v.token)
	default:
		place.newToken, place.newMode = true, mode
	}
	return place
}

// ownVolume returns the pod's volume of a name that is ours; nil where there is
// none. It is false where the volume is somebody else's.
func ownVolume(pod *Pod, name string, t *annotations.Token, f *findings) (*volume, bool) {
	existing := pod.volume(name)
	if existing == nil {
		return nil, true
	}
	if !existing.shows(t, false) || !existing.holdsOnly(t) {
		f.fail(finding.NameConflict, func() *field.Error {
			return field.Invalid(existing.field().Child("name"), name, message(
				"this name belongs to the volume that %s asks for (%s), but the pod has another volume of this name: rename it",
				t.Origin(annotations.Audience), describe(t)))
		})
		return nil, false
	}
	return existing, checkMode(pod, existing, t, f)
}

// suffices reports whether containers can use an existing volume as well as one
// that would be made for them.
func suffices(pod *Pod, existing *volume, t *annotations.Token, containers []*container) bool {
	user := existing.owner(t)
	f := pod.tokenFile(existing.mode, user)
	return f.fixed && user == nil || annotatedMode(pod, t) != nil || pod.allRead(f, containers)
}

// shows reports whether the volume shows the token in its file. That of a running
// pod may be of any lifetime, as it can be older than the configuration.
func (v *volume) shows(t *annotations.Token, anyLifetime bool) bool {
	for i := range v.tokens {
		source := &v.tokens[i]
		if source.file == t.File && source.audience == t.Audience && (anyLifetime || source.seconds == t.ExpirationSeconds) {
			return v.showsProvided(t)
		}
	}
	return false
}

// showsProvided reports whether the volume shows the file of the token's provider, if
// that has one.
func (v *volume) showsProvided(t *annotations.Token) bool {
	return t.Provided == nil || v.file == t.Provided.Name && v.fileField == annotationField(t.Provided)
}

// annotationField is how a volume names the annotation with a provider's file
// (core/v1 ObjectFieldSelector.fieldPath).
func annotationField(f *annotations.ProvidedFile) string {
	return "metadata.annotations['" + f.Annotation + "']"
}

// holdsOnly reports whether the volume has nothing but one token, and perhaps the file of
// its provider.
func (v *volume) holdsOnly(t *annotations.Token) bool {
	return !v.others && len(v.tokens) == 1 && (v.file == "" || t.Provided != nil)
}

// owner is the user that the volume names for a token's file, or nil.
func (v *volume) owner(t *annotations.Token) *int64 {
	for i := range v.tokens {
		if source := &v.tokens[i]; source.file == t.File && source.user != nil {
			return source.user
		}
	}
	return v.user
}

func (v *volume) field() *field.Path { return field.NewPath("spec", "volumes").Index(v.index) }

// annotatedMode is the mode that an annotation sets for a token's file, where
// modes have a meaning, or nil.
func annotatedMode(pod *Pod, t *annotations.Token) *int32 {
	if pod.OS == annotations.Windows {
		return nil
	}
	return t.FileMode
}

func modeOrDefault(mode *int32) int32 {
	if mode == nil {
		return defaultMode
	}
	return *mode
}

// placeLogin finds or makes the volumes of a login: that of its result, which is
// in memory, so that no token is ever on a disk, and those of the files that its
// container has.
func placeLogin(pod *Pod, l login, f *findings) placement {
	place := placement{name: l.volume}
	add := func(v corev1.Volume, same func(*volume) bool) {
		existing := pod.volume(v.Name)
		switch {
		case existing == nil:
			place.added = append(place.added, v)
		case !same(existing):
			f.fail(finding.NameConflict, func() *field.Error {
				return field.Invalid(existing.field().Child("name"), v.Name, message(
					"this name belongs to a volume of the login that %s asks for, but the pod has another volume of this name: rename it",
					l.askedBy()))
			})
		}
	}
	add(corev1.Volume{Name: l.volume, VolumeSource: corev1.VolumeSource{
		EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: resultSize()},
	}}, func(v *volume) bool { return v.memory })
	for _, v := range l.fileVolumes() {
		add(v.Volume, func(existing *volume) bool { return existing.showsFiles(v.Volume) })
	}
	return place
}

// resultSize bounds what a login container can write into memory.
func resultSize() *resource.Quantity { return resource.NewQuantity(1<<20, resource.BinarySI) }

// findVolumes finds the volumes of a running pod, which cannot change: of a token
// the one of its name, or else any that shows it and nothing else.
func findVolumes(pod *Pod, views []view) []placement {
	placements := make([]placement, len(views))
	for i := range views {
		v := &views[i]
		existing := pod.volume(v.volume)
		switch {
		case v.login != nil && existing != nil && existing.memory:
			placements[i] = placement{name: existing.name}
		case v.token != nil && existing != nil && existing.showsOnly(v.token):
			placements[i] = placement{name: existing.name, mode: existing.mode, user: existing.owner(v.token)}
		case v.token != nil:
			placements[i] = anyVolume(pod, v.token)
		}
	}
	return placements
}

func anyVolume(pod *Pod, t *annotations.Token) placement {
	for i := range pod.volumes {
		if v := &pod.volumes[i]; v.showsOnly(t) {
			return placement{name: v.name, mode: v.mode, user: v.owner(t)}
		}
	}
	return placement{}
}

// showsOnly reports whether the volume shows the token, of whatever lifetime, and
// nothing else.
func (v *volume) showsOnly(t *annotations.Token) bool {
	return v.holdsOnly(t) && v.shows(t, true)
}

// describe says what a token's volume holds, for messages that name both sides.
func describe(t *annotations.Token) phrase {
	return phrase(message("%s with audience %q for %d s", t.File, t.Audience, t.ExpirationSeconds))
}
