package mutate

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// PatchEphemeral returns the operations that give the tokens and the results of
// logins to the ephemeral containers that an update of pods/ephemeralcontainers
// adds to a running pod. Only they may change: a pod's volumes and annotations are fixed by then, so
// a debug container gets what the pod has, and a warning says what it lacks.
//
// A debug container sees what the container sees that it targets (kubectl debug
// --target), unless an annotation names the debug container itself.
func PatchEphemeral(pod, old *Pod, spec annotations.Spec, o Options) (Result, field.ErrorList) {
	if err := pod.tooManyContainers(); err != nil {
		return Result{}, field.ErrorList{err}
	}
	in := newInjection(pod, spec, o)
	added := make([]*container, 0, 1)
	for i := range pod.ephemeralContainers {
		c := &pod.ephemeralContainers[i]
		if !slices.ContainsFunc(old.ephemeralContainers, func(o container) bool { return o.name == c.name }) {
			added = append(added, c)
		}
	}
	for _, c := range added {
		in.showResults(c)
		in.look(c, in.scopeName(c))
	}
	for _, v := range in.views {
		if len(v.containers) > 0 {
			in.findVolume(v, old)
		}
	}
	for _, c := range added {
		in.warnOutOfScope(c)
		in.warnOfUser(c, old)
		if in.lacksVolume(c) {
			in.withdraw(c)
			continue
		}
		in.equip(c, in.scopeName(c))
	}
	return in.result()
}

// showResults lets a debug container read the results of logins that the
// container reads, or writes, which decides for it, as far as the pod has them.
func (in *injection) showResults(c *container) {
	scopeName := in.scopeName(c)
	does := in.loginOf(scopeName)
	for _, l := range in.logins {
		if does == nil && !l.Containers.Includes(scopeName) || does != nil && does != l {
			continue
		}
		if p := in.existing.get(l.volumeName); p == nil || !p.memory {
			in.warnOnce(fmt.Sprintf("debug container %q gets no result of login %q: "+
				"the pod was created without a volume for it, and the volumes of a running pod cannot change", c.name, l.DisplayName()))
			continue
		}
		l.readers = append(l.readers, c)
		if l.container != nil {
			in.warnUnreadableResult(c, l)
		}
	}
}

// warnOutOfScope warns of a debug container that no token is meant for, which
// is easily taken for a failure where --target was forgotten.
func (in *injection) warnOutOfScope(c *container) {
	if c.target == "" && !slices.Contains(in.equipped, c.name) {
		in.warnOnce(fmt.Sprintf("debug container %q gets no token: the annotations name other containers; "+
			"kubectl debug --target=CONTAINER shows it what CONTAINER sees", c.name))
	}
}

// warnOfUser warns of a debug container that changes what the kubelet makes of
// the pod's tokens: with it, the pod's containers no longer run as one user.
func (in *injection) warnOfUser(c *container, old *Pod) {
	if in.pod.OS == annotations.Windows || !old.tokenFile(defaultMode).fixed || in.pod.tokenFile(defaultMode).fixed {
		return
	}
	in.warnOnce(fmt.Sprintf("debug container %q does not run as the user of the pod's containers: from their next renewal on, "+
		"token files belong to user 0 and have their volume's mode; with runAsUser in the pod's securityContext this does not happen", c.name))
}

// scopeName is the name that decides which tokens an ephemeral container gets.
func (in *injection) scopeName(c *container) string {
	named := func(t annotations.Token) bool { return slices.Contains(t.Scope.Names(), c.name) }
	namedByLogin := func(l *login) bool { return slices.Contains(l.Containers.Names(), c.name) }
	if c.target == "" || slices.ContainsFunc(in.tokens, named) || slices.ContainsFunc(in.logins, namedByLogin) {
		return c.name
	}
	return c.target
}

// findVolume looks for a volume of the pod that shows the view's tokens. The
// files are, until their next renewal, what the pod as it was makes of them.
func (in *injection) findVolume(v *view, old *Pod) {
	for _, name := range append([]string{v.name()}, in.pod.volumeNames()...) {
		if p := in.existing.get(name); p != nil && v.shows(p) {
			v.volumeName = name
			v.prepareMount()
			for _, c := range v.containers {
				in.warnUnreadable(c, v, old.tokenFile(p.mode))
			}
			return
		}
	}
}

// lacksVolume tells whether the pod has no volume for something that the
// container should see.
func (in *injection) lacksVolume(c *container) bool {
	return slices.ContainsFunc(in.mounts, func(m missingMount) bool {
		return m.container == c && m.view.volumeName == ""
	})
}

// withdraw gives the container nothing rather than a part: variables that point
// at missing files would mislead whoever debugs.
func (in *injection) withdraw(c *container) {
	in.mounts = slices.DeleteFunc(in.mounts, func(m missingMount) bool {
		if m.container == c {
			m.view.users--
		}
		return m.container == c
	})
	in.equipped = slices.DeleteFunc(in.equipped, func(name string) bool { return name == c.name })
	for _, l := range in.logins {
		l.readers = slices.DeleteFunc(l.readers, func(reader *container) bool { return reader == c })
	}
	in.warnOnce(fmt.Sprintf("debug container %q gets no token: "+
		"the pod was created without a volume for it, and the volumes of a running pod cannot change", c.name))
}

func (p *Pod) volumeNames() []string {
	names := make([]string, 0, len(p.volumes))
	for i := range p.volumes {
		names = append(names, p.volumes[i].name)
	}
	return names
}
