package mutate

import (
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/jsonread"
)

// Labels are metadata.labels of a pod. Nearly no pod is asked for one, so they are read
// when the first is: the zero value has none. They are not for concurrent use.
type Labels struct {
	raw  string // in JSON
	list annotations.List
}

// Get returns the value of a label, and whether there is one. What is no text is none:
// API servers take no such pod, but templates of custom resources may have them.
func (l *Labels) Get(name string) (value string, exists bool) {
	if l.raw != "" {
		l.list, l.raw = readLabels(l.raw), ""
	}
	return l.list.Get(name)
}

// readLabels reads as many as annotations could be.
func readLabels(raw string) annotations.List {
	r := jsonread.NewString(raw)
	defer r.Close()
	var list annotations.List
	size := 0
	r.Object(func(name string) {
		text := r.Raw(r.Skip)
		if size += len(name) + len(text); size > maxAnnotations || !strings.HasPrefix(text, `"`) {
			return
		}
		value := jsonread.NewString(text)
		defer value.Close()
		list = append(list, annotations.Annotation{Name: name, Value: value.String()})
	})
	if r.Err() != nil {
		return nil
	}
	return list
}
