package mutate

import (
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/jsonread"
)

// Pod is the part of a Pod that decides the patch. Everything else stays in
// the raw object, unread, so that no field that we do not know can be lost.
type Pod struct {
	// Annotations are all of metadata.annotations; nil where the field is absent
	// or null.
	Annotations annotations.List
	// Labels are metadata.labels.
	Labels Labels
	// Name is the pod's, or the beginning of the name that it will get.
	Name string
	// Owner is the object that controls the pod, such as a ReplicaSet.
	Owner Owner
	// ServiceAccountName is spec.serviceAccountName, which the API server makes "default"
	// where nobody says.
	ServiceAccountName string
	// OS is spec.os.name, or what the pod's other fields say of it.
	OS annotations.OS

	volumes                       []volume
	volumeIndex                   map[string]int // nil where the volumes are few
	initContainers                []container
	containers                    []container
	ephemeralContainers           []container
	security                      security
	hasVolumes, hasInitContainers bool
	// hostNetwork is true where the pod's ports are the node's.
	hostNetwork bool
	// hasResources is true where the pod names resources as a whole (spec.resources).
	hasResources bool

	// onlyUser is the user that every container runs as, debug containers
	// included, or nil where they differ or one does not say.
	onlyUser *int64
	// excess says which list was too long to be kept; nil for nearly all pods.
	excess *field.Error
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

// volume returns the volume of a name, or nil.
func (p *Pod) volume(name string) *volume {
	if p.volumeIndex != nil {
		if i, ok := p.volumeIndex[name]; ok {
			return &p.volumes[i]
		}
		return nil
	}
	for i := range p.volumes {
		if p.volumes[i].name == name {
			return &p.volumes[i]
		}
	}
	return nil
}

// indexVolumes keeps the search for a volume cheap where there are many.
func (p *Pod) indexVolumes() {
	if len(p.volumes) <= 32 {
		return
	}
	p.volumeIndex = make(map[string]int, len(p.volumes))
	for i := range p.volumes {
		p.volumeIndex[p.volumes[i].name] = i
	}
}

// Owner names the controller of an object (meta/v1 OwnerReference); it is zero
// where there is none.
type Owner struct{ Kind, Name string }

// container is one of the three lists of containers.
type container struct {
	name string
	// list and index say where it is, for paths: spec.list[index].
	list  string
	index int
	// target is the container whose process namespace an ephemeral one joins.
	target string
	// terminationPath is terminationMessagePath.
	terminationPath string

	mounts    []mount
	env       []envVar
	security  security
	resources resources

	hasMounts, hasEnv, hasEnvFrom bool
	// secretPrefixes are the beginnings that variables have which come from Secrets
	// (envFrom); what follows are the keys of the Secret.
	secretPrefixes []string
	// sidecar is true where an init container runs on (restartPolicy Always).
	sidecar bool
}

// mount is one of a container's volumeMounts, or one of its volumeDevices.
type mount struct {
	index  int
	volume string
	// path is as it was written, directory in its canonical form.
	path, directory string
	// partial is true where only a part of the volume is mounted (subPath).
	partial bool
	// device is true for a volumeDevice, which takes a path as a mount does.
	device bool
	// readOnly is the mount's own; a volume can be read-only, too.
	readOnly bool
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
	runAsUser  *int64
	runAsGroup *int64
	fsGroup    *int64
	// supplementalGroups are in ascending order.
	supplementalGroups []int64
}

// resources holds the quantities that decide a pod's quality of service, as they
// are written; empty where there is none.
type resources struct{ cpu, memory amount }

type amount struct{ request, limit string }

// What is read of a pod is bounded: a list that is longer is cut, and the pod is
// denied if it asks for anything. Each bound is far above what a node could run.
const (
	maxContainers = 1000   // of all three lists together
	maxMounts     = 10_000 // of all containers, devices included
	maxVariables  = 50_000 // of all containers
	maxVolumes    = 5000
	maxSources    = 10_000  // token sources of all projected volumes
	maxGroups     = 1 << 16 // NGROUPS_MAX of Linux (limits.h)
	maxName       = 63      // of a container, a DNS label
	// maxAnnotations is the size of names and values, in bytes, from which on the
	// API server refuses the pod (apimachinery, TotalAnnotationSizeLimitB).
	maxAnnotations = 256 << 10
)

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
	pod := &Pod{}
	// Of what the API server sends, a container with its mounts and variables takes
	// more than this.
	likely := min(from.Unread()/1024, 100)
	r := &podReader{
		Reader: from, pod: pod, likely: likely, mounts: make([]mount, 0, 4+2*likely), env: make([]envVar, 0, 8+4*likely),
	}
	r.Object(func(name string) {
		switch name {
		case "metadata":
			r.metadata()
		case "spec":
			r.spec()
		default:
			r.Skip()
		}
	})
	if pod.OS == "" && (r.hostProcess || r.selectsWindows) {
		pod.OS = annotations.Windows
	}
	for c := range pod.allContainers() {
		for i := range c.mounts {
			c.mounts[i].directory = annotations.CanonicalPath(c.mounts[i].path, pod.OS)
		}
	}
	pod.onlyUser = pod.commonUser(pod.allContainers())
	pod.indexVolumes()
	return pod
}

// podReader reads the parts of a Pod.
type podReader struct {
	*jsonread.Reader
	pod *Pod

	// These hold the elements of all containers and volumes, each of which has a
	// piece of them, so that the number of allocations does not grow with theirs.
	mounts  []mount
	env     []envVar
	sources []tokenSource

	// likely is a guess of the number of containers, which room is made for.
	containers, likely int
	// hostProcess and selectsWindows tell of a pod that can only run on Windows.
	hostProcess, selectsWindows bool
}

// admit reports whether one more element may be kept, of those that there are
// already. It skips the element otherwise.
func (r *podReader) admit(have, most int, path ...string) bool {
	if have < most {
		return true
	}
	if r.pod.excess == nil {
		r.pod.excess = field.TooMany(field.NewPath("spec", path...), have+1, most)
	}
	r.Skip()
	return false
}

func (r *podReader) metadata() {
	generated := ""
	r.Object(func(name string) {
		switch name {
		case "name":
			r.pod.Name = r.String()
		case "generateName":
			generated = r.String()
		case "labels":
			r.pod.Labels.raw = r.Raw(r.Skip)
		case "annotations":
			r.annotations()
		case "ownerReferences":
			r.Array(func(int) { r.owner() })
		default:
			r.Skip()
		}
	})
	if r.pod.Name == "" {
		r.pod.Name = generated
	}
}

func (r *podReader) annotations() {
	var whole bool
	if r.pod.Annotations, whole = ReadAnnotations(r.Reader); !whole {
		r.pod.excess = field.TooLong(field.NewPath("metadata", "annotations"), "", maxAnnotations)
	}
}

// ReadAnnotations reads metadata.annotations, nil where it is null; not the whole,
// where it is larger than the API server takes.
func ReadAnnotations(r *jsonread.Reader) (list annotations.List, whole bool) {
	if r.Null() {
		r.Skip()
		return nil, true
	}
	size := 0
	list = make(annotations.List, 0, 8)
	r.Object(func(name string) {
		value := r.String()
		if size += len(name) + len(value); size <= maxAnnotations {
			list = append(list, annotations.Annotation{Name: name, Value: value})
		}
	})
	return list, size <= maxAnnotations
}

// owner reads an owner, and keeps the one that is the controller.
func (r *podReader) owner() {
	var o Owner
	controller := false
	r.Object(func(name string) {
		switch name {
		case "kind":
			o.Kind = r.String()
		case "name":
			o.Name = r.String()
		case "controller":
			controller = r.Bool()
		default:
			r.Skip()
		}
	})
	if controller {
		r.pod.Owner = o
	}
}

func (r *podReader) spec() {
	pod := r.pod
	r.Object(func(name string) {
		switch name {
		case "os":
			r.member("name", func() { pod.OS = annotations.OS(r.String()) })
		case "serviceAccountName":
			pod.ServiceAccountName = r.String()
		case "nodeSelector":
			r.Object(func(label string) {
				value := r.String()
				r.selectsWindows = r.selectsWindows || isOSLabel(label) && value == string(annotations.Windows)
			})
		case "affinity":
			r.affinity()
		case "hostNetwork":
			pod.hostNetwork = r.Bool()
		case "securityContext":
			pod.security = r.security(true)
		case "resources":
			r.podResources()
		case "volumes":
			pod.hasVolumes = r.Array(func(i int) {
				if r.admit(len(pod.volumes), maxVolumes, "volumes") {
					pod.volumes = append(pod.volumes, r.volume(i))
				}
			})
		case initContainers:
			pod.initContainers, pod.hasInitContainers = r.list(name)
		case "containers":
			pod.containers, _ = r.list(name)
		case "ephemeralContainers":
			pod.ephemeralContainers, _ = r.list(name)
		default:
			r.Skip()
		}
	})
}

// podResources finds out whether the pod names any resource as a whole.
func (r *podReader) podResources() {
	r.Object(func(name string) {
		if name != "requests" && name != "limits" {
			r.Skip()
			return
		}
		r.Object(func(string) { r.pod.hasResources = true; r.Skip() })
	})
}

// initContainers is the list of init containers and native sidecars.
const initContainers = "initContainers"

func (r *podReader) list(list string) (cs []container, exists bool) {
	exists = r.Array(func(i int) {
		if r.Null() {
			r.Skip() // nothing can be added to it
			return
		}
		if !r.admit(r.containers, maxContainers, list) {
			return
		}
		r.containers++
		if cs == nil {
			cs = make([]container, 0, 1+r.likely)
		}
		cs = append(cs, container{list: list, index: i})
		r.container(&cs[len(cs)-1])
	})
	return cs, exists
}

func (r *podReader) container(c *container) {
	firstMount, firstEnv := len(r.mounts), len(r.env)
	r.Object(func(name string) {
		switch name {
		case "name":
			c.name = r.containerName(c)
		case "targetContainerName":
			c.target = r.String()
		case "volumeMounts":
			c.hasMounts = r.Array(func(i int) {
				if r.admit(len(r.mounts), maxMounts, c.list, name) {
					r.mounts = append(r.mounts, r.mount(i))
				}
			})
		case "volumeDevices":
			r.Array(func(i int) {
				if r.admit(len(r.mounts), maxMounts, c.list, name) {
					r.mounts = append(r.mounts, r.device(i))
				}
			})
		case "env":
			c.hasEnv = r.Array(func(int) {
				if r.admit(len(r.env), maxVariables, c.list, name) {
					r.env = append(r.env, r.envVar())
				}
			})
		case "envFrom":
			c.hasEnvFrom = r.Array(func(int) {
				if r.admit(len(c.secretPrefixes), maxVariables, c.list, name) {
					r.envFrom(c)
				}
			})
		case "resources":
			c.resources = r.resources()
		case "securityContext":
			c.security = r.security(false)
		case "terminationMessagePath":
			c.terminationPath = r.String()
		case "restartPolicy":
			c.sidecar = r.String() == string(corev1.ContainerRestartPolicyAlways)
		default:
			r.Skip()
		}
	})
	// Where a list grows, earlier pieces stay in the array that it had.
	c.mounts = r.mounts[firstMount:len(r.mounts):len(r.mounts)]
	c.env = r.env[firstEnv:len(r.env):len(r.env)]
}

// containerName reads the name, which must not be longer than any can be.
func (r *podReader) containerName(c *container) string {
	name := r.String()
	if len(name) > maxName && r.pod.excess == nil {
		r.pod.excess = field.TooLong(c.field().Child("name"), "", maxName)
	}
	return name
}

func (r *podReader) mount(i int) mount {
	m := mount{index: i}
	r.Object(func(name string) {
		switch name {
		case "name":
			m.volume = r.String()
		case "mountPath":
			m.path = r.String()
		case "readOnly":
			m.readOnly = r.Bool()
		case "subPath", "subPathExpr":
			m.partial = r.String() != "" || m.partial
		default:
			r.Skip()
		}
	})
	return m
}

func (r *podReader) device(i int) mount {
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

func (r *podReader) envVar() envVar {
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

func (r *podReader) envFrom(c *container) {
	prefix, secret := "", false
	r.Object(func(name string) {
		switch name {
		case "prefix":
			prefix = r.String()
		case "secretRef":
			secret = !r.Null()
			r.Skip()
		default:
			r.Skip()
		}
	})
	if secret {
		c.secretPrefixes = append(c.secretPrefixes, prefix)
	}
}

func (r *podReader) resources() resources {
	var res resources
	r.Object(func(kind string) {
		if kind != "requests" && kind != "limits" {
			r.Skip()
			return
		}
		r.Object(func(name string) {
			quantity := r.Raw(r.Skip)
			a := &res.cpu
			switch corev1.ResourceName(name) {
			case corev1.ResourceCPU:
			case corev1.ResourceMemory:
				a = &res.memory
			default:
				return
			}
			if kind == "limits" {
				a.limit = quantity
			} else {
				a.request = quantity
			}
		})
	})
	return res
}

// security reads a securityContext, the pod's or a container's. Only that of a pod
// has groups.
func (r *podReader) security(ofPod bool) security {
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
			if !ofPod {
				r.Skip()
				return
			}
			r.Array(func(int) {
				if !r.admit(len(s.supplementalGroups), maxGroups, "securityContext", name) {
					return
				}
				if group := r.Int64(); group != nil {
					s.supplementalGroups = append(s.supplementalGroups, *group)
				}
			})
			slices.Sort(s.supplementalGroups)
		case "windowsOptions":
			r.Object(func(name string) {
				if name == "hostProcess" {
					r.hostProcess = r.Bool() || r.hostProcess
				} else {
					r.Skip()
				}
			})
		default:
			r.Skip()
		}
	})
	return s
}
