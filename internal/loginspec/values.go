package loginspec

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Values are those of options. What is empty is not given. The methods read values
// that are valid; of others, and where there is none, they return zero.
type Values map[Name]string

// URL is an address, or nil.
func (v Values) URL(name Name) *url.URL {
	if v[name] == "" {
		return nil
	}
	u, err := url.Parse(v[name])
	if err != nil {
		return nil
	}
	return u
}

// Words are what spaces separate.
func (v Values) Words(name Name) []string { return strings.Fields(v[name]) }

// Duration is that of the option.
func (v Values) Duration(name Name) time.Duration {
	d, _ := time.ParseDuration(v[name])
	return d
}

// Bool is that of the option.
func (v Values) Bool(name Name) bool {
	yes, _ := strconv.ParseBool(v[name])
	return yes
}

// Parameter is a name and a value that a request has.
type Parameter struct {
	Name, Value string
	// given is false where there is no equals sign.
	given bool
}

// Parameters are those of the lines of an option.
func (v Values) Parameters(name Name) []Parameter {
	var all []Parameter
	for line := range strings.Lines(v[name]) {
		if line = strings.TrimSpace(line); line != "" {
			name, value, given := strings.Cut(line, "=")
			all = append(all, Parameter{name, value, given})
		}
	}
	return all
}

var errTwice = errors.New("a field is there twice, or is a value and has fields of its own")

// Object is the JSON object that has the parameters as its fields. A name that
// begins with a slash is a JSON pointer (RFC 6901), whose objects are made.
func Object(parameters []Parameter) (map[string]any, error) {
	object := map[string]any{}
	for _, p := range parameters {
		path := []string{p.Name}
		if strings.HasPrefix(p.Name, "/") {
			path = Pointer(p.Name)
		}
		if !place(object, path, p.Value) {
			return nil, fmt.Errorf("%w: %s", errTwice, p.Name)
		}
	}
	return object, nil
}

// place puts a value at a path. It is false where there is something already.
func place(object map[string]any, path []string, value string) bool {
	last := len(path) - 1
	for _, name := range path[:last] {
		if _, ok := object[name]; !ok {
			object[name] = map[string]any{}
		}
		inner, ok := object[name].(map[string]any)
		if !ok {
			return false
		}
		object = inner
	}
	if _, ok := object[path[last]]; ok {
		return false
	}
	object[path[last]] = value
	return true
}

// Pointer takes a JSON pointer apart (RFC 6901 section 4).
func Pointer(pointer string) []string {
	path := strings.Split(pointer, "/")[1:]
	for i := range path {
		path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(path[i])
	}
	return path
}
