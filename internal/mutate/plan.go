package mutate

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
)

// plan says which container gets what. It is made once, and then only read.
type plan struct {
	views  []view
	grants []grant
	logins []login
	// granted says for each view whether somebody sees it.
	granted []bool
	// debug is true for the containers of a running pod, whose volumes and annotations stay
	// as they are, and whose tokens may be of another lifetime than they would be today.
	debug bool
}

// grant is what one container gets. A grant to a login container is that of the
// token which it exchanges.
type grant struct {
	container *container
	shown     []shown
	// env are the variables that the container lacks.
	env []*variable
	// login is the one that the container does, or nil.
	login *view
}

// shown is a view that a container sees.
type shown struct {
	view *view
	// mount is the pod's own that shows it; nil where one is to be added.
	mount *mount
}

// login is a login that somebody reads the result of.
type login struct {
	*view
	access resultAccess
	// container does the login: the pod's own, made by an earlier call, or a new
	// one, which is to be added.
	container *container
	added     bool
}

// held is a directory that a container uses for something else.
type held struct {
	view      *view
	container *container
	mount     *mount
}

// newPlan plans for a pod that is being created.
func newPlan(pod *Pod, views []view, o Options, f *findings) plan {
	p := planner{pod: pod, views: views, o: o, f: f}
	count := len(pod.initContainers) + len(pod.containers) + len(views)
	p.shows = make([]shown, 0, min(count*len(views), 1024))
	if slices.ContainsFunc(views, func(v view) bool { return len(v.variables) > 0 }) {
		p.env = make([]*variable, 0, cap(p.shows))
	}
	p.plan = plan{views: views, grants: make([]grant, 0, count)}
	for c := range pod.createdContainers() {
		if loginOf(views, c.name) == nil {
			p.grant(c)
		}
	}
	p.planLogins()
	p.settle()
	return p.plan
}

// planner makes a plan.
type planner struct {
	pod   *Pod
	views []view
	o     Options
	f     *findings
	plan  plan
	held  []held
	// shows and env have what all containers see and lack, each of which has a piece
	// of them.
	shows []shown
	env   []*variable
	// remembered says which volumes show which tokens, by their indices.
	remembered map[[2]int]bool
}

// grant plans for a container of its own name.
func (p *planner) grant(c *container) {
	if shows := p.look(c, c.name); len(shows) > 0 {
		p.plan.grants = append(p.plan.grants, grant{container: c, shown: shows, env: p.environment(c, shows)})
	}
}

// look finds the views that the name decides on for a container, and how its
// mounts show them. Those whose directory it uses for something else are held.
func (p *planner) look(c *container, name string) []shown {
	isInjected, does, first := p.o.InjectedContainers.Has(name), loginOf(p.views, name), len(p.shows)
	for i := range p.views {
		v := &p.views[i]
		switch {
		case does != nil && v != does && v != does.exchanged:
			continue
		case does == nil && (!v.scope.Includes(name) || isInjected && v.scope.Only == nil):
			continue
		}
		if m, free := p.lookFor(v, c); free {
			p.shows = append(p.shows, shown{v, m})
		} else {
			p.hold(v, c, m)
		}
	}
	return p.shows[first:len(p.shows):len(p.shows)]
}

// lookFor looks for the view's directory among the mounts of a container. It
// returns the mount that shows the view, or nil; free is false where the mount
// shows something else.
func (p *planner) lookFor(v *view, c *container) (m *mount, free bool) {
	for i := range c.mounts {
		at := &c.mounts[i]
		if at.directory != v.directory {
			continue
		}
		if p.shownBy(v, at) {
			return at, true
		}
		if m == nil {
			m = at
		}
	}
	return m, m == nil
}

// shownBy reports whether a mount shows the view, whatever else its volume shows.
func (p *planner) shownBy(v *view, m *mount) bool {
	if m.device || m.partial {
		return false
	}
	volume := p.pod.volume(m.volume)
	switch {
	case volume == nil:
		return true // the API server refuses a mount without a volume, in its own words
	case v.login != nil:
		return volume.name == v.volume
	default:
		return p.shownByVolume(v, volume)
	}
}

// shownByVolume reports whether a volume shows a token. The answer is remembered, as
// a volume can have many sources, and many mounts.
func (p *planner) shownByVolume(v *view, volume *volume) bool {
	if len(volume.tokens) < 16 {
		return volume.shows(v.token, p.plan.debug)
	}
	key := [2]int{v.index, volume.index}
	shows, known := p.remembered[key]
	if !known {
		if p.remembered == nil {
			p.remembered = make(map[[2]int]bool, 1)
		}
		shows = volume.shows(v.token, p.plan.debug)
		p.remembered[key] = shows
	}
	return shows
}

// hold notes a directory that is used for something else. A container that was
// named has to get what it was named for.
func (p *planner) hold(v *view, c *container, m *mount) {
	h := held{v, c, m}
	if slices.Contains(v.scope.Only, c.name) || p.plan.debug {
		p.failHeld(h)
		return
	}
	p.held = append(p.held, h)
}

// failHeld makes an error of it, and of what else would be wrong with the
// container.
func (p *planner) failHeld(h held) {
	p.f.fail(finding.MountConflict, func() *field.Error { return heldError(h.view, h.container, h.mount) })
	for i := range h.view.variables {
		if v := &h.view.variables[i]; !v.yields {
			p.compare(h.container, v)
		}
	}
}

// planLogins plans the containers of logins whose result somebody reads.
func (p *planner) planLogins() {
	for i := range p.views {
		v := &p.views[i]
		if v.login == nil {
			continue
		}
		readers := p.plan.readers(v)
		if len(readers) == 0 {
			continue
		}
		l := login{view: v, access: p.pod.resultAccess(readers), container: v.container}
		if l.container == nil {
			if p.o.Login.Image == "" {
				p.f.fail(finding.LoginDisabled, func() *field.Error {
					return field.Forbidden(v.login.Source, "the injector's configuration names no image for logins (login.image)")
				})
			}
			l.added = true
			l.container = &container{
				name: v.containerName, list: initContainers, security: security{runAsUser: l.access.user, runAsGroup: l.access.group},
			}
		}
		p.plan.logins = append(p.plan.logins, l)
		p.grantLogin(l)
	}
}

// grantLogin lets a login container see the token that it exchanges.
func (p *planner) grantLogin(l login) {
	m, free := p.lookFor(l.exchanged, l.container)
	if !free {
		p.f.fail(finding.MountConflict, func() *field.Error { return heldError(l.exchanged, l.container, m) })
		return
	}
	p.plan.grants = append(p.plan.grants, grant{container: l.container, login: l.view, shown: []shown{{l.exchanged, m}}})
}

// readers are the containers that see a view.
func (p *plan) readers(v *view) []*container {
	readers := make([]*container, 0, len(p.grants))
	for i := range p.grants {
		if p.grants[i].sees(v) != nil {
			readers = append(readers, p.grants[i].container)
		}
	}
	return readers
}

// sees returns how a container sees a view, or nil.
func (g *grant) sees(v *view) *shown {
	for i := range g.shown {
		if g.shown[i].view == v {
			return &g.shown[i]
		}
	}
	return nil
}

// settle leaves out the containers that use a view's directory for something
// else, as sidecars of others do, if anybody else gets what they do not.
func (p *planner) settle() {
	granted := make([]bool, len(p.views))
	for i := range p.plan.grants {
		for _, s := range p.plan.grants[i].shown {
			granted[s.view.index] = true
		}
	}
	p.plan.granted = granted
	missed := make([]bool, len(p.views))
	for _, h := range p.held {
		if granted[h.view.index] {
			p.f.warn(finding.ContainerLeftOut, h.container.field, "container %q is left without %s: it already mounts volume %q at %s; "+
				"if that is right, name it in %s, and if not, in %s",
				h.container.name, h.view.what(), h.mount.volume, h.mount.path,
				h.view.key(annotations.SkipContainers), h.view.key(annotations.Containers))
			continue
		}
		missed[h.view.index] = true
		p.failHeld(h)
	}
	for i := range p.views {
		if !p.plan.debug && !granted[i] && !missed[i] && !p.expected(&p.views[i]) {
			p.f.warn(finding.NoContainer, p.views[i].source, "no container of the pod gets %s", p.views[i].what())
		}
	}
}

// expected reports whether a container that the template does not have yet may get
// a view.
func (p *planner) expected(v *view) bool {
	return p.o.Template && v.scope.Only != nil && slices.ContainsFunc(v.scope.Names(), p.o.InjectedContainers.Has)
}

// result names what the plan gives.
func (p *plan) result() Result {
	r := Result{Containers: make([]string, 0, len(p.grants))}
	for i, granted := range p.granted {
		if !granted {
			continue
		}
		if t := p.views[i].token; t != nil {
			r.Tokens = append(r.Tokens, t.DisplayName())
		} else {
			r.Logins = append(r.Logins, p.views[i].login.DisplayName())
		}
	}
	for i := range p.grants {
		if g := &p.grants[i]; g.login == nil {
			r.Containers = append(r.Containers, g.container.name)
		}
	}
	return r
}

// newDebugPlan plans for the containers that an update of ephemeral containers
// adds to a running pod. What the pod has no volume for cannot be shown: then the
// container gets nothing rather than a part, as variables that point at missing
// files would mislead whoever debugs.
func newDebugPlan(p planner, added []*container, volumes []placement) plan {
	p.plan = plan{views: p.views, debug: true}
	for _, c := range added {
		p.grantDebug(c, volumes)
		p.warnOutOfScope(c)
	}
	p.settle()
	return p.plan
}

// addedContainers are the ephemeral containers that the pod had not.
func addedContainers(pod, old *Pod) []*container {
	added := make([]*container, 0, 1)
	for i := range pod.ephemeralContainers {
		c := &pod.ephemeralContainers[i]
		if !slices.ContainsFunc(old.ephemeralContainers, func(o container) bool { return o.name == c.name }) {
			added = append(added, c)
		}
	}
	return added
}

// grantDebug plans for one debug container. One that targets a login container
// sees what that sees: its token, and its result.
func (p *planner) grantDebug(c *container, volumes []placement) {
	const why = "the pod was created without a volume for it, and the volumes of a running pod cannot change"
	name := debugScope(c, p.views)
	shows, lacking := make([]shown, 0, len(p.views)), false
	for _, s := range p.look(c, name) {
		switch lacks := s.mount == nil && volumes[s.view.index].name == ""; {
		case lacks && s.view.login != nil:
			p.f.warn(finding.DebugContainer, c.field, "debug container %q gets no result of login %q: %s", c.name,
				s.view.login.DisplayName(), why)
		default:
			lacking = lacking || lacks
			shows = append(shows, s)
		}
	}
	if lacking {
		p.f.warn(finding.DebugContainer, c.field, "debug container %q gets no token: %s", c.name, why)
		return
	}
	g := grant{container: c, shown: shows}
	if loginOf(p.views, name) == nil { // variables are for workloads
		g.env = p.environment(c, shows)
	}
	if len(shows) > 0 {
		p.plan.grants = append(p.plan.grants, g)
	}
}

// debugScope is the name that decides what an ephemeral container gets.
func debugScope(c *container, views []view) string {
	named := func(v view) bool { return slices.Contains(v.scope.Names(), c.name) }
	if c.target == "" || slices.ContainsFunc(views, named) {
		return c.name
	}
	return c.target
}

// warnOutOfScope warns of a debug container that nothing is meant for, which is
// easily taken for a failure where --target was forgotten.
func (p *planner) warnOutOfScope(c *container) {
	included := func(v view) bool { return v.scope.Includes(c.name) }
	named := func(v view) bool { return slices.Contains(v.scope.Only, c.target) }
	switch {
	case p.o.InjectedContainers.Has(c.target) && debugScope(c, p.views) == c.target && !slices.ContainsFunc(p.views, named):
		p.f.warn(finding.DebugContainer, c.field, "debug container %q gets no token: nor does container %q, which another injector "+
			"adds and the annotations do not name",
			c.name, c.target)
	case c.target == "" && !slices.ContainsFunc(p.views, included):
		p.f.warn(finding.DebugContainer, c.field, "debug container %q gets no token: the annotations name other containers; "+
			"kubectl debug --target=CONTAINER shows it what CONTAINER sees", c.name)
	}
}
