package mutate

import (
	"strconv"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// patch collects add operations (RFC 6902 section 4.1). All JSON pointers
// (RFC 6901) of this package are built here. They are built in one buffer,
// so that their number does not show in the number of allocations.
type patch struct {
	operations []jsonpatch.Operation
	pointers   []byte
	ends       []int
}

// reserve makes room for a number of operations, bounded as everything is that a
// pod decides.
func (p *patch) reserve(operations int) {
	const pointer = len("/spec/initContainers/10/volumeMounts/-")
	operations = min(operations, 100)
	p.operations = make([]jsonpatch.Operation, 0, operations)
	p.ends = make([]int, 0, operations)
	p.pointers = make([]byte, 0, operations*pointer)
}

func (p *patch) add(value any) {
	p.operations = append(p.operations, jsonpatch.Operation{Operation: "add", Value: value})
	p.ends = append(p.ends, len(p.pointers))
}

// pointer appends reference tokens that need no escaping.
func (p *patch) pointer(tokens ...string) *patch {
	for _, token := range tokens {
		p.pointers = append(p.pointers, '/')
		p.pointers = append(p.pointers, token...)
	}
	return p
}

func (p *patch) container(c *container) *patch {
	p.pointer("spec", c.list)
	p.pointers = append(p.pointers, '/')
	p.pointers = strconv.AppendInt(p.pointers, int64(c.index), 10)
	return p
}

// list remembers whether a list exists, as it comes to exist by the first
// operation on it.
type list struct{ exists bool }

// appendTo adds one element to the list at the pointer: behind its last one,
// or as a new list of one where the list is absent or null.
func (p *patch) appendTo(l *list, one, listOfOne any) {
	if l.exists {
		p.pointer("-").add(one)
		return
	}
	l.exists = true
	p.add(listOfOne)
}

// insert puts containers before all others of the list spec.name, in their
// order. Operations that follow would find the others at other indices.
func (p *patch) insert(exists bool, name string, containers []*corev1.Container) {
	if len(containers) == 0 {
		return
	}
	if !exists {
		p.pointer("spec", name).add(containers)
		return
	}
	for i, c := range containers {
		p.pointer("spec", name, strconv.Itoa(i)).add(c)
	}
}

// annotation adds or replaces one of the pod's annotations.
func (p *patch) annotation(pod *Pod, key, value string) {
	p.pointer("metadata", "annotations")
	if pod.Annotations == nil {
		p.add(map[string]string{key: value})
		return
	}
	p.pointer(escapePointer(key)).add(value)
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// escapePointer escapes a reference token (RFC 6901 section 3).
func escapePointer(token string) string { return pointerEscapes.Replace(token) }

// finish returns the operations with their pointers.
func (p *patch) finish() []jsonpatch.Operation {
	pointers, start := string(p.pointers), 0
	for i, end := range p.ends {
		p.operations[i].Path = pointers[start:end]
		start = end
	}
	return p.operations
}
