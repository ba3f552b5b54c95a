package annotations

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/contract"
)

// defaultKeys are the keys that make sense for every token or login of a
// cluster. Of the addresses, that of Vault is one: OAuth logins have no default,
// so that no token goes to a server that was meant for another protocol.
var defaultKeys = []string{
	Expiration, TokenFile, MountPath, FileMode, SkipContainers,
	LoginAddress, LoginMount, LoginNamespace, LoginClientEnv, LoginCAConfigMap, LoginMode, LoginMountPath, LoginFile, LoginFormat,
}

// ValidateProfile reports what is wrong with a profile of the configuration:
// with its keys, and with each value by the rules of a pod's own annotations.
func ValidateProfile(profile Preset, maxExpiration time.Duration, path *field.Path) field.ErrorList {
	errs := field.ErrorList{}
	if len(profile) == 0 {
		errs = append(errs, field.Required(path, "a profile without keys does nothing"))
	}
	tokens := newRequest()
	for _, full := range slices.Sorted(maps.Keys(profile)) {
		key, token, suffixed := strings.Cut(full, ".")
		at := path.Key(full)
		if !slices.Contains(presetKeys, key) {
			errs = append(errs, field.NotSupported(at, full, presetKeys))
			continue
		}
		if suffixed {
			if err := checkTokenName(token); err != nil {
				errs = append(errs, field.Invalid(at, token, err.Error()))
				continue
			}
		}
		tokens = tokens.with(token, setting{key: key, value: profile[full], at: at})
	}
	var built Spec
	for _, a := range tokens {
		// What is missing is for pods to complete.
		b := builder{settings: a.settings, anyOS: true, max: maxExpiration, incomplete: true}
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

// presetLogin checks the login keys of a profile or of the defaults. Those
// without a method are checked as those of Vault, or else of OAuth.
func (b *builder) presetLogin(name string, containers Scope, built *Spec) {
	if len(b.settings.among(loginKeys)) == 0 {
		return
	}
	if b.settings.has(LoginMethod) {
		built.Logins = append(built.Logins, b.login(name, containers))
		return
	}
	method := contract.MethodVault
	if len(b.settings.among(oauthLoginKeys)) > 0 {
		method = contract.MethodTokenExchange
	}
	first := b.settings.find(b.settings.among(loginKeys)[0])
	b.settings = append(slices.Clone(b.settings), setting{key: LoginMethod, value: method, at: first.path()})
	b.login(name, containers)
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
