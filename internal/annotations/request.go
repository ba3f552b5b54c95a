package annotations

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/provider"
)

var annotationsPath = field.NewPath("metadata", "annotations")

// setting is one value and where it came from.
type setting struct {
	key, value string
	// annotation is the full name of the annotation that supplied the value,
	// itself or by the profile that it names.
	annotation string
	// at is where the value stands in the configuration; nil for a pod's, and for a
	// profile's, which the annotation names.
	at *field.Path
	// binding is the name of the one that gave the value, or empty.
	binding string
	// own is true where the pod wrote it, rather than a profile or the defaults.
	own bool
	// parameter is what the key sets where it is one of a provider.
	parameter provider.Key
}

// path is where the value stands, for errors. What it quotes is shortened.
func (s *setting) path() *field.Path {
	if s.at != nil {
		return s.at
	}
	return annotationsPath.Key(Shorten(s.annotation))
}

// origin names what the value came from, in a sentence.
func (s *setting) origin() string {
	if s.binding != "" {
		return "binding " + s.binding
	}
	return "annotation " + s.annotation
}

// settings are the values of one token and its login, each key once.
type settings []setting

// find returns the setting of a key, or nil.
func (s settings) find(key string) *setting {
	for i := range s {
		if s[i].key == key {
			return &s[i]
		}
	}
	return nil
}

// provided returns a setting by which a provider is asked for, or nil.
func (s settings) provided() *setting {
	for i := range s {
		if s[i].key == Provider || s[i].parameter.Provider != nil {
			return &s[i]
		}
	}
	return nil
}

func (s settings) has(key string) bool { return s.find(key) != nil }

// own reports whether the pod itself wrote the annotation of a key.
func (s settings) own(key string) bool {
	found := s.find(key)
	return found != nil && found.own
}

// or returns the setting of a key, or else that of another one, which may be
// missing, too.
func (s settings) or(key, other string) *setting {
	if own := s.find(key); own != nil {
		return own
	}
	if asked := s.find(other); asked != nil {
		return asked
	}
	if asked := s.provided(); asked != nil && other == Audience {
		return asked
	}
	return &setting{}
}

// among returns those of the keys that are set, in their order.
func (s settings) among(keys []string) []string {
	var set []string
	for _, key := range keys {
		if s.has(key) {
			set = append(set, key)
		}
	}
	return set
}

// asked is what is asked for under one name: a token, and perhaps a login.
type asked struct {
	name     string
	settings settings
}

// request is all that a pod asks for, in the order of names. The default name,
// which is empty, is always there.
type request []asked

func newRequest() request { return make(request, 1, 2) }

// of returns the settings of a name.
func (r request) of(name string) settings {
	if i, found := r.index(name); found {
		return r[i].settings
	}
	return nil
}

func (r request) index(name string) (int, bool) {
	return slices.BinarySearchFunc(r, name, func(a asked, name string) int { return strings.Compare(a.name, name) })
}

// with returns the request with one more setting of a name.
func (r request) with(name string, s setting) request {
	i, found := r.index(name)
	if !found {
		r = slices.Insert(r, i, asked{name: name})
	}
	if r[i].settings == nil {
		r[i].settings = make(settings, 0, 6)
	}
	r[i].settings = append(r[i].settings, s)
	return r
}

// names counts the names that something is said of.
func (r request) names() int {
	if len(r[0].settings) == 0 {
		return len(r) - 1
	}
	return len(r)
}
