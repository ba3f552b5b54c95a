package mutate

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
)

// checker looks for what cannot work, or may not, in a plan whose volumes are
// placed.
type checker struct {
	pod *Pod
	o   Options
	*findings
}

// check checks a pod that is being created.
func (k checker) check(p plan, volumes []placement) {
	for i := range p.grants {
		g := &p.grants[i]
		for _, s := range g.shown {
			if s.mount == nil {
				checkMountPoint(k.pod, g.container, s.view, k.findings)
			}
			if s.view.token != nil {
				k.tokenMode(g.container, s, volumes[s.view.index])
			}
		}
	}
	for _, l := range p.logins {
		if !l.added {
			k.loginContainer(&p, l)
		}
	}
	k.files(p)
	k.scopes(p.views)
}

// files reports files of providers that the pod's annotations have no room for.
func (k checker) files(p plan) {
	size, last := k.pod.Annotations.Size(), -1
	for i, granted := range p.granted {
		if f := p.views[i].provided(); granted && f != nil {
			written, _ := k.pod.Annotations.Get(f.Annotation)
			size += len(f.Annotation) + len(f.Content) - len(written)
			last = i
		}
	}
	if last >= 0 && size > maxAnnotations {
		f := p.views[last].provided()
		k.fail(finding.TooLarge, func() *field.Error {
			return field.TooLong(field.NewPath("metadata", "annotations").Key(f.Annotation), "", maxAnnotations)
		})
	}
}

// checkDebug checks debug containers. Their token files are, until the next
// renewal, what the pod as it was makes of them.
func (k checker) checkDebug(p plan, old *Pod, volumes []placement, added []*container) {
	for i := range p.grants {
		g := &p.grants[i]
		for _, s := range g.shown {
			if s.mount == nil {
				checkMountPoint(k.pod, g.container, s.view, k.findings)
			}
			switch {
			case s.view.token != nil && s.mount == nil:
				k.unreadable(g.container, s.view, old.tokenFile(volumes[s.view.index].mode, volumes[s.view.index].user))
			case s.view.login != nil && s.view.container != nil:
				k.unreadableResult(g.container, s.view)
			}
		}
	}
	anonymous := false
	for i := range p.views {
		anonymous = anonymous || p.views[i].token != nil && volumes[i].name != "" && volumes[i].user == nil
	}
	for _, c := range added {
		if anonymous {
			k.changedUser(c, old)
		}
	}
}

// tokenMode warns of a container that could not read its token, as far as the pod
// lets us know, and of an annotated mode that has no effect, or none yet.
func (k checker) tokenMode(c *container, s shown, volume placement) {
	mode, user := volume.mode, volume.user
	if s.mount != nil {
		existing := k.pod.volume(s.mount.volume)
		if existing == nil || !checkMode(k.pod, existing, s.view.token, k.findings) {
			return
		}
		mode, user = existing.mode, existing.owner(s.view.token)
	} else if volume.name == "" {
		return // which is an error already
	}
	made := k.pod.tokenFile(mode, user)
	if want := annotatedMode(k.pod, s.view.token); made.fixed && want != nil && *want != made.mode {
		k.warn(finding.FileModeNoEffect, c.field, "file-mode %04o has no effect: the kubelet writes tokens with mode %04o where all "+
			"containers run as one user or fsGroup is set",
			*want, made.mode)
		if later := (file{mode: *want, owner: root, group: root}); k.pod.security.fsGroup == nil && !k.pod.readable(later, c) {
			k.warn(finding.FileModeNoEffect, c.field, "file-mode %04o makes the token unreadable to container %q "+
				"as soon as somebody adds a debug container that runs as another user", *want, c.name)
		}
	}
	k.unreadable(c, s.view, made)
}

// checkMode reports a volume whose mode contradicts the annotation.
func checkMode(pod *Pod, v *volume, t *annotations.Token, f *findings) bool {
	want := annotatedMode(pod, t)
	if want == nil || *want == v.mode {
		return true
	}
	f.fail(finding.ModeConflict, func() *field.Error {
		return field.Invalid(v.field().Child("projected", "defaultMode"), message("%04o", v.mode), message(
			"volume %q holds the token already, but %s wants mode %04o", v.name, t.Origin(annotations.FileMode), *want))
	})
	return false
}

// unreadable warns of a container that could not read such a token file.
func (k checker) unreadable(c *container, v *view, file file) {
	if k.pod.readable(file, c) {
		return
	}
	k.warn(finding.UnreadableToken, c.field, "container %q may not be able to read %s: it runs %s, and the file has mode %04o, user "+
		"%d and group %d; set fsGroup or %s",
		c.name, v.path, k.pod.runsAs(c), file.mode, file.owner, file.group, v.key(annotations.FileMode))
}

// unreadableResult warns of a container that cannot read the result of a login
// container which the pod has already.
func (k checker) unreadableResult(c *container, v *view) {
	file := k.pod.resultFile(v.container)
	if k.pod.readable(file, c) {
		return
	}
	k.warn(finding.UnreadableToken, c.field, "container %q may not be able to read %s: it runs %s, and container %q, which was made "+
		"for others, writes the file with mode %04o; leave it out with %s, or let all run as one user",
		c.name, v.login.Path(), k.pod.runsAs(c), v.containerName, file.mode, v.key(annotations.SkipContainers))
}

// changedUser warns of a debug container that changes what the kubelet makes of
// the pod's tokens, where volumes do not name their users: with it, the pod's containers
// no longer run as one user.
func (k checker) changedUser(c *container, old *Pod) {
	if k.pod.OS == annotations.Windows || !old.tokenFile(defaultMode, nil).fixed || k.pod.tokenFile(defaultMode, nil).fixed {
		return
	}
	k.warn(finding.DebugContainer, c.field, "debug container %q does not run as the user of the pod's containers: from their next "+
		"renewal on, token files belong to user 0 and have their volume's mode; "+
		"with runAsUser in the pod's securityContext this does not happen",
		c.name)
}

// scopes warns of container names that the pod does not have, and of modes on
// Windows.
func (k checker) scopes(views []view) {
	for i := range views {
		v := &views[i]
		k.scope(views, v)
		if v.token != nil && v.token.FileMode != nil && k.pod.OS == annotations.Windows {
			k.warn(finding.FileModeNoEffect, v.source, "%s: file modes have no effect on Windows", v.token.Origin(annotations.FileMode))
		}
	}
}

func (k checker) scope(views []view, v *view) {
	if !v.scope.Written {
		return
	}
	key := annotations.SkipContainers
	if v.scope.Only != nil {
		key = annotations.Containers
	}
	for _, name := range v.scope.Names() {
		expected := (v.scope.Only == nil || k.o.Template) && k.o.InjectedContainers.Has(name)
		if !expected && !hasContainer(k.pod, name) && loginOf(views, name) == nil {
			k.warn(finding.UnknownContainer, func() *field.Path { return v.keyPath(key) }, "%s: the pod has no container %q", v.key(key),
				name)
		}
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
