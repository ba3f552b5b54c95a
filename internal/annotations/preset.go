package annotations

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// defaultKeys are the keys that make sense for every token or login of a cluster.
var defaultKeys = slices.Concat([]string{Expiration, TokenFile, MountPath, FileMode, SkipContainers}, loginspec.ConfigurableKeys())

// ValidateProfile reports what is wrong with a profile of the configuration:
// with its keys, and with each value by the rules of a pod's own annotations.
func ValidateProfile(profile Preset, providers *provider.Set, maxExpiration time.Duration, path *field.Path) field.ErrorList {
	errs := field.ErrorList{}
	if len(profile) == 0 {
		errs = append(errs, field.Required(path, "a profile without keys does nothing"))
	}
	tokens, wrong := collectProfile(profile, providers, path)
	errs = append(errs, wrong...)
	errs = append(errs, tokens.besideProvider(profile, path)...)
	var built Spec
	for _, a := range tokens {
		// What is missing is for pods to complete.
		b := builder{settings: a.settings, anyOS: true, max: maxExpiration, incomplete: true, providers: providers, pod: anyPod("a")}
		token := b.build(a.name)
		if token.Source != nil {
			built.Tokens = append(built.Tokens, token)
		}
		b.presetLogin(a.name, token.Scope, &built)
		errs = append(errs, b.errs...)
	}
	for i := range built.Logins {
		// Which may fail, as the pod may bring the token.
		_ = built.Logins[i].findToken(built.Tokens, "")
	}
	return append(errs, conflicts(built)...)
}

// collectProfile sorts the keys of a profile by the tokens that they are about.
func collectProfile(profile Preset, providers *provider.Set, path *field.Path) (request, field.ErrorList) {
	known := func(key string) bool { return key == Provider || slices.Contains(presetKeys, key) }
	all, errs := profile.settings(providers, path, known, presetKeys)
	tokens := newRequest()
	for _, s := range all {
		tokens = tokens.with(s.name, s.setting)
	}
	return tokens, errs
}

// named is a setting of the token of a name.
type named struct {
	setting

	name string
}

// settings takes the keys of a preset apart, each with its place below the path. Keys that
// are neither known nor parameters of providers are errors, which list others.
func (p Preset) settings(providers *provider.Set, path *field.Path, known func(string) bool, listed []string) ([]named, field.ErrorList) {
	var errs field.ErrorList
	all := make([]named, 0, len(p))
	for _, full := range slices.Sorted(maps.Keys(p)) {
		key, token, suffixed := strings.Cut(full, ".")
		s := setting{key: key, value: p[full], at: path.Key(full)}
		var isParameter bool
		if s.parameter, isParameter = providers.Key(key); !isParameter && !known(key) {
			errs = append(errs, field.NotSupported(s.at, full, listed))
			continue
		}
		if !suffixed {
			token = s.name()
		} else if err := s.checkSuffix(token); err != nil {
			errs = append(errs, field.Invalid(s.at, token, err.Error()))
			continue
		}
		all = append(all, named{s, token})
	}
	return all, errs
}

// besideProvider reports a key of the token without a name in a profile that asks for that
// of a provider alone.
func (r request) besideProvider(profile Preset, path *field.Path) field.ErrorList {
	s := r.of("")
	keys := s.among(tokenKeys)
	if len(keys) == 0 || s.has(Audience) || s.has(LoginMethod) {
		return nil
	}
	for i := range r {
		if r[i].settings.provided() != nil {
			return field.ErrorList{field.Invalid(path.Key(keys[0]), profile[keys[0]], fmt.Sprintf(
				"is about the token without a name, which this profile does not ask for: for the token of the provider write %s.%s",
				keys[0], r[i].name))}
		}
	}
	return nil
}

// presetLogin checks the login keys of a profile or of the defaults. Without a
// method, they have to be right for some method.
func (b *builder) presetLogin(name string, containers Scope, built *Spec) {
	switch {
	case b.settings.has(LoginMethod):
		built.Logins = append(built.Logins, b.login(name, containers))
	case len(b.settings.among(loginKeys)) > 0:
		l := b.anyLogin(name, containers)
		b.loginEnv(&l)
		b.errs = append(b.errs, b.wrongForAll()...)
	}
}

// wrongForAll reports what is wrong with the keys of methods for the method that
// they fit best.
func (b *builder) wrongForAll() field.ErrorList {
	var fewest field.ErrorList
	for i := range loginspec.Methods {
		trial := *b
		trial.errs = nil
		trial.methodOptions(&Login{Method: loginspec.Methods[i].Name})
		if i == 0 || len(trial.errs) < len(fewest) {
			fewest = trial.errs
		}
	}
	return fewest
}

// ValidateDefaults reports what is wrong with the configuration's defaults.
func ValidateDefaults(defaults Preset, maxExpiration time.Duration, path *field.Path) field.ErrorList {
	errs := field.ErrorList{}
	s := settings{}
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		if !slices.Contains(defaultKeys, key) {
			errs = append(errs, field.NotSupported(path.Key(key), key, defaultKeys))
			continue
		}
		s = append(s, setting{key: key, value: defaults[key], at: path.Key(key)})
	}
	b := builder{settings: s, anyOS: true, max: maxExpiration, incomplete: true}
	token := b.build("")
	b.presetLogin("", token.Scope, &Spec{})
	return append(errs, b.errs...)
}
