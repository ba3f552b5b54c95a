package admission

import (
	"cmp"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

const (
	// maxLoggedName is the length of the longest legal name of an object, in bytes.
	maxLoggedName = 253
	// maxLoggedPlace is more than the longest path of a field in a pod has.
	maxLoggedPlace = 128
)

// name is that of the pod, or the beginning of the name that a pod of a controller
// gets after its admission (metadata.generateName), such as web-6f7d8c9b5-.
func (q *Request) name() string {
	if q.Name == "" && q.Pod != nil && q.Template == "" {
		return q.Pod.Name
	}
	return q.Name
}

// kind is that of the object, as the API server says it. Clients of another kind may
// not.
func (q *Request) kind() string { return cmp.Or(q.Kind, "Pod") }

// owner is the object that controls the pod, as kubectl names it: ReplicaSet/web-6f7d8c9b5.
func (q *Request) owner() string {
	if q.Pod == nil || q.Pod.Owner.Kind == "" {
		return ""
	}
	return loggedName(q.Pod.Owner.Kind + "/" + q.Pod.Owner.Name)
}

// loggedName is a name of a request as it is logged. Anybody can send a request,
// with a name of any length.
func loggedName(name string) string {
	if len(name) <= maxLoggedName {
		return name
	}
	return strings.ToValidUTF8(name[:maxLoggedName], "") + "…"
}

// loggedPlace is the path of a field as it is logged: with indices, but with no
// key of the author's, and of annotations only the keys that are ours, without
// their suffixes.
func loggedPlace(parser *annotations.Parser, path string) string {
	const ofAnnotations = "metadata.annotations["
	if rest, ok := strings.CutPrefix(path, ofAnnotations); ok {
		return ofAnnotations + loggedKey(parser, rest) + "]"
	}
	var b strings.Builder
	for path != "" && b.Len() < maxLoggedPlace {
		name, rest, indexed := strings.Cut(path, "[")
		b.WriteString(name[:min(len(name), maxLoggedPlace)])
		if !indexed {
			break
		}
		index, after, _ := strings.Cut(rest, "]")
		if len(index) > 9 || strings.Trim(index, "0123456789") != "" {
			// What follows the author's key may still be a part of it.
			b.WriteString("[*]")
			break
		}
		b.WriteString("[" + index + "]")
		path = after
	}
	return b.String()
}

// loggedKey is the key at the beginning of a text: known, or not named.
func loggedKey(parser *annotations.Parser, text string) string {
	rest, ours := strings.CutPrefix(text, string(parser.Prefix)+"/")
	end := strings.IndexAny(rest, ".]")
	if !ours || end < 0 || !parser.Known(rest[:end]) {
		return "*"
	}
	if rest[end] == '.' {
		return parser.Prefix.Key(rest[:end], "*")
	}
	return parser.Prefix.Key(rest[:end], "")
}
