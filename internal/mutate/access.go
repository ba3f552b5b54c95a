package mutate

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// file is what the kubelet makes of a projected token: who owns it and who may
// read it.
//
// The rules are the kubelet's (pkg/volume/projected, pkg/volume/util.FsUserFrom
// and SetVolumeOwnership): where all containers run as one known user, or where
// the pod has an fsGroup, the file is written 0600, whatever the volume's mode
// says, and then owned by that user and made readable by that group. Otherwise
// it is root's, with the volume's mode. A user that the volume names is the owner
// in any case (KEP-5936, resolveFsUser).
type file struct {
	mode  int32
	owner int64
	group int64
	// fixed is true where the kubelet passes over the volume's mode.
	fixed bool
}

const (
	// defaultMode is the mode that the API server gives to a projected volume
	// that names none (core/v1 ProjectedVolumeSource.defaultMode).
	defaultMode int32 = 0o644
	root        int64 = 0
	// nobody is neither a user nor a group.
	nobody int64 = -1
)

// tokenFile says what the kubelet makes of a token in a volume of this mode, whose
// owner the volume names or not.
func (p *Pod) tokenFile(volumeMode int32, owner *int64) file {
	f := file{mode: volumeMode, owner: root, group: root}
	if owner = cmp.Or(owner, p.onlyUser); owner != nil {
		f = file{mode: 0o600, owner: *owner, group: root, fixed: true}
	}
	if group := p.security.fsGroup; group != nil {
		f.mode, f.group, f.fixed = 0o640, *group, true
	}
	return f
}

// commonUser is the user that all of the containers run as, or nil where they
// differ or one does not say.
func (p *Pod) commonUser(containers iter.Seq[*container]) *int64 {
	var user *int64
	for c := range containers {
		u := p.user(c)
		if u == nil || user != nil && *u != *user {
			return nil
		}
		user = u
	}
	return user
}

// user is the container's effective runAsUser; nil where its image decides.
func (p *Pod) user(c *container) *int64 {
	if c.security.runAsUser != nil {
		return c.security.runAsUser
	}
	return p.security.runAsUser
}

// inGroup reports whether the container's processes are known to be in a group.
func (p *Pod) inGroup(c *container, group int64) bool {
	primary := c.security.runAsGroup
	if primary == nil {
		primary = p.security.runAsGroup
	}
	return primary != nil && *primary == group ||
		p.security.fsGroup != nil && *p.security.fsGroup == group ||
		contains(p.security.supplementalGroups, group)
}

// contains looks for a group among sorted ones.
func contains(groups []int64, group int64) bool {
	_, found := slices.BinarySearch(groups, group)
	return found
}

// readable reports whether the container's user is known to be able to read the
// file. On Windows, where POSIX modes mean nothing, everyone is.
func (p *Pod) readable(f file, c *container) bool {
	if p.OS == annotations.Windows {
		return true
	}
	user := p.user(c)
	switch { // the first class that applies decides, as in POSIX
	case user != nil && *user == root:
		return true
	case user != nil && *user == f.owner:
		return f.mode&0o400 != 0
	case p.inGroup(c, f.group):
		return f.mode&0o040 != 0
	default:
		return f.mode&0o004 != 0
	}
}

// tightestMode returns the narrowest volume mode with which every one of the
// containers can read a token, or nil where that is the default mode or where
// the kubelet decides without it.
func (p *Pod) tightestMode(containers []*container) *int32 {
	if p.OS == annotations.Windows {
		return nil
	}
	for i := range narrowModes {
		f := p.tokenFile(narrowModes[i], nil)
		if f.fixed {
			return nil
		}
		if p.allRead(f, containers) {
			return &narrowModes[i]
		}
	}
	return nil
}

// narrowModes are tighter than the default, the narrowest first.
var narrowModes = [...]int32{0o400, 0o440}

// allRead reports whether each of the containers is known to be able to read the
// file.
func (p *Pod) allRead(f file, containers []*container) bool {
	unreadable := func(c *container) bool { return !p.readable(f, c) }
	return !slices.ContainsFunc(containers, unreadable)
}

// runsAs says as whom a container runs.
func (p *Pod) runsAs(c *container) string {
	if user := p.user(c); user != nil {
		return fmt.Sprintf("as user %d", *user)
	}
	return "as the user of its image"
}

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
	for _, group := range []*int64{p.security.runAsGroup, containers[0].security.runAsGroup} {
		if group == nil {
			continue
		}
		outside := func(c *container) bool { return !p.inGroup(c, *group) }
		if !slices.ContainsFunc(containers, outside) {
			return group
		}
	}
	if groups := p.security.supplementalGroups; len(groups) > 0 {
		return &groups[0] // which are the pod's, and so every container's
	}
	return nil
}

// resultFile is the file that a login container writes, with the mode that its
// variables say. Where it is not known as whom it runs, the file is nobody's.
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
