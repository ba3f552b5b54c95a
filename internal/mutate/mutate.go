// Package mutate computes the patch that gives a pod the tokens its
// annotations ask for.
//
// The patch is made of `add` operations whose indices come from a minimal view
// of the raw pod. Nothing is marshalled again, so fields that this code does
// not know survive, lists keep their order, and what the pod's author wrote is
// never overwritten. A pod that has everything already gets an empty patch.
package mutate

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// Options are what a patch depends on beside the pod and its annotations.
type Options struct {
	// Prefix is the prefix of the annotations.
	Prefix annotations.Prefix
	// Version is the program's version, recorded in the status annotation.
	Version string
}

// Result is what [Patch] and [PatchEphemeral] found.
type Result struct {
	// Operations is the patch, made of `add` operations only; empty where there
	// is nothing to do.
	Operations []jsonpatch.Operation
	// Warnings are for the person at kubectl.
	Warnings []string
	// Tokens are the names of the tokens that some container now has, and
	// Containers those containers' names: both in the order of the pod.
	Tokens, Containers []string
}

// Patch returns the operations that add the Spec's tokens to a pod that is
// being created. Where there are errors, the operations must not be used.
func Patch(pod *Pod, spec annotations.Spec, o Options) (Result, field.ErrorList) {
	if err := pod.tooManyContainers(); err != nil {
		return Result{}, field.ErrorList{err}
	}
	in := newInjection(pod, spec, o)
	for c := range pod.allContainers() {
		in.look(c, c.name)
	}
	for _, v := range in.views {
		if len(v.containers) > 0 {
			in.place(v)
		}
	}
	for c := range pod.allContainers() {
		in.equip(c, c.name)
	}
	in.warnAboutScopes()
	in.status()
	return in.result()
}

// maxContainers bounds the containers of one pod, so that a hostile pod cannot
// make the work on it expensive. No node could run as many.
const maxContainers = 1000

func (p *Pod) tooManyContainers() *field.Error {
	if n := len(p.initContainers) + len(p.containers) + len(p.ephemeralContainers); n > maxContainers {
		return field.TooMany(field.NewPath("spec", "containers"), n, maxContainers)
	}
	return nil
}

// injection is the work on one pod.
type injection struct {
	pod     *Pod
	options Options
	tokens  []annotations.Token
	dirs    []*directory

	views  []*view
	mounts []missingMount
	// equipped are the containers that have, or get, at least one token.
	equipped []string

	existing existingVolumes
	volumes  list
	patch    patch
	warnings []string
	warned   map[string]bool
	errs     field.ErrorList
}

// missingMount is a mount to be added. They are in the order of containers.
type missingMount struct {
	container *container
	view      *view
}

func newInjection(pod *Pod, spec annotations.Spec, o Options) *injection {
	return &injection{
		pod: pod, options: o, tokens: spec.Tokens, dirs: directories(spec.Tokens, pod.OS),
		existing: existingVolumes{pod: pod}, volumes: list{exists: pod.hasVolumes},
	}
}

func (in *injection) result() (Result, field.ErrorList) {
	if len(in.errs) > 0 {
		return Result{Warnings: in.warnings}, in.errs
	}
	return Result{
		Operations: in.patch.finish(), Warnings: in.warnings, Tokens: in.grantedTokens(), Containers: in.equipped,
	}, nil
}

// grantedTokens are the names of the tokens that some container has.
func (in *injection) grantedTokens() []string {
	if len(in.equipped) == 0 {
		return nil
	}
	names := make([]string, 0, len(in.tokens))
	for i := range in.tokens {
		if in.granted(&in.tokens[i]) {
			names = append(names, in.tokens[i].DisplayName())
		}
	}
	return names
}

// granted tells whether some container has the token.
func (in *injection) granted(t *annotations.Token) bool {
	return slices.ContainsFunc(in.views, func(v *view) bool { return v.users > 0 && slices.Contains(v.tokens(), t) })
}

// allContainers are the init containers (native sidecars among them) and the
// regular ones.
func (p *Pod) allContainers() iter.Seq[*container] {
	return func(yield func(*container) bool) {
		for _, list := range [][]container{p.initContainers, p.containers} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

// look finds out what the container has and what it lacks. Scopes are decided
// by the name scopeName.
func (in *injection) look(c *container, scopeName string) {
	equipped := false
	for _, dir := range in.dirs {
		members := dir.members(scopeName)
		if members == 0 {
			continue
		}
		equipped = true
		v := in.view(dir, members)
		v.users++
		if m := in.mountAt(c, dir); m != nil {
			in.checkMount(c, m, v)
			continue
		}
		in.checkNesting(c, dir)
		v.containers = append(v.containers, c)
		in.mounts = append(in.mounts, missingMount{c, v})
	}
	if equipped {
		in.equipped = append(in.equipped, c.name)
	}
}

// members returns which tokens of the directory a container sees, as bits.
func (d *directory) members(container string) uint32 {
	var bits uint32
	for i, t := range d.tokens {
		if t.Scope.Includes(container) {
			bits |= 1 << i
		}
	}
	return bits
}

func (in *injection) view(dir *directory, members uint32) *view {
	for _, v := range in.views {
		if v.dir == dir && v.members == members {
			return v
		}
	}
	v := &view{dir: dir, members: members}
	in.views = append(in.views, v)
	return v
}

func (in *injection) mountAt(c *container, dir *directory) *mount {
	for i := range c.mounts {
		if annotations.ComparablePath(c.mounts[i].path, in.pod.OS) == dir.comparable {
			return &c.mounts[i]
		}
	}
	return nil
}

// checkMount compares what the container has at the mount path with what it
// should have there: the same is fine, whoever wrote it.
func (in *injection) checkMount(c *container, m *mount, v *view) {
	at := in.mountField(c, m)
	if m.device || m.partial {
		in.errs = append(in.errs, field.Invalid(at, m.path, fmt.Sprintf(
			"container %q uses this path for another thing (volume %q), and %s wants the tokens there", c.name, m.volume, in.wantedBy(v))))
		return
	}
	p := in.existing.get(m.volume)
	if p == nil {
		return // the API server refuses a mount without a volume, in its own words
	}
	if !v.holds(p) {
		in.errs = append(in.errs, field.Invalid(at, m.path, fmt.Sprintf(
			"container %q mounts volume %q here, which is not what %s wants here: %s", c.name, m.volume, in.wantedBy(v), v.describe())))
		return
	}
	in.checkMode(p, v)
	in.warnUnreadable(c, v, p.mode)
}

// checkNesting reports mounts of the container that our read-only directory
// would make impossible, or that would make ours impossible.
func (in *injection) checkNesting(c *container, dir *directory) {
	ours := dir.comparable
	for i := range c.mounts {
		m := &c.mounts[i]
		theirs := annotations.ComparablePath(m.path, in.pod.OS)
		switch {
		case annotations.Within(theirs, ours):
			in.errs = append(in.errs, field.Invalid(in.mountField(c, m), m.path, fmt.Sprintf(
				"container %q mounts volume %q inside %s, which %s makes a read-only directory of tokens: the container could not start",
				c.name, m.volume, dir.path, in.options.Prefix.Key(annotations.MountPath, dir.tokens[0].Name))))
		case theirs != "/" && annotations.Within(ours, theirs) && in.readOnly(m.volume):
			in.warnOnce(fmt.Sprintf(
				"container %q: the token directory %s lies inside the read-only volume %q mounted at %s, so the container may not start",
				c.name, dir.path, m.volume, m.path))
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
		keys = append(keys, in.options.Prefix.Key(annotations.Audience, t.Name))
	}
	return "annotation " + strings.Join(keys, " and ")
}

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
		in.warnUnreadable(c, v, modeOrDefault(mode))
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
		in.errs = append(in.errs, field.Invalid(p.field().Child("name"), p.name, fmt.Sprintf(
			"this name belongs to the volume that %s asks for (%s), but the pod has another volume of this name: rename it", in.wantedBy(v), v.describe())))
		return nil, false
	}
	return p, in.checkMode(p, v)
}

func (p *projection) field() *field.Path { return field.NewPath("spec", "volumes").Index(p.index) }

// readOnly tells whether the named volume is mounted read-only in any case.
func (in *injection) readOnly(volume string) bool {
	p := in.existing.get(volume)
	return p != nil && p.readOnly
}

// checkMode reports a volume whose mode contradicts the annotation.
func (in *injection) checkMode(p *projection, v *view) bool {
	want := in.annotatedMode(v)
	if want == nil || *want == p.mode {
		return true
	}
	key := ""
	for _, t := range v.tokens() {
		if t.FileMode != nil {
			key = in.options.Prefix.Key(annotations.FileMode, t.Name)
		}
	}
	in.errs = append(in.errs, field.Invalid(p.field().Child("projected", "defaultMode"),
		fmt.Sprintf("%04o", p.mode), fmt.Sprintf("volume %q holds the tokens already, but annotation %s wants mode %04o", p.name, key, *want)))
	return false
}

// suffices tells whether the containers of the view can use an existing volume
// as well as one that would be made for them.
func (in *injection) suffices(p *projection, v *view) bool {
	f := in.pod.tokenFile(p.mode)
	if f.fixed || in.pod.OS == annotations.Windows || in.annotatedMode(v) != nil {
		return true
	}
	return !slices.ContainsFunc(v.containers, func(c *container) bool { return !in.pod.readable(f, c) })
}

// mode is the view's volume mode, or nil for the API server's default.
func (in *injection) mode(v *view) *int32 {
	switch want := in.annotatedMode(v); {
	case want != nil:
		return want
	case in.pod.OS == annotations.Windows:
		return nil // POSIX modes mean nothing there
	default:
		return in.pod.tightestMode(v.containers)
	}
}

func (in *injection) annotatedMode(v *view) *int32 {
	if in.pod.OS == annotations.Windows {
		return nil
	}
	return v.fileMode()
}

func modeOrDefault(mode *int32) int32 {
	if mode == nil {
		return defaultMode
	}
	return *mode
}

// equip adds the mounts and variables that the container lacks.
func (in *injection) equip(c *container, scopeName string) {
	mounts := list{exists: c.hasMounts}
	for ; len(in.mounts) > 0 && in.mounts[0].container == c; in.mounts = in.mounts[1:] {
		v := in.mounts[0].view
		in.patch.container(c).pointer("volumeMounts").appendTo(&mounts, v.mount, v.mountList)
	}
	env := list{exists: c.hasEnv}
	for i := range in.tokens {
		if t := &in.tokens[i]; t.Env != "" && t.Scope.Includes(scopeName) {
			in.setEnv(c, t, &env)
		}
	}
}

// setEnv adds the token's variable, unless the container has it already.
func (in *injection) setEnv(c *container, t *annotations.Token, env *list) {
	want, found := t.Path(in.pod.OS), false
	for i := range c.env { // to the end: of variables with one name the last one counts
		e := &c.env[i]
		if e.name != t.Env {
			continue
		}
		if e.computed || e.value != want {
			in.errs = append(in.errs, field.Invalid(c.field().Child("env").Index(i).Child("name"), e.name, fmt.Sprintf(
				"container %q sets this variable itself, and annotation %s wants it to be %s: remove one of them",
				c.name, in.options.Prefix.Key(annotations.Env, t.Name), want)))
		}
		found = true
	}
	if found {
		return
	}
	v := corev1.EnvVar{Name: t.Env, Value: want}
	in.patch.container(c).pointer("env").appendTo(env, v, []corev1.EnvVar{v})
}
