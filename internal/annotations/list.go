package annotations

import (
	"maps"
	"slices"
	"strings"
)

// Annotation is one of a pod's annotations.
type Annotation struct{ Name, Value string }

// List holds all of a pod's annotations, each name once, in any order. It is a
// list, as most of them are never looked for; nil where the pod has none.
type List []Annotation

// FromMap returns the annotations of a map, in the order of their names.
func FromMap(annotations map[string]string) List {
	if annotations == nil {
		return nil
	}
	list := make(List, 0, len(annotations))
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		list = append(list, Annotation{name, annotations[name]})
	}
	return list
}

// Get returns the value of an annotation, and whether there is one.
func (l List) Get(name string) (string, bool) {
	for i := range l {
		if l[i].Name == name {
			return l[i].Value, true
		}
	}
	return "", false
}

// Size is the size of names and values, in bytes.
func (l List) Size() int {
	size := 0
	for i := range l {
		size += len(l[i].Name) + len(l[i].Value)
	}
	return size
}

// owned returns the annotations that are ours, in the order of their names, and
// their size in bytes.
func (l List) owned(prefix Prefix) (ours List, size int) {
	count := 0
	for i := range l {
		if prefix.Owns(l[i].Name) {
			count++
			size += len(l[i].Name) + len(l[i].Value)
		}
	}
	if count == 0 || size > maxSize {
		return nil, size
	}
	ours = make(List, 0, count)
	for i := range l {
		if prefix.Owns(l[i].Name) {
			ours = append(ours, l[i])
		}
	}
	slices.SortFunc(ours, func(a, b Annotation) int { return strings.Compare(a.Name, b.Name) })
	return ours, size
}
