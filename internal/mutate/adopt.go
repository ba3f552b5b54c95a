package mutate

import (
	"slices"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// adoptLogins has views say what the containers and volumes of logins are called in a
// running pod, which an older release may have injected under other names. A login
// container is known by its variable for a file and by the directory of that. Tokens need
// nothing of the kind: any volume that shows one is used.
func adoptLogins(pod *Pod, views []view) {
	for i := range views {
		v := &views[i]
		if v.login == nil {
			continue
		}
		for j := range pod.initContainers {
			c := &pod.initContainers[j]
			if volume := resultVolume(c, v); volume != "" {
				v.container, v.containerName, v.volume = c, c.name, volume
				break
			}
		}
	}
}

// resultVolume is the name of the volume to which a container writes the result of a
// view's login; empty where it does no such thing.
func resultVolume(c *container, v *view) string {
	if !slices.ContainsFunc(c.env, func(e envVar) bool { return e.name == loginspec.OutputFile.Env() }) {
		return ""
	}
	mounted := func(m mount) bool { return m.directory == v.directory && !m.partial && !m.device }
	i := slices.IndexFunc(c.mounts, mounted)
	if i < 0 {
		return ""
	}
	return c.mounts[i].volume
}
