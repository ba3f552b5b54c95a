// Package mutate computes the patch that gives a pod the tokens and the logins
// that its annotations ask for.
//
// The patch is made of `add` operations whose indices come from a minimal view
// of the raw pod. Nothing is marshalled again, so fields that this code does
// not know survive, lists keep their order, and what the pod's author wrote is
// never overwritten. A pod that has everything already gets an empty patch.
package mutate

import (
	"iter"
	"slices"

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
	// Login is what login containers are made of.
	Login LoginContainer
}

// Result is what [Patch] and [PatchEphemeral] found.
type Result struct {
	// Operations is the patch, made of `add` operations only; empty where there
	// is nothing to do.
	Operations []jsonpatch.Operation
	// Warnings are for the person at kubectl.
	Warnings []string
	// Tokens are the names of the tokens that some container now has, Logins those
	// of the logins, and Containers the names of the containers that have any of
	// them: all in the order of the pod.
	Tokens, Logins, Containers []string
}

// Patch returns the operations that add the Spec's tokens and logins to a pod
// that is being created. Where there are errors, the operations must not be used.
func Patch(pod *Pod, spec annotations.Spec, o Options) (Result, field.ErrorList) {
	if err := pod.tooManyContainers(); err != nil {
		return Result{}, field.ErrorList{err}
	}
	in := newInjection(pod, spec, o)
	in.addLogins()
	for c := range in.containers() {
		in.look(c, c.name)
	}
	for _, v := range in.views {
		if len(v.containers) > 0 {
			in.place(v)
		}
	}
	in.placeLogins()
	for c := range in.containers() {
		in.equip(c, c.name)
	}
	in.insertLogins()
	in.warnAboutScopes()
	in.status()
	return in.result()
}

// injection is the work on one pod.
type injection struct {
	pod     *Pod
	options Options
	tokens  []annotations.Token
	dirs    []*directory
	logins  []*login

	views  []*view
	mounts []missingMount
	// equipped are the containers that have, or get, at least one token or the
	// result of a login; the login containers themselves are not among them.
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

// containers are those that the pod will be created with: the login containers
// that are added, and the pod's own.
func (in *injection) containers() iter.Seq[*container] {
	return func(yield func(*container) bool) {
		for _, l := range in.logins {
			if l.added != nil && !yield(l.container) {
				return
			}
		}
		for c := range in.pod.createdContainers() {
			if !yield(c) {
				return
			}
		}
	}
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

func newInjection(pod *Pod, spec annotations.Spec, o Options) *injection {
	in := &injection{
		pod: pod, options: o, tokens: spec.Tokens, dirs: directories(spec.Tokens, pod.OS),
		existing: existingVolumes{pod: pod}, volumes: list{exists: pod.hasVolumes},
	}
	in.findLogins(spec.Logins)
	// A volume and, in each container, a mount for each directory, and the status.
	in.patch.reserve((len(pod.initContainers)+len(pod.containers)+1)*(len(in.dirs)+4*len(in.logins)) + 1)
	return in
}

func (in *injection) result() (Result, field.ErrorList) {
	if len(in.errs) > 0 {
		return Result{Warnings: in.warnings}, in.errs
	}
	return Result{
		Operations: in.patch.finish(), Warnings: in.warnings, Containers: in.equipped,
		Tokens: in.grantedTokens(), Logins: in.grantedLogins(),
	}, nil
}

// maxErrors bounds the errors of one pod: a hostile one of 3 MB could have
// hundreds of thousands of them.
const maxErrors = 200

func (in *injection) fail(err *field.Error) {
	if len(in.errs) < maxErrors {
		in.errs = append(in.errs, err)
	}
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

// grantedLogins are the names of the logins whose result some container reads.
func (in *injection) grantedLogins() []string {
	var names []string
	for _, l := range in.logins {
		if len(l.readers) > 0 {
			names = append(names, l.DisplayName())
		}
	}
	return names
}

// granted tells whether some container has the token.
func (in *injection) granted(t *annotations.Token) bool {
	return slices.ContainsFunc(in.views, func(v *view) bool { return v.users > 0 && slices.Contains(v.tokens(), t) })
}

// look finds out what the container has and what it lacks. Scopes are decided
// by the name scopeName.
func (in *injection) look(c *container, scopeName string) {
	equipped := slices.ContainsFunc(in.logins, func(l *login) bool { return slices.Contains(l.readers, c) })
	for _, dir := range in.dirs {
		members := in.members(dir, scopeName)
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
		in.checkNesting(c, dir.path, dir.comparable, dir.tokens[0].Annotation(annotations.MountPath))
		v.containers = append(v.containers, c)
		in.mounts = append(in.mounts, missingMount{c, v})
	}
	if equipped && in.loginOf(c.name) == nil {
		in.equipped = append(in.equipped, c.name)
	}
}

// members returns which tokens of the directory a container sees, as bits: one
// that does a login the token of that, others those whose scope has the name.
func (in *injection) members(d *directory, scopeName string) uint32 {
	var bits uint32
	does := in.loginOf(scopeName)
	for i, t := range d.tokens {
		if does == nil && t.Scope.Includes(scopeName) || does != nil && does.token == t {
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

// equip adds the mounts and variables that the container lacks.
func (in *injection) equip(c *container, scopeName string) {
	does := in.loginOf(scopeName)
	if does != nil && does.added != nil {
		in.equipLogin(does)
		return
	}
	mounts, env := list{exists: c.hasMounts}, list{exists: c.hasEnv}
	for ; len(in.mounts) > 0 && in.mounts[0].container == c; in.mounts = in.mounts[1:] {
		v := in.mounts[0].view
		in.patch.container(c).pointer("volumeMounts").appendTo(&mounts, v.mount, v.mountList)
	}
	for _, l := range in.logins {
		if slices.Contains(l.readers, c) && in.lookForResult(c, l) {
			m := corev1.VolumeMount{Name: l.volumeName, MountPath: l.MountPath, ReadOnly: true}
			in.patch.container(c).pointer("volumeMounts").appendTo(&mounts, m, []corev1.VolumeMount{m})
		}
	}
	if does != nil {
		return // the variables are for workloads
	}
	for i := range in.tokens {
		if t := &in.tokens[i]; t.Env != "" && t.Scope.Includes(scopeName) {
			in.setEnv(c, variable{name: t.Env, value: t.Path(in.pod.OS), annotation: t.Annotation(annotations.Env)}, &env)
		}
	}
	in.setLoginEnv(c, &env)
}

// equipLogin adds the mount of its token to a login container that is new.
func (in *injection) equipLogin(l *login) {
	for ; len(in.mounts) > 0 && in.mounts[0].container == l.container; in.mounts = in.mounts[1:] {
		v := in.mounts[0].view
		l.added.VolumeMounts = append(l.added.VolumeMounts, corev1.VolumeMount{Name: v.volumeName, MountPath: v.dir.path, ReadOnly: true})
	}
}
