// Package provider describes what the SDKs of relying parties want to find in a pod
// beside its token: variables, and a file. A provider is data: those that are built in
// are files in the folder builtin, and the configuration adds others of the same form.
package provider

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Spec is a provider as people write it.
type Spec struct {
	// Description says in a line which identity a pod gets, and where.
	Description string `json:"description"`
	// Audience is that of the token, unless an annotation says another one. It is a
	// template over the parameters.
	Audience string `json:"audience"`
	// Parameters are what a pod says by annotations NAME-PARAMETER.
	Parameters []Parameter `json:"parameters,omitempty"`
	// Env are the variables that the SDK reads. One whose template has a parameter
	// without a value is left out.
	Env []Variable `json:"env,omitempty"`
	// File is one that the SDK reads, beside the token.
	File *File `json:"file,omitempty"`
	// Conflicts are variables of a container by which the SDK would take another
	// identity, or none.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// MinExpiration is the shortest lifetime of a token that is safe, as a Go duration,
	// and MaxExpiration the longest that the relying party takes; by default there is no
	// such limit.
	MinExpiration string `json:"minExpiration,omitempty"`
	MaxExpiration string `json:"maxExpiration,omitempty"`
	// Sources say where all this was read.
	Sources []string `json:"sources,omitempty"`
}

// Parameter is what a pod says of itself.
type Parameter struct {
	// Name is the part of the annotation behind the provider's name.
	Name        string `json:"name"`
	Description string `json:"description"`
	// Required parameters have to be there where others are.
	Required bool `json:"required,omitempty"`
	// Pattern is the regular expression (RE2) that the whole value matches.
	Pattern string `json:"pattern,omitempty"`
	// Default is a template over what is known of the pod, which is cut to MaxLength.
	Default   string `json:"default,omitempty"`
	MaxLength int    `json:"maxLength,omitempty"`
	// Address is "url" or "host" where tokens are sent to what the value names: the
	// policy's addresses hold for it.
	Address string `json:"address,omitempty"`
}

// Variable is an environment variable, with the template of its value.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// File is a file in the directory of the token. It has exactly one of JSON and Text.
type File struct {
	Name string `json:"name"`
	// JSON is an object whose texts are templates. A member whose template has a
	// parameter without a value is left out.
	JSON map[string]any `json:"json,omitempty"`
	// Text is a template; lines that have a parameter without a value are left out.
	Text string `json:"text,omitempty"`
}

// Conflict is a variable that should not be there, too.
type Conflict struct {
	Env string `json:"env"`
	// Reason says what the SDK does then.
	Reason string `json:"reason"`
}

// Provider is a checked provider, which is immutable.
type Provider struct {
	Name string
	Spec
	MinExpiration, MaxExpiration time.Duration // 0 where there is no such limit

	audience   template
	parameters []parameter
	env        []template
	file       content
}

type parameter struct {
	Parameter
	key string // of the annotation, without prefix and suffix
	// pattern is compiled when the first pod says the parameter: those of all providers
	// take 2 MB.
	pattern func() *regexp.Regexp
	byDef   template
}

const (
	// maxName is the longest name of a provider, and maxParameter that of a parameter:
	// with a token's name behind, both are the name of an annotation.
	maxName      = 20
	maxParameter = 30
	// maxCount bounds the lists of a provider.
	maxCount = 50
	// maxValue is the longest value of a parameter, in bytes.
	maxValue = 6 << 10
	// minExpiration is the shortest lifetime of a token (core/v1
	// ServiceAccountTokenProjection.expirationSeconds).
	minExpiration = 10 * time.Minute

	// The values of [Parameter.Address].
	addressURL  = "url"
	addressHost = "host"

	// maxFile is the largest file, in bytes.
	maxFile = 12 << 10
)

type compiler struct {
	p    *Provider
	path *field.Path
	// known are the names that a template may have at this point.
	known map[string]bool
	errs  field.ErrorList
}

// compile checks a provider.
func compile(name string, s Spec, path *field.Path) (*Provider, field.ErrorList) {
	c := compiler{p: &Provider{Name: name, Spec: s}, path: path, known: map[string]bool{}}
	if len(name) > maxName || len(validation.IsDNS1123Label(name)) > 0 {
		c.invalid(path, name, fmt.Sprintf("the name must be lower-case letters, digits and '-', at most %d characters", maxName))
	}
	for _, list := range []struct {
		name  string
		count int
	}{{"parameters", len(s.Parameters)}, {"env", len(s.Env)}, {"conflicts", len(s.Conflicts)}} {
		if list.count > maxCount {
			c.errs = append(c.errs, field.TooMany(path.Child(list.name), list.count, maxCount))
			return c.p, c.errs
		}
	}
	if name == "default" {
		c.invalid(path, name, "this is what the token without a name is called")
	}
	if s.Description == "" {
		c.errs = append(c.errs, field.Required(path.Child("description"), "say which identity a pod gets"))
	}
	c.allow(podValues...)
	c.parameters()
	delete(c.known, podName) // a workload's pods have no name yet
	c.audience()
	c.allow(podName)
	c.allow(tokenValues...)
	c.env()
	c.fileContent()
	c.p.MinExpiration = c.duration(path.Child("minExpiration"), s.MinExpiration)
	c.p.MaxExpiration = c.duration(path.Child("maxExpiration"), s.MaxExpiration)
	if c.p.MaxExpiration > 0 && c.p.MinExpiration > c.p.MaxExpiration {
		c.invalid(path.Child("minExpiration"), s.MinExpiration, "must not be longer than maxExpiration")
	}
	return c.p, c.errs
}

// audience compiles that of the token. An empty one would be the API server's own, so
// each parameter in it has a value.
func (c *compiler) audience() {
	at := c.path.Child("audience")
	c.p.audience = c.template(at, c.p.Audience)
	if strings.TrimSpace(c.p.Audience) == "" {
		c.errs = append(c.errs, field.Required(at, "say which audience the relying party expects"))
	}
	for i := range c.p.parameters {
		q := &c.p.parameters[i]
		if !q.Required && q.Default == "" && strings.Contains(c.p.Audience, "${"+q.Name+"}") {
			c.invalid(at, c.p.Audience, "parameter "+q.Name+" must be required or have a default to be in it")
		}
	}
}

// allow lets the templates that follow have further names.
func (c *compiler) allow(names ...string) {
	for _, name := range names {
		c.known[name] = true
	}
}

func (c *compiler) invalid(at *field.Path, value any, detail string) {
	c.errs = append(c.errs, field.Invalid(at, value, detail))
}

func (c *compiler) parameters() {
	for i, p := range c.p.Parameters {
		at := c.path.Child("parameters").Index(i)
		compiled := parameter{Parameter: p, key: c.p.Name + "-" + p.Name}
		if len(p.Name) > maxParameter || len(validation.IsDNS1123Label(p.Name)) > 0 {
			c.invalid(at.Child("name"), p.Name, fmt.Sprintf("must be lower-case letters, digits and '-', at most %d characters",
				maxParameter))
		}
		if p.Description == "" {
			c.errs = append(c.errs, field.Required(at.Child("description"), "say what it is: errors quote it"))
		}
		if p.Address != "" && p.Address != addressURL && p.Address != addressHost {
			c.errs = append(c.errs, field.NotSupported(at.Child("address"), p.Address, []string{addressURL, addressHost}))
		}
		if slices.ContainsFunc(c.p.parameters, func(other parameter) bool { return other.Name == p.Name }) {
			c.errs = append(c.errs, field.Duplicate(at.Child("name"), p.Name))
		}
		pattern := "^(?:" + cmp.Or(p.Pattern, ".*") + ")$"
		if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
			c.invalid(at.Child("pattern"), p.Pattern, "must be a regular expression of RE2")
		}
		compiled.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
		compiled.byDef = c.template(at.Child("default"), p.Default)
		c.p.parameters = append(c.p.parameters, compiled)
	}
	for i := range c.p.parameters {
		c.allow(c.p.parameters[i].Name)
	}
}

func (c *compiler) env() {
	for i, v := range c.p.Env {
		at := c.path.Child("env").Index(i)
		if len(validation.IsEnvVarName(v.Name)) > 0 {
			c.invalid(at.Child("name"), v.Name, "must be the name of an environment variable")
		}
		if slices.ContainsFunc(c.p.Env[:i], func(other Variable) bool { return other.Name == v.Name }) {
			c.errs = append(c.errs, field.Duplicate(at.Child("name"), v.Name))
		}
		if len(v.Value) > maxFile {
			c.errs = append(c.errs, field.TooLong(at.Child("value"), "", maxFile))
		}
		c.p.env = append(c.p.env, c.template(at.Child("value"), v.Value))
	}
	for i, conflict := range c.p.Conflicts {
		if slices.ContainsFunc(c.p.Env, func(v Variable) bool { return v.Name == conflict.Env }) {
			c.invalid(c.path.Child("conflicts").Index(i).Child("env"), conflict.Env, "the provider sets this variable itself")
		}
		if conflict.Env == "" || conflict.Reason == "" {
			c.errs = append(c.errs, field.Required(c.path.Child("conflicts").Index(i), "say which variable, and what the SDK does then"))
		}
	}
}

func (c *compiler) fileContent() {
	f, at := c.p.File, c.path.Child("file")
	if f == nil {
		return
	}
	if f.Name == "" || len(f.Name) > 100 || strings.ContainsAny(f.Name, `/\:$`) || strings.Contains(f.Name, "..") ||
		len(validation.IsConfigMapKey(f.Name)) > 0 {
		c.invalid(at.Child("name"), f.Name, "must be the name of a file, such as credentials.json")
	}
	switch {
	case (f.JSON == nil) == (f.Text == ""):
		c.errs = append(c.errs, field.Required(at, "say either json or text"))
	case f.JSON != nil:
		c.p.file = c.object(at.Child("json"), f.JSON)
	default:
		c.p.file = c.text(at.Child("text"), f.Text)
	}
	if c.p.file == nil || len(c.errs) > 0 {
		return
	}
	if size := len(c.p.file.expand(c.shortest())); size > maxFile {
		c.errs = append(c.errs, field.TooLong(at, "", maxFile))
	}
}

// shortest are values of all that every pod has, as short as can be.
func (c *compiler) shortest() map[string]string {
	values := map[string]string{}
	for _, name := range slices.Concat(podValues, tokenValues) {
		values[name] = "x"
	}
	for i := range c.p.parameters {
		if q := &c.p.parameters[i]; q.Required {
			values[q.Name] = "x"
		}
	}
	return values
}

func (c *compiler) duration(at *field.Path, text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minExpiration || d%time.Second != 0 {
		c.invalid(at, text, "must be a Go duration of whole seconds, from 10m, such as 1h")
	}
	return d
}

// Set is the providers of a cluster, by their names and by the keys of annotations.
type Set struct {
	byName map[string]*Provider
	byKey  map[string]Key
	names  []string
	keys   []string
}

// Key is an annotation's key, without prefix and suffix, that asks for a provider.
type Key struct {
	Provider *Provider
	// Parameter is its index.
	parameter int
}

// Address is the URL that tokens are sent to by a value of the key's parameter; empty
// where they are not.
func (k Key) Address(value string) string {
	switch k.Parameter().Address {
	case addressURL:
		return value
	case addressHost:
		return "https://" + value
	default:
		return ""
	}
}

// Parameter is what the key sets.
func (k Key) Parameter() Parameter { return k.Provider.parameters[k.parameter].Parameter }

// Get returns the provider of a name, or nil.
func (s *Set) Get(name string) *Provider {
	if s == nil {
		return nil
	}
	return s.byName[name]
}

// Key returns what a key sets.
func (s *Set) Key(key string) (Key, bool) {
	if s == nil {
		return Key{}, false
	}
	k, found := s.byKey[key]
	return k, found
}

// Names are those of all providers, in their order.
func (s *Set) Names() []string {
	if s == nil {
		return nil
	}
	return s.names
}

// maxCandidates is how many keys are worth comparing with one that is mistyped.
const maxCandidates = 200

// Candidates are the keys that one which does not exist may stand for: those of all
// providers, or, where they are many, of those whose name it begins with.
func (s *Set) Candidates(key string) []string {
	if s == nil || len(s.keys) <= maxCandidates {
		return s.Keys()
	}
	var near []string
	for at := strings.IndexByte(key, '-'); at > 0 && at <= maxName; {
		if p := s.byName[key[:at]]; p != nil {
			for i := range p.parameters {
				near = append(near, p.parameters[i].key)
			}
		}
		next := strings.IndexByte(key[at+1:], '-')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return near
}

// Keys are those of all parameters, in their order.
func (s *Set) Keys() []string {
	if s == nil {
		return nil
	}
	return s.keys
}

// maxProviders is how many providers a configuration may add.
const maxProviders = 500

// NewSet returns the built-in providers, with those that a configuration adds, or has in
// their place. Taken reports whether a key means something else already.
func NewSet(added map[string]Spec, taken func(key string) bool, path *field.Path) (*Set, field.ErrorList) {
	switch {
	case len(added) == 0:
		return BuiltIn(), nil
	case len(added) > maxProviders:
		return BuiltIn(), field.ErrorList{field.TooMany(path, len(added), maxProviders)}
	}
	return newSet(BuiltIn().byName, added, taken, path)
}

func newSet(base map[string]*Provider, added map[string]Spec, taken func(key string) bool, path *field.Path) (*Set, field.ErrorList) {
	s := &Set{byName: map[string]*Provider{}, byKey: map[string]Key{}}
	maps.Copy(s.byName, base)
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(added)) {
		p, more := compile(name, added[name], path.Key(name))
		errs = append(errs, more...)
		s.byName[name] = p
	}
	s.names = slices.Sorted(maps.Keys(s.byName))
	for _, name := range s.names {
		p := s.byName[name]
		for i := range p.parameters {
			key := p.parameters[i].key
			if other, found := s.byKey[key]; found || taken(key) {
				what := "an annotation"
				if found {
					what = "a parameter of provider " + other.Provider.Name
				}
				errs = append(errs, field.Invalid(path.Key(name).Child("parameters").Index(i).Child("name"), p.parameters[i].Name,
					key+" is "+what+" already"))
				continue
			}
			s.byKey[key] = Key{p, i}
		}
	}
	s.keys = slices.Sorted(maps.Keys(s.byKey))
	return s, errs
}
