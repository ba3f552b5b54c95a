package mutate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// The budget of a patch. What etcd stores by default is at most 1.5 MiB
// (etcd, --max-request-bytes), and a patch that is longer adds more than that. An
// operation costs the API server some 20 µs (docs/design/measurements.md).
const (
	maxOperations = 10_000
	maxPatchBytes = 3 << 19
)

// drawing is a plan with everything that operations hold: what remains is to count
// them, and to write them.
type drawing struct {
	pod    *Pod
	grants []grant
	mounts []element // by view
	// volumes and logins are to be added, each in JSON.
	volumes []element
	logins  []json.RawMessage
	// files are annotations with the files of providers, and status is the one that says
	// what was done; those are left out that stand there already.
	files     []note
	filesSize int // in bytes, with names
	status    note
	// alone is an object of these in JSON, for a pod without annotations.
	alone json.RawMessage
}

// note is an annotation to be added.
type note struct {
	key   string
	value json.RawMessage
	// pointer is its reference token (RFC 6901 section 3).
	pointer string
}

func newNote(key, value string) note {
	return note{
		key: key, value: appendText(make([]byte, 0, 2*len(value)), value),
		pointer: strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1"),
	}
}

// render writes the operations of a plan. Those of containers come before the new
// login containers, which move the others' indices. The error says that the
// operations are over the budget; then none is written.
func render(pod *Pod, p plan, volumes []placement, r Result, o Options) ([]jsonpatch.Operation, *field.Error) {
	d := draw(pod, p, volumes, r, o)
	var count output
	d.write(&count)
	switch {
	case count.operations > maxOperations || count.bytes > maxPatchBytes:
		return nil, overBudget(count, o.Prefix)
	case count.operations == 0:
		return nil, nil
	}
	written := output{patch: make([]jsonpatch.Operation, 0, count.operations)}
	written.text.Grow(count.pointers)
	d.write(&written)
	return written.patch, nil
}

func overBudget(c output, prefix annotations.Prefix) *field.Error {
	return &field.Error{
		Type: field.ErrorTypeTooMany, Field: field.NewPath("metadata", "annotations").String(), BadValue: c.operations,
		Detail: fmt.Sprintf("%s ask for %d changes with %d bytes, and a pod can take %d with %d bytes: ask for fewer tokens, "+
			"or for fewer containers with %s",
			prefix.Key("*", ""), c.operations, c.bytes, maxOperations, maxPatchBytes, prefix.Key(annotations.Containers, "")),
	}
}

// draw encodes what the operations of a plan add, each value once.
func draw(pod *Pod, p plan, volumes []placement, r Result, o Options) drawing {
	d := drawing{pod: pod, grants: p.grants, mounts: make([]element, len(p.views))}
	for i := range p.views {
		v := &p.views[i]
		if volumes[i].name == "" {
			continue
		}
		if volumes[i].newToken {
			d.volumes = append(d.volumes, volumeElement(volumes[i].name, v.token, volumes[i].newMode, volumes[i].user))
		}
		for _, added := range volumes[i].added {
			d.volumes = append(d.volumes, newElement(added))
		}
		// The mount of a token is not marked readOnly: the kubelet mounts every
		// projected volume read-only, and the plain form is what people write by hand.
		d.mounts[i] = mountElement(volumes[i].name, v.path, v.login != nil)
	}
	if len(p.logins) > 0 {
		o.Login.Resources = loginResources(pod, o.Login.Resources)
	}
	for i, l := range p.logins {
		if l.added {
			d.logins = append(d.logins, encode(loginContainer(pod, l, volumes[l.exchanged.index].name, i == 0, o.Login)))
		}
	}
	if !p.debug {
		d.drawFiles(p)
		if len(r.Containers)+len(r.Warnings) > 0 {
			d.drawStatus(r, o)
		}
	}
	if pod.Annotations == nil {
		d.alone = d.together()
	}
	return d
}

// drawFiles encodes the files of providers for tokens that somebody gets.
func (d *drawing) drawFiles(p plan) {
	for i, granted := range p.granted {
		f := p.views[i].provided()
		if !granted || f == nil {
			continue
		}
		// What stands there is of another pod, which this one was copied from, or nobody's.
		if written, there := d.pod.Annotations.Get(f.Annotation); !there || written != f.Content {
			d.files = append(d.files, newNote(f.Annotation, f.Content))
			d.filesSize += len(f.Annotation) + len(f.Content)
		}
	}
}

// together is an object of all annotations that are added; nil where there are none.
func (d *drawing) together() json.RawMessage {
	object := map[string]json.RawMessage{}
	for _, n := range append(slices.Clip(d.files), d.status) {
		if n.value != nil {
			object[n.key] = n.value
		}
	}
	if len(object) == 0 {
		return nil
	}
	return encode(object)
}

// drawStatus encodes the status annotation.
func (d *drawing) drawStatus(r Result, o Options) {
	key := o.Prefix.Key(annotations.Status, "")
	s := Status{Version: o.Version, Tokens: r.Tokens, Logins: r.Logins, Bindings: o.Bindings, Containers: r.Containers}
	value := s.text()
	written, _ := d.pod.Annotations.Get(key)
	// Some warnings are about what is added, and so come but once.
	if rest, same := strings.CutPrefix(written, value[:len(value)-1]); same && strings.HasPrefix(rest, statusWarningsStart) {
		return
	}
	if s.Warnings = statusWarnings(r.Warnings); len(s.Warnings) > 0 {
		// With longer annotations the API server would refuse the pod.
		if with := s.text(); d.pod.Annotations.Size()+d.filesSize+len(key)+len(with) <= maxAnnotations {
			value = with
		}
	}
	if written == value {
		return
	}
	d.status = newNote(key, value)
}

// pointer is a JSON pointer (RFC 6901) in the parts that operations have: the
// first ones, a container's list and index, a name, and the last one, whose
// characters are escaped.
type pointer struct {
	parent    string
	container *container
	name      string
	last      string
}

// write writes the operations, in their order.
func (d *drawing) write(to *output) {
	volumes := list{exists: d.pod.hasVolumes, pointer: pointer{parent: "/spec", name: "volumes"}}
	for i := range d.volumes {
		volumes.append(to, &d.volumes[i])
	}
	for i := range d.grants {
		d.writeGrant(to, &d.grants[i])
	}
	d.writeLogins(to)
	at := pointer{parent: "/metadata", name: "annotations"}
	if d.alone != nil {
		to.add(at, &d.alone)
		return
	}
	for i := range d.files {
		at.last = d.files[i].pointer
		to.add(at, &d.files[i].value)
	}
	if d.status.value != nil {
		at.last = d.status.pointer
		to.add(at, &d.status.value)
	}
}

// writeGrant adds what a container lacks. That of a new login container is part of it.
func (d *drawing) writeGrant(to *output, g *grant) {
	c := g.container
	if g.login != nil && g.login.container == nil {
		return
	}
	mounts := list{exists: c.hasMounts, pointer: pointer{parent: "/spec", container: c, name: "volumeMounts"}}
	for _, s := range g.shown {
		if s.mount == nil {
			mounts.append(to, &d.mounts[s.view.index])
		}
	}
	env := list{exists: c.hasEnv, pointer: pointer{parent: "/spec", container: c, name: "env"}}
	for _, v := range g.env {
		env.append(to, &v.encoded)
	}
}

// writeLogins puts the new login containers before all others, so that later init
// containers find the results.
func (d *drawing) writeLogins(to *output) {
	at := pointer{parent: "/spec", name: initContainers}
	switch {
	case len(d.logins) == 0:
	case d.pod.hasInitContainers:
		for i := range d.logins {
			at.last = strconv.Itoa(i)
			to.add(at, &d.logins[i])
		}
	default:
		logins := encode(d.logins)
		to.add(at, &logins)
	}
}

// list remembers whether a list exists, as it comes to exist by the first
// operation on it.
type list struct {
	exists  bool
	pointer pointer
}

// append adds an element behind the last one, or as a new list of one where the
// list is absent or null.
func (l *list) append(to *output, e *element) {
	if !l.exists {
		l.exists = true
		to.add(l.pointer, &e.list)
		return
	}
	at := l.pointer
	at.last = "-"
	to.add(at, &e.one)
}

// output counts operations, and the bytes of their patch and of their pointers. It
// keeps them where room was made for as many.
type output struct {
	operations, bytes, pointers int

	patch []jsonpatch.Operation
	// text has all pointers, so that their number does not show in the number of
	// allocations.
	text strings.Builder
}

func (w *output) add(p pointer, value *json.RawMessage) {
	if w.patch != nil {
		w.patch = append(w.patch, jsonpatch.Operation{Operation: "add", Path: w.write(p), Value: value})
		return
	}
	const around = len(`{"op":"add","path":"","value":},`)
	length := p.length()
	w.operations++
	w.pointers += length
	w.bytes += around + length + len(*value)
}

// write appends a pointer to the text, and returns it.
func (w *output) write(p pointer) string {
	start := w.text.Len()
	w.text.WriteString(p.parent)
	if p.container != nil {
		w.text.WriteByte('/')
		w.text.WriteString(p.container.list)
		w.text.WriteByte('/')
		w.text.WriteString(strconv.Itoa(p.container.index))
	}
	w.text.WriteByte('/')
	w.text.WriteString(p.name)
	if p.last != "" {
		w.text.WriteByte('/')
		w.text.WriteString(p.last)
	}
	return w.text.String()[start:]
}

// length is the length of the pointer, or a little more.
func (p pointer) length() int {
	n := len(p.parent) + 1 + len(p.name)
	if p.container != nil {
		n += 1 + len(p.container.list) + len("/1000")
	}
	if p.last != "" {
		n += 1 + len(p.last)
	}
	return n
}
