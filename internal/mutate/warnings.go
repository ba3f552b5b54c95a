package mutate

import (
	"fmt"
	"slices"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// warnOfMode warns of a container that could not read the view's tokens in a
// volume of this mode, as far as the pod lets us know, and of an annotated mode
// that has no effect, or none yet.
func (in *injection) warnOfMode(c *container, v *view, volumeMode int32) {
	f := in.pod.tokenFile(volumeMode)
	if want := in.annotatedMode(v); f.fixed && want != nil && *want != f.mode {
		in.warnOnce(fmt.Sprintf("file-mode %04o has no effect: the kubelet writes tokens with mode %04o where all containers run as one user or fsGroup is set",
			*want, f.mode))
		if later := (file{mode: *want, owner: root, group: root}); in.pod.security.fsGroup == nil && !in.pod.readable(later, c) {
			in.warnOnce(fmt.Sprintf("file-mode %04o shuts container %q out of its token "+
				"as soon as somebody adds a debug container that runs as another user", *want, c.name))
		}
	}
	in.warnUnreadable(c, v, f)
}

// warnUnreadable warns of a container that could not read such a file.
func (in *injection) warnUnreadable(c *container, v *view, f file) {
	if in.pod.readable(f, c) {
		return
	}
	in.warnOnce(fmt.Sprintf("container %q may not be able to read %s: it runs %s, and the file has mode %04o, user %d and group %d; set fsGroup or %s",
		c.name, v.dir.path, in.pod.runsAs(c), f.mode, f.owner, f.group, in.options.Prefix.Key(annotations.FileMode, v.tokens()[0].Name)))
}

// runsAs says as whom a container runs.
func (p *Pod) runsAs(c *container) string {
	if user := p.user(c); user != nil {
		return fmt.Sprintf("as user %d", *user)
	}
	return "as the user of its image"
}

// warnAboutScopes warns of container names that the pod does not have, of
// tokens that therefore nobody gets, and of modes on Windows.
func (in *injection) warnAboutScopes() {
	for i := range in.tokens {
		t := &in.tokens[i]
		in.warnUnknownContainers(t.Scope, t.Name)
		if !in.granted(t) {
			in.warnOnce(fmt.Sprintf("no container of the pod gets token %q", t.DisplayName()))
		}
		if t.FileMode != nil && in.pod.OS == annotations.Windows {
			in.warnOnce(t.Annotation(annotations.FileMode) + ": file modes have no effect on Windows")
		}
	}
	for _, l := range in.logins {
		in.warnUnknownContainers(l.Containers, l.Name)
	}
}

func (in *injection) warnUnknownContainers(scope annotations.Scope, suffix string) {
	if !scope.Written {
		return
	}
	key := annotations.SkipContainers
	if scope.Only != nil {
		key = annotations.Containers
	}
	for _, name := range scope.Names() {
		if !in.hasContainer(name) {
			in.warnOnce(fmt.Sprintf("%s: the pod has no container %q", in.options.Prefix.Key(key, suffix), name))
		}
	}
}

// hasContainer tells whether the pod has, or gets, a container of this name.
func (in *injection) hasContainer(name string) bool {
	for c := range in.pod.allContainers() {
		if c.name == name {
			return true
		}
	}
	return slices.ContainsFunc(in.logins, func(l *login) bool { return l.containerName == name })
}

func (in *injection) warnOnce(text string) {
	if in.warned[text] {
		return
	}
	if in.warned == nil {
		in.warned = make(map[string]bool, 1)
	}
	in.warned[text] = true
	in.warnings = append(in.warnings, text)
}
