package mutate

import (
	"fmt"
	"iter"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/jsonread"
)

// Pod is the part of a Pod that decides the patch. Everything else stays in
// the raw object, unread, so that no field that we do not know can be lost.
type Pod struct {
	// Annotations are all of metadata.annotations, or nil where the field is
	// absent or null.
	Annotations map[string]string
	// Name is the pod's, or the beginning of the name that it will get.
	Name string
	// OS is spec.os.name, or what the pod's node selector says of it.
	OS annotations.OS

	volumes             []volume
	initContainers      []container
	containers          []container
	ephemeralContainers []container
	security            security

	hasVolumes, hasInitContainers bool

	// onlyUser is the user that every container runs as, debug containers
	// included, or nil where they differ or one does not say.
	onlyUser *int64
}

// createdContainers are those that a pod is created with: the init containers
// (native sidecars among them) and the regular ones.
func (p *Pod) createdContainers() iter.Seq[*container] {
	return each(p.initContainers, p.containers)
}

// allContainers are these and the debug containers.
func (p *Pod) allContainers() iter.Seq[*container] {
	return each(p.initContainers, p.containers, p.ephemeralContainers)
}

func each(lists ...[]container) iter.Seq[*container] {
	return func(yield func(*container) bool) {
		for _, list := range lists {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

// volume is one of spec.volumes.
type volume struct {
	name string
	// raw is the whole volume, decoded only where it has to be compared.
	raw string
}

// container is one of the three lists of containers.
type container struct {
	name string
	// list and index say where it is, for paths: spec.list[index].
	list  string
	index int
	// target is the container whose process namespace an ephemeral one joins.
	target string

	mounts   []mount
	env      []envVar
	security security

	hasMounts, hasEnv bool
	// sidecar is true where an init container runs on (restartPolicy Always).
	sidecar bool
}

// mount is one of a container's volumeMounts, or one of its volumeDevices.
type mount struct {
	index  int
	volume string
	path   string
	// partial is true where only a part of the volume is mounted (subPath).
	partial bool
	// device is true for a volumeDevice, which takes a path as a mount does.
	device bool
}

// envVar is one of a container's variables.
type envVar struct {
	name  string
	value string
	// computed is true where the value comes from elsewhere (valueFrom).
	computed bool
}

// security is what a pod's and a container's securityContext have in common
// for us: nil where the field does not say.
type security struct {
	runAsUser          *int64
	runAsGroup         *int64
	fsGroup            *int64
	supplementalGroups []int64
}

// ParsePod reads a Pod in JSON, as the API server sends it.
func ParsePod(raw []byte) (*Pod, error) {
	r := jsonread.New(raw)
	defer r.Close()
	pod := ReadPod(r)
	r.End()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("could not read the Pod: %w", err)
	}
	return pod, nil
}

// ReadPod reads the Pod that comes next from a reader. It is incomplete where
// the reader has an error.
func ReadPod(from *jsonread.Reader) *Pod {
	r := podReader{Reader: from, arena: newArena()}
	pod := &Pod{}
	r.Object(func(name string) {
		switch name {
		case "metadata":
			r.metadata(pod)
		case "spec":
			r.spec(pod)
		default:
			r.Skip()
		}
	})
	pod.onlyUser = pod.findOnlyUser()
	return pod
}

// podReader reads the parts of a Pod.
type podReader struct {
	*jsonread.Reader
	*arena
}

// arena holds the mounts and variables of all containers, each container having
// a piece of it, so that the number of allocations does not grow with theirs.
type arena struct {
	mounts []mount
	env    []envVar
}

// newArena has room for what most pods have.
func newArena() *arena {
	return &arena{mounts: make([]mount, 0, 8), env: make([]envVar, 0, 16)}
}

func (r podReader) metadata(pod *Pod) {
	generated := ""
	r.Object(func(name string) {
		switch name {
		case "name":
			pod.Name = r.String()
		case "generateName":
			generated = r.String()
		case "annotations":
			pod.Annotations = r.StringMap()
		default:
			r.Skip()
		}
	})
	if pod.Name == "" {
		pod.Name = generated
	}
}

func (r podReader) spec(pod *Pod) {
	selected := ""
	r.Object(func(name string) {
		switch name {
		case "os":
			r.Object(func(name string) {
				if name == "name" {
					pod.OS = annotations.OS(r.String())
				} else {
					r.Skip()
				}
			})
		case "nodeSelector":
			selected = r.StringMap()[corev1.LabelOSStable]
		case "securityContext":
			pod.security = r.security()
		case "volumes":
			pod.hasVolumes = r.Array(func(int) { pod.volumes = append(pod.volumes, r.volume()) })
		case initContainers:
			pod.initContainers, pod.hasInitContainers = r.containers(name)
		case "containers":
			pod.containers, _ = r.containers(name)
		case "ephemeralContainers":
			pod.ephemeralContainers, _ = r.containers(name)
		default:
			r.Skip()
		}
	})
	if pod.OS == "" {
		pod.OS = annotations.OS(selected)
	}
}

func (r podReader) volume() volume {
	var v volume
	v.raw = r.Raw(func() {
		r.Object(func(name string) {
			if name == "name" {
				v.name = r.String()
			} else {
				r.Skip()
			}
		})
	})
	return v
}

func (r podReader) containers(list string) (cs []container, exists bool) {
	exists = r.Array(func(i int) {
		if r.Null() {
			r.Skip() // nothing can be added to it
			return
		}
		c := container{list: list, index: i}
		r.container(&c)
		cs = append(cs, c)
	})
	return cs, exists
}

// initContainers is the list of init containers and native sidecars.
const initContainers = "initContainers"

func (r podReader) container(c *container) {
	firstMount, firstEnv := len(r.mounts), len(r.env)
	r.Object(func(name string) {
		switch name {
		case "name":
			c.name = r.String()
		case "targetContainerName":
			c.target = r.String()
		case "volumeMounts":
			c.hasMounts = r.Array(func(i int) { r.mounts = append(r.mounts, r.mount(i)) })
		case "volumeDevices":
			r.Array(func(i int) { r.mounts = append(r.mounts, r.device(i)) })
		case "env":
			c.hasEnv = r.Array(func(int) { r.env = append(r.env, r.envVar()) })
		case "securityContext":
			c.security = r.security()
		case "restartPolicy":
			c.sidecar = r.String() == string(corev1.ContainerRestartPolicyAlways)
		default:
			r.Skip()
		}
	})
	// Where the arena grows, earlier pieces stay in the array that it had.
	c.mounts = r.mounts[firstMount:len(r.mounts):len(r.mounts)]
	c.env = r.env[firstEnv:len(r.env):len(r.env)]
}

func (r podReader) mount(i int) mount {
	m := mount{index: i}
	r.Object(func(name string) {
		switch name {
		case "name":
			m.volume = r.String()
		case "mountPath":
			m.path = r.String()
		case "subPath", "subPathExpr":
			m.partial = r.String() != "" || m.partial
		default:
			r.Skip()
		}
	})
	return m
}

func (r podReader) device(i int) mount {
	m := mount{index: i, device: true}
	r.Object(func(name string) {
		switch name {
		case "name":
			m.volume = r.String()
		case "devicePath":
			m.path = r.String()
		default:
			r.Skip()
		}
	})
	return m
}

func (r podReader) envVar() envVar {
	var e envVar
	r.Object(func(name string) {
		switch name {
		case "name":
			e.name = r.String()
		case "value":
			e.value = r.String()
		case "valueFrom":
			e.computed = !r.Null()
			r.Skip()
		default:
			r.Skip()
		}
	})
	return e
}

func (r podReader) security() security {
	var s security
	r.Object(func(name string) {
		switch name {
		case "runAsUser":
			s.runAsUser = r.Int64()
		case "runAsGroup":
			s.runAsGroup = r.Int64()
		case "fsGroup":
			s.fsGroup = r.Int64()
		case "supplementalGroups":
			r.Array(func(int) {
				if group := r.Int64(); group != nil {
					s.supplementalGroups = append(s.supplementalGroups, *group)
				}
			})
		default:
			r.Skip()
		}
	})
	return s
}
