package annotations

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// Bound is what a binding of the configuration gives to the pods that it selects: keys as
// if they were annotations of the pod, which are weaker than the pod's own.
type Bound struct {
	// Name is the binding's.
	Name     string
	settings []boundSetting
}

// BindingAudit is the beginning of the key that a binding has in the audit log, where its
// name follows. Such a key is the name of an annotation (apiserver, pkg/admission
// checkKeyFormat), which leaves MaxBindingName characters.
const (
	BindingAudit   = "binding."
	MaxBindingName = maxKey - len(BindingAudit)
)

// LogsIn reports whether the binding asks for a login.
func (b *Bound) LogsIn() bool {
	return slices.ContainsFunc(b.settings, func(s boundSetting) bool { return s.key == LoginMethod })
}

// boundSetting is one of a binding's keys, or of those of a profile that it names.
type boundSetting struct {
	named

	// profiled is true where a profile has the setting, which the binding names for the
	// token profileOf.
	profiled  bool
	profileOf string
}

// boundKeys are the keys that a binding may have.
var boundKeys = slices.Concat([]string{Profile, Provider}, presetKeys)

// Bind returns what a binding gives by its keys, and reports what is wrong with them. The
// path is that of the keys in the configuration.
func (p *Parser) Bind(name string, keys Preset, path *field.Path) (*Bound, field.ErrorList) {
	b := &Bound{Name: name}
	own, errs := keys.settings(p.Providers, path, func(key string) bool { return slices.Contains(boundKeys, key) }, boundKeys)
	for i := range own {
		own[i].binding = name
		if own[i].key != Profile {
			b.settings = append(b.settings, boundSetting{named: own[i]})
			continue
		}
		more, err := p.profileOfBinding(&own[i], own)
		if err != nil {
			errs = append(errs, err)
		}
		b.settings = append(b.settings, more...)
	}
	if len(errs) > 0 {
		return b, errs
	}
	return b, p.checkBound(path, b)
}

// profileOfBinding are the keys of the profile that a binding names, but for those that
// the binding has itself.
func (p *Parser) profileOfBinding(naming *named, own []named) ([]boundSetting, *field.Error) {
	profile, known := p.Profiles[naming.value]
	switch {
	case !known:
		return nil, p.unknownProfile(naming.setting)
	case naming.name != "" && profile.severalTokens():
		return nil, severalTokens(naming.setting, Profile)
	}
	var more []boundSetting
	for _, full := range slices.Sorted(maps.Keys(profile)) {
		name, s := p.profileSetting(full, profile[full], naming.name)
		s.at, s.binding = naming.at, naming.binding
		decided := func(o named) bool {
			return o.name == name && (o.key == s.key || slices.Contains(rivals[s.key], o.key))
		}
		if !slices.ContainsFunc(own, decided) {
			more = append(more, boundSetting{named: named{s, name}, profiled: true, profileOf: naming.name})
		}
	}
	return more, nil
}

func severalTokens(naming setting, key string) *field.Error {
	return field.Invalid(naming.path(), naming.value, "this profile describes several tokens, so it goes without a suffix: "+key)
}

// checkBound reports what pods would be told that are given all of these alone.
func (p *Parser) checkBound(path *field.Path, all ...*Bound) field.ErrorList {
	spec, _, errs := p.Parse(Input{Bound: all, Pod: anyPod("a")})
	if len(errs) > 0 {
		// What is wrong on Linux may be right on Windows: paths are.
		if windows, _, wrong := p.Parse(Input{Bound: all, OS: Windows, Pod: anyPod("a")}); len(wrong) == 0 {
			spec, errs = windows, nil
		}
	}
	for _, err := range errs {
		// What is missing is missing in the binding.
		if key, missing := strings.CutPrefix(err.Field, annotationsPath.String()+"["+p.Prefix.Key("", "")); missing && path != nil {
			err.Field = path.String() + "[" + key
		}
	}
	if len(errs) == 0 && len(spec.Tokens) == 0 {
		errs = append(errs, field.Required(path, fmt.Sprintf("no token: say %s, or name a %s or a %s", Audience, Profile, Provider)))
	}
	return errs
}

// anyPod stands for the pods of a configuration: what depends on them has a value.
func anyPod(name string) provider.Pod {
	return provider.Pod{Namespace: name, Name: name, ServiceAccountName: name}
}

// Given is what a binding gives to pods that say nothing themselves. Tokens whose audience
// depends on the pod are left out. The binding is one without errors.
func (p *Parser) Given(b *Bound) (Spec, OS) {
	parse := func(name string, os OS) (Spec, field.ErrorList) {
		spec, _, errs := p.Parse(Input{Bound: []*Bound{b}, OS: os, Pod: anyPod(name)})
		return spec, errs
	}
	os := OS("")
	spec, errs := parse("a", os)
	if len(errs) > 0 {
		os = Windows
		spec, _ = parse("a", os)
	}
	other, _ := parse("b", os)
	spec.Tokens = slices.DeleteFunc(spec.Tokens, func(t Token) bool {
		return !slices.ContainsFunc(other.Tokens, func(o Token) bool { return o.Name == t.Name && o.Audience == t.Audience })
	})
	return spec, os
}

// Contradictions reports why a pod cannot be given both, each of which is right by itself.
func (p *Parser) Contradictions(a, b *Bound) field.ErrorList {
	var errs field.ErrorList
	for i := range b.settings {
		for j := range a.settings {
			if s, other := &b.settings[i], &a.settings[j]; s.contradicts(other) {
				errs = append(errs, field.Invalid(s.path(), Shorten(s.value), fmt.Sprintf("binding %s says %s: %s of token %q", a.Name,
					quote(Shorten(other.value)), other.key, displayName(s.name))))
			}
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return p.checkBound(nil, a, b)
}

// contradicts reports whether two settings of one token exclude each other.
func (s *boundSetting) contradicts(other *boundSetting) bool {
	switch {
	case s.name != other.name:
		return false
	case s.key == other.key:
		return s.value != other.value
	default:
		return slices.Contains(rivals[s.key], other.key)
	}
}

// applyBindings adds what bindings give, but for what the pod says itself, or by a profile
// that it names.
func (w *parsing) applyBindings(all []*Bound) (given []string) {
	for _, b := range all {
		added := make([]*boundSetting, 0, len(b.settings)) // set only then, as with profiles
		for i := range b.settings {
			if s := &b.settings[i]; !w.overruled(s) && !w.decided(s.name, s.key) {
				added = append(added, s)
			}
		}
		for _, s := range added {
			w.set(s.name, s.setting)
		}
		if len(added) > 0 {
			given = append(given, b.Name)
		}
	}
	return given
}

// overruled reports whether a profile of the pod's own stands in the place of the
// binding's, or whether the pod has opted out of the token.
func (w *parsing) overruled(s *boundSetting) bool {
	return s.profiled && w.request.of(s.profileOf).own(Profile) || w.request.of(s.name).optsOut()
}
