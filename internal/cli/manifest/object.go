package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Object is an object of the Kubernetes API in a document.
type Object struct {
	// Pointer is where it stands in the document (RFC 6901): empty for the document
	// itself, and /items/0 and so on in a list.
	Pointer string
	// GroupKind is its kind, and Resource that kind's resource, as far as its name tells.
	schema.GroupKind
	Resource        string
	Version         string
	Namespace, Name string
	// Raw is the object in JSON.
	Raw json.RawMessage
}

// String names the object as kubectl does, such as deployment.apps/web.
func (o *Object) String() string {
	kind := strings.ToLower(o.Kind)
	if o.Group != "" {
		kind += "." + o.Group
	}
	return kind + "/" + o.Name
}

// ToJSON returns a document in JSON, read as kubectl reads it.
func (d *Document) ToJSON() ([]byte, error) {
	if d.JSON {
		return d.object, nil
	}
	if at := hidden.FindIndex(d.Text); at != nil {
		return nil, fmt.Errorf("line %d: a document begins behind a line end of another kind: convert the line ends to those of Unix",
			d.Line+bytes.Count(d.Text[:at[0]], []byte("\n")))
	}
	if d.isEmpty() {
		return []byte("null"), nil
	}
	raw, err := yaml.YAMLToJSON(d.Text)
	if err != nil {
		// Behind as many lines as in the stream, so that the error counts them.
		_, err = yaml.YAMLToJSON(append(bytes.Repeat([]byte("\n"), d.Line-1), d.Text...))
		if bytes.Contains(d.Text, []byte("{{")) {
			err = fmt.Errorf("%w; {{ belongs to a template, which has to be rendered first (helm template)", err)
		}
		return nil, fmt.Errorf("could not read the document that begins in line %d: %w", d.Line, err)
	}
	return raw, nil
}

// hidden finds a document that a stream is not split at, as only \n and \r\n end its lines, but
// that the library takes for one (YAML 1.1, section 5.4): it would read what is before it, and
// nothing more.
var hidden = regexp.MustCompile(`[\r\x{85}\x{2028}\x{2029}](---|\.\.\.)([ \t\r\n\x{85}\x{2028}\x{2029}]|$)`)

// otherEnd is an end of a line to YAML 1.1 alone.
var otherEnd = regexp.MustCompile(`\r[^\n]|[\x{85}\x{2028}\x{2029}]`)

// isEmpty reports whether there is nothing in a document but comments and markers, of which the
// library does not take all.
func (d *Document) isEmpty() bool {
	if otherEnd.Match(d.Text) {
		return false
	}
	for line := range bytes.Lines(d.Text) {
		for _, marker := range []string{"---", "..."} {
			if isMarker(line, marker) {
				line = line[len(marker):]
				break
			}
		}
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// maxDepth bounds lists in lists.
const maxDepth = 4

// header is what is read of any object.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name         text `json:"name"`
		GenerateName text `json:"generateName"`
		Namespace    text `json:"namespace"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

// text is a string, or what YAML takes for something else, such as the name 0815, as it stands
// in JSON: the API server refuses it, but it has to be found.
type text string

// UnmarshalJSON takes any value of JSON.
func (t *text) UnmarshalJSON(raw []byte) error {
	var s string
	if kjson.UnmarshalCaseSensitivePreserveInts(raw, &s) != nil {
		s = string(raw)
	}
	*t = text(s)
	return nil
}

// Objects are the objects of a document in JSON: itself, or those of a list. What is no
// object of the API has none.
func Objects(raw []byte) []Object { return objects(nil, raw, "", header{}, 0) }

func objects(all []Object, raw json.RawMessage, at string, list header, depth int) []Object {
	var h header
	if kjson.UnmarshalCaseSensitivePreserveInts(raw, &h) != nil {
		return all
	}
	if h.Kind == "" { // as in typed lists, such as a PodList
		h.Kind, h.APIVersion = strings.TrimSuffix(list.Kind, "List"), list.APIVersion
	}
	if h.Kind == "" || h.APIVersion == "" {
		return all
	}
	if h.Items != nil && (strings.HasSuffix(h.Kind, "List") && depth < maxDepth) {
		for i, item := range h.Items {
			all = objects(all, item, at+"/items/"+strconv.Itoa(i), h, depth+1)
		}
		return all
	}
	group, err := schema.ParseGroupVersion(h.APIVersion)
	if err != nil {
		return all
	}
	kind := group.WithKind(h.Kind)
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	name := h.Metadata.Name
	if name == "" {
		name = h.Metadata.GenerateName
	}
	return append(all, Object{
		Pointer: at, GroupKind: kind.GroupKind(), Version: kind.Version, Resource: plural.Resource, Namespace: string(h.Metadata.Namespace),
		Name: string(name), Raw: raw,
	})
}
