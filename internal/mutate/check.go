package mutate

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// check looks for what cannot work, or may not, in a plan whose volumes are placed.
func check(pod *Pod, p plan, volumes []placement, o Options, f *findings) {
	for i := range p.grants {
		g := &p.grants[i]
		for _, s := range g.shown {
			if s.mount == nil {
				checkMountPoint(pod, g.container, s.view, f)
			}
			if s.view.token != nil {
				checkTokenMode(pod, g.container, s, volumes[s.view.index], o, f)
			}
		}
	}
	for _, l := range p.logins {
		if !l.added {
			checkLoginContainer(pod, &p, l, o, f)
		}
	}
	checkScopes(pod, p.views, o, f)
}

// checkDebug does the same for debug containers. Their token files are, until the
// next renewal, what the pod as it was makes of them.
func checkDebug(pod, old *Pod, p plan, volumes []placement, o Options, f *findings) {
	for i := range p.grants {
		g := &p.grants[i]
		for _, s := range g.shown {
			if s.mount == nil {
				checkDebugMountPoint(pod, g.container, s.view, f)
			}
			switch {
			case s.view.token != nil && s.mount == nil:
				warnUnreadable(pod, g.container, s.view, old.tokenFile(volumes[s.view.index].mode), o, f)
			case s.view.login != nil && s.view.container != nil:
				warnUnreadableResult(pod, g.container, s.view, o, f)
			}
		}
	}
	for i := range pod.ephemeralContainers {
		c := &pod.ephemeralContainers[i]
		if !slices.ContainsFunc(old.ephemeralContainers, func(o container) bool { return o.name == c.name }) {
			warnOfUser(pod, old, c, f)
		}
	}
}

// checkTokenMode warns of a container that could not read its token, as far as
// the pod lets us know, and of an annotated mode that has no effect, or none yet.
func checkTokenMode(pod *Pod, c *container, s shown, volume placement, o Options, f *findings) {
	mode := volume.mode
	if s.mount != nil {
		existing := pod.volume(s.mount.volume)
		if existing == nil || !checkMode(pod, existing, s.view.token, f) {
			return
		}
		mode = existing.mode
	} else if volume.name == "" {
		return // which is an error already
	}
	made := pod.tokenFile(mode)
	if want := annotatedMode(pod, s.view.token); made.fixed && want != nil && *want != made.mode {
		f.warn("file-mode %04o has no effect: the kubelet writes tokens with mode %04o where all containers run as one user or fsGroup is set",
			*want, made.mode)
		if later := (file{mode: *want, owner: root, group: root}); pod.security.fsGroup == nil && !pod.readable(later, c) {
			f.warn("file-mode %04o makes the token unreadable to container %q "+
				"as soon as somebody adds a debug container that runs as another user", *want, c.name)
		}
	}
	warnUnreadable(pod, c, s.view, made, o, f)
}

// checkMode reports a volume whose mode contradicts the annotation.
func checkMode(pod *Pod, v *volume, t *annotations.Token, f *findings) bool {
	want := annotatedMode(pod, t)
	if want == nil || *want == v.mode {
		return true
	}
	f.fail(func() *field.Error {
		return field.Invalid(v.field().Child("projected", "defaultMode"), message("%04o", v.mode), message(
			"volume %q holds the token already, but annotation %s wants mode %04o", v.name, t.Annotation(annotations.FileMode), *want))
	})
	return false
}

// warnUnreadable warns of a container that could not read such a token file.
func warnUnreadable(pod *Pod, c *container, v *view, file file, o Options, f *findings) {
	if pod.readable(file, c) {
		return
	}
	f.warn("container %q may not be able to read %s: it runs %s, and the file has mode %04o, user %d and group %d; set fsGroup or %s",
		c.name, v.path, pod.runsAs(c), file.mode, file.owner, file.group, v.key(annotations.FileMode))
}

// warnUnreadableResult warns of a container that cannot read the result of a
// login container which the pod has already.
func warnUnreadableResult(pod *Pod, c *container, v *view, o Options, f *findings) {
	file := pod.resultFile(v.container)
	if pod.readable(file, c) {
		return
	}
	f.warn("container %q may not be able to read %s: it runs %s, and container %q, which was made for others, writes the file with mode %04o; "+
		"leave it out with %s, or let all run as one user", c.name, v.login.Path(), pod.runsAs(c), v.containerName, file.mode,
		v.key(annotations.SkipContainers))
}

// warnOfUser warns of a debug container that changes what the kubelet makes of
// the pod's tokens: with it, the pod's containers no longer run as one user.
func warnOfUser(pod, old *Pod, c *container, f *findings) {
	if pod.OS == annotations.Windows || !old.tokenFile(defaultMode).fixed || pod.tokenFile(defaultMode).fixed {
		return
	}
	f.warn("debug container %q does not run as the user of the pod's containers: from their next renewal on, "+
		"token files belong to user 0 and have their volume's mode; with runAsUser in the pod's securityContext this does not happen", c.name)
}

// checkScopes warns of container names that the pod does not have, and of modes
// on Windows.
func checkScopes(pod *Pod, views []view, o Options, f *findings) {
	for i := range views {
		v := &views[i]
		checkScope(pod, views, v, o, f)
		if v.token != nil && v.token.FileMode != nil && pod.OS == annotations.Windows {
			f.warn("%s: file modes have no effect on Windows", v.token.Annotation(annotations.FileMode))
		}
	}
}

func checkScope(pod *Pod, views []view, v *view, o Options, f *findings) {
	if !v.scope.Written {
		return
	}
	key := annotations.SkipContainers
	if v.scope.Only != nil {
		key = annotations.Containers
	}
	for _, name := range v.scope.Names() {
		if hasContainer(pod, name) || loginOf(views, name) != nil || v.scope.Only == nil && injected(o.InjectedContainers, name) {
			continue
		}
		f.warn("%s: the pod has no container %q", v.key(key), name)
	}
}

func hasContainer(pod *Pod, name string) bool {
	for c := range pod.allContainers() {
		if c.name == name {
			return true
		}
	}
	return false
}
