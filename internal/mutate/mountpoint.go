package mutate

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
)

// What a mount point can be (docs/design/mount-points.md): the kubelet makes the
// mount points that lie in volumes which it makes of API objects, such as a
// token's, by the literal paths of a container's mounts. Elsewhere the runtime
// makes them, which it can where the volume is writable.

// checkMountPoint looks at the paths of a container that lie in a directory which
// is to be mounted, and at those in which it lies.
func checkMountPoint(pod *Pod, c *container, v *view, f *findings) {
	for i := range c.mounts {
		m := &c.mounts[i]
		switch {
		case m.directory == v.directory:
			// The container shows something else there, which was found before.
		case annotations.Within(m.directory, v.directory):
			checkInner(pod, c, m, v, f)
		case m.directory != "/" && annotations.Within(v.directory, m.directory):
			checkOuter(pod, c, m, v, f)
		}
	}
	if c.terminationPath == "" {
		return
	}
	// The runtime mounts a file there.
	if at := annotations.CanonicalPath(c.terminationPath, pod.OS); annotations.Within(at, v.directory) ||
		annotations.Within(v.directory, at) {
		f.fail(finding.MountConflict, func() *field.Error {
			return field.Invalid(c.field().Child("terminationMessagePath"), annotations.Shorten(c.terminationPath), message(
				"is a file that cannot lie in %s, which %s makes a read-only directory, nor around it: container %q could not start",
				v.path, v.pathOrigin(), c.name))
		})
	}
}

// checkInner checks a mount inside a directory of ours.
func checkInner(pod *Pod, c *container, m *mount, v *view, f *findings) {
	switch {
	case v.token == nil || m.partial || m.device:
		f.fail(finding.MountConflict, func() *field.Error { return innerError(c, m, v) })
	case annotations.Within(m.directory, annotations.CanonicalPath(v.path+"/"+v.token.File, pod.OS)):
		f.fail(finding.MountConflict, func() *field.Error {
			return field.Invalid(c.mountField(m), annotations.Shorten(m.path), message(
				"container %q mounts volume %q over the file of %s, which nobody could read then: choose another path, or another %s",
				c.name, m.volume, v.what(), v.key(annotations.TokenFile)))
		})
	case !nested(pod, m.path, v.path):
		f.warn(finding.MountConflict, c.field, "container %q mounts volume %q at %s, which lies in %s where /var/run is a link to /run: "+
			"the container may not start, or not find what is there; write both paths the same way", c.name, m.volume, m.path, v.path)
	}
}

// checkOuter checks a mount that a directory of ours lies in.
func checkOuter(pod *Pod, c *container, m *mount, v *view, f *findings) {
	volume := pod.volume(m.volume)
	switch {
	case volume == nil:
		// The API server refuses a mount without a volume, in its own words.
	case m.readOnly && !volume.api || volume.readOnly || volume.api && m.partial:
		f.warn(finding.MountConflict, c.field, "container %q: %s of %s lies inside volume %q, which is mounted read-only at %s: "+
			"the container cannot start unless the volume has that directory; choose another %s", c.name, v.path, v.what(), m.volume,
			m.path, v.pathKey())
	case volume.api && !nested(pod, v.path, m.path):
		f.warn(finding.MountConflict, c.field, "container %q: %s of %s lies in volume %q at %s where /var/run is a link to /run: "+
			"the container may not start; "+
			"write both paths the same way", c.name, v.path, v.what(), m.volume, m.path)
	}
}

// nested reports whether one path lies in the other as they are written.
func nested(pod *Pod, inner, outer string) bool {
	return annotations.Within(annotations.ComparablePath(inner, pod.OS), annotations.ComparablePath(outer, pod.OS))
}

func innerError(c *container, m *mount, v *view) *field.Error {
	return field.Invalid(c.mountField(m), annotations.Shorten(m.path), message(
		"container %q mounts volume %q inside %s, which %s makes a read-only directory: the container could not start",
		c.name, m.volume, v.path, v.pathOrigin()))
}

// heldError is about a container that uses a view's directory for something else.
func heldError(v *view, c *container, m *mount) *field.Error {
	wanted := phrase(v.what())
	if v.token != nil {
		wanted += " (" + describe(v.token) + ")"
	}
	return field.Invalid(c.mountField(m), annotations.Shorten(m.path), message(
		"container %q already mounts volume %q here, but %s wants %s here: choose another %s, or leave the container out with %s or %s",
		c.name, m.volume, v.askedBy(), wanted, v.pathKey(), v.key(annotations.Containers), v.key(annotations.SkipContainers)))
}

// mountField is where a mount stands in the pod.
func (c *container) mountField(m *mount) *field.Path {
	if m.device {
		return c.field().Child("volumeDevices").Index(m.index).Child("devicePath")
	}
	return c.field().Child("volumeMounts").Index(m.index).Child("mountPath")
}

func (c *container) field() *field.Path {
	return field.NewPath("spec", c.list).Index(c.index)
}
