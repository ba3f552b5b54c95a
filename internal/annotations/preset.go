package annotations

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// defaultKeys are the keys that make sense for every token of a cluster.
var defaultKeys = []string{Expiration, TokenFile, MountPath, FileMode, SkipContainers}

// ValidateProfile reports what is wrong with a profile of the configuration:
// with its keys, and with each value by the rules of a pod's own annotations.
func ValidateProfile(profile Preset, maxExpiration time.Duration, path *field.Path) field.ErrorList {
	errs := field.ErrorList{}
	if len(profile) == 0 {
		errs = append(errs, field.Required(path, "a profile without keys does nothing"))
	}
	tokens := request{}
	for _, full := range slices.Sorted(maps.Keys(profile)) {
		key, token, suffixed := strings.Cut(full, ".")
		at := path.Key(full)
		if !slices.Contains(tokenKeys, key) {
			errs = append(errs, field.NotSupported(at, full, tokenKeys))
			continue
		}
		if suffixed {
			if problem := tokenNameProblem(token); problem != "" {
				errs = append(errs, field.Invalid(at, token, problem))
				continue
			}
		}
		tokens.set(token, key, setting{value: profile[full], path: at})
	}
	built := make([]Token, 0, len(tokens))
	for _, name := range slices.Sorted(maps.Keys(tokens)) {
		b := builder{settings: tokens[name], anyOS: true, max: maxExpiration}
		token := b.build(name)
		errs = append(errs, b.errs...)
		if token.Source != nil { // without an audience it is for pods to complete
			built = append(built, token)
		}
	}
	return append(errs, conflicts(built, "")...)
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
		s[key] = setting{value: defaults[key], path: path.Key(key)}
	}
	b := builder{settings: s, anyOS: true, max: maxExpiration}
	b.build("")
	return append(errs, b.errs...)
}
