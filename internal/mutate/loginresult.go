package mutate

import (
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/contract"
)

// resultAccess says as whom a login container runs, and with which mode it
// writes its result, so that its readers can read it and, as far as the pod
// tells who they are, nobody else.
type resultAccess struct {
	// user and group are nil where the login container has those of its image.
	user, group *int64
	mode        int32
}

// resultAccess works out the access for the containers that read a result, of
// which there is at least one.
//
// The login container runs as the readers' own user where that is known. Thus it
// never changes what the kubelet makes of the pod's tokens, which depends on
// whether all containers run as one user (see tokenFile).
func (p *Pod) resultAccess(readers []*container) resultAccess {
	a := resultAccess{user: p.commonUser(slices.Values(readers)), group: p.security.runAsGroup, mode: 0o444}
	if a.user != nil {
		a.mode = 0o400
		return a
	}
	a.user = p.security.runAsUser
	if p.security.fsGroup != nil {
		a.mode = 0o440 // the kubelet gives new files of an emptyDir to this group
		return a
	}
	if group := p.commonGroup(readers); group != nil {
		a.group, a.mode = group, 0o440
	}
	return a
}

// commonGroup is a group that all of the containers are known to be in, or nil.
func (p *Pod) commonGroup(containers []*container) *int64 {
	candidates := make([]int64, 0, 2+len(p.security.supplementalGroups))
	for _, group := range []*int64{p.security.runAsGroup, containers[0].security.runAsGroup} {
		if group != nil {
			candidates = append(candidates, *group)
		}
	}
	for _, group := range append(candidates, p.security.supplementalGroups...) {
		outside := func(c *container) bool { return !p.inGroup(c, group) }
		if !slices.ContainsFunc(containers, outside) {
			return &group
		}
	}
	return nil
}

// resultSize bounds what a login container can write into memory.
func resultSize() *resource.Quantity { return resource.NewQuantity(1<<20, resource.BinarySI) }

// lookForResult finds out whether a container has the mount of a login's result.
func (in *injection) lookForResult(c *container, l *login) (missing bool) {
	dir := annotations.ComparablePath(l.MountPath, in.pod.OS)
	for i := range c.mounts {
		m := &c.mounts[i]
		if annotations.ComparablePath(m.path, in.pod.OS) != dir {
			continue
		}
		if m.device || m.partial || m.volume != l.volumeName {
			in.fail(field.Invalid(in.mountField(c, m), m.path, fmt.Sprintf(
				"container %q uses this path for another thing (volume %q), and annotation %s wants the result of a login there",
				c.name, m.volume, l.Annotation(annotations.LoginMethod))))
		}
		return false
	}
	in.checkNesting(c, l.MountPath, dir, l.Annotation(annotations.LoginMountPath))
	return true
}

// checkLoginContainer compares a container that the pod has already with the
// one that would be added. What decides are its variables, where it writes, and
// whether it runs on; what others may rightly change, such as the registry of its
// image, does not.
func (in *injection) checkLoginContainer(l *login) {
	c := l.container
	wanted := l.Annotation(annotations.LoginMethod)
	if c.list != initContainers {
		in.fail(field.Invalid(c.field().Child("name"), c.name, fmt.Sprintf(
			"this name belongs to the login container that annotation %s asks for: rename the container", wanted)))
		return
	}
	differs := func(child, value, how string) {
		in.fail(field.Invalid(c.field().Child(child), value, fmt.Sprintf(
			"container %q is not the login container that annotation %s asks for: %s; rename or remove the container", c.name, wanted, how)))
	}
	if name := differingVariable(c.env, in.loginEnv(l)); name != "" {
		differs("env", name, "this variable differs")
		return
	}
	if sidecar := l.Mode == contract.ModeSidecar; sidecar != c.sidecar {
		differs("restartPolicy", "", map[bool]string{true: "it must be Always", false: "it must not be Always"}[sidecar])
		return
	}
	if in.lookForResult(c, l) {
		differs("volumeMounts", l.volumeName, "it does not mount this volume at "+l.MountPath)
		return
	}
	for _, reader := range l.readers {
		in.warnUnreadableResult(reader, l)
	}
}

// differingVariable returns the first variable of the contract that a container
// has otherwise than it should, or not at all; empty where there is none. The
// result's mode counts as right whatever it is: it was chosen for the containers
// that the pod had then.
func differingVariable(has []envVar, wants []corev1.EnvVar) string {
	for i := range has { // all of them: of variables with one name the last one counts
		e := &has[i]
		if !contract.WrittenByWebhook(e.name) {
			continue
		}
		same := func(w corev1.EnvVar) bool { return w.Name == e.name && w.Value == e.value }
		if _, ok := resultMode(e); e.computed || !ok && !slices.ContainsFunc(wants, same) {
			return e.name
		}
	}
	for _, want := range wants {
		if !slices.ContainsFunc(has, func(e envVar) bool { return e.name == want.Name }) {
			return want.Name
		}
	}
	return ""
}

// resultMode reads the variable with the result's mode. It is false for others,
// and for what is no mode.
func resultMode(e *envVar) (int32, bool) {
	if e.name != contract.OutputMode.Env() {
		return 0, false
	}
	mode, err := strconv.ParseUint(e.value, 8, 31)
	return int32(mode), err == nil && mode <= 0o777
}

// warnUnreadableResult warns of a container that cannot read the result of a
// login container which the pod has already.
func (in *injection) warnUnreadableResult(c *container, l *login) {
	f := in.pod.resultFile(l.container)
	if in.pod.readable(f, c) {
		return
	}
	in.warnOnce(fmt.Sprintf("container %q may not be able to read %s: it runs %s, and container %q, which was made for others, writes the file with mode %04o; "+
		"leave it out with %s, or let all run as one user", c.name, l.Path(), in.pod.runsAs(c), l.containerName, f.mode,
		in.options.Prefix.Key(annotations.SkipContainers, l.Name)))
}

// resultFile is the file that a login container writes. Where it is not known as
// whom it runs, the file is nobody's.
func (p *Pod) resultFile(c *container) file {
	f := file{mode: 0o400, owner: nobody, group: nobody}
	for i := range c.env {
		if mode, ok := resultMode(&c.env[i]); ok {
			f.mode = mode
		}
	}
	if user := p.user(c); user != nil {
		f.owner = *user
	}
	for _, group := range []*int64{p.security.runAsGroup, c.security.runAsGroup, p.security.fsGroup} { // the last one counts
		if group != nil {
			f.group = *group
		}
	}
	return f
}

func equal(a, b *int64) bool {
	return a == b || a != nil && b != nil && *a == *b
}
