package mutate

import (
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
// it is root's, with the volume's mode.
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

// tokenFile tells what the kubelet makes of a token in a volume of this mode.
func (p *Pod) tokenFile(volumeMode int32) file {
	f := file{mode: volumeMode, owner: root, group: root}
	if p.onlyUser != nil {
		f = file{mode: 0o600, owner: *p.onlyUser, group: root, fixed: true}
	}
	if group := p.security.fsGroup; group != nil {
		f.mode, f.group, f.fixed = 0o640, *group, true
	}
	return f
}

// findOnlyUser works out Pod.onlyUser.
func (p *Pod) findOnlyUser() *int64 { return p.commonUser(p.allContainers()) }

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

// inGroup tells whether the container's processes are known to be in a group.
func (p *Pod) inGroup(c *container, group int64) bool {
	primary := c.security.runAsGroup
	if primary == nil {
		primary = p.security.runAsGroup
	}
	return primary != nil && *primary == group ||
		p.security.fsGroup != nil && *p.security.fsGroup == group ||
		slices.Contains(p.security.supplementalGroups, group)
}

// readable tells whether the container's user is known to be able to read the
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
	for _, mode := range []int32{0o400, 0o440} {
		f := p.tokenFile(mode)
		if f.fixed {
			return nil
		}
		unreadable := func(c *container) bool { return !p.readable(f, c) }
		if !slices.ContainsFunc(containers, unreadable) {
			return &mode
		}
	}
	return nil
}
