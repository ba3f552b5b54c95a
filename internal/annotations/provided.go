package annotations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// name is the token that a setting without a suffix is about: that of its provider, or
// the default one.
func (s *setting) name() string {
	switch {
	case s.parameter.Provider != nil:
		return s.parameter.Provider.Name
	case s.key == Provider && checkTokenName(s.value) == nil:
		return s.value
	default:
		return ""
	}
}

// errOwnSuffix is for a parameter whose suffix says what it says without one: with both
// there would be two values.
var errOwnSuffix = errors.New("the token of a provider has the provider's name without a suffix: leave it out")

// checkSuffix checks the suffix of a key.
func (s *setting) checkSuffix(token string) error {
	if p := s.parameter.Provider; p != nil && p.Name == token {
		return errOwnSuffix
	}
	return checkTokenName(token)
}

// provide completes a token by its provider, if it has one, and sets its lifetime.
func (b *builder) provide(t *Token) {
	p := b.provider(t.Name)
	if p == nil {
		t.ExpirationSeconds = b.expiration(DefaultExpiration)
		return
	}
	values, missing := p.Values(b.given(p), b.pod)
	asked := b.settings.provided()
	if t.Source == nil {
		t.Source, t.Audience = asked.path(), values.Audience()
		if len(missing) == 0 {
			b.checkAudience(*asked, t.Audience)
		}
	}
	b.providedExpiration(t, p)
	for _, key := range missing {
		if !b.incomplete {
			name := b.prefix.Key(key, otherThan(t.Name, p.Name))
			parameter, _ := b.providers.Key(key)
			b.fail(finding.MissingAnnotation, field.Required(annotationsPath.Key(name),
				fmt.Sprintf("provider %s needs it: %s", p.Name, parameter.Parameter().Description)))
		}
	}
	if len(missing) > 0 {
		return
	}
	values = values.With(t.Path(b.os), strings.TrimRight(strings.TrimSuffix(t.Path(b.os), t.File), `/\`), t.Audience)
	t.Variables, t.Conflicts = values.Env(), p.Conflicts
	if s := b.settings.find(Env); s != nil && slices.ContainsFunc(t.Variables, func(v provider.Variable) bool { return v.Name == t.Env }) {
		b.fail(finding.VariableConflict, field.Invalid(s.path(), Shorten(s.value), fmt.Sprintf("provider %s sets this variable itself",
			p.Name)))
	}
	for i := range b.settings {
		s := &b.settings[i]
		if s.parameter.Provider == nil {
			continue
		}
		if url := s.parameter.Address(s.value); url != "" {
			t.Addresses = append(t.Addresses, ProvidedAddress{s.key, url})
		}
	}
	name, content, err := values.File()
	switch {
	case err != nil:
		b.invalid(*asked, "%s", err)
	case name == t.File:
		s := b.settings.or(TokenFile, Audience)
		b.fail(finding.FileConflict, field.Invalid(s.path(), Shorten(s.value), fmt.Sprintf(
			"provider %s has a file of this name: give the token another %s", p.Name, TokenFile)))
	case name != "":
		t.Provided = &ProvidedFile{Name: name, Content: content, Annotation: b.prefix.Key(ProviderFile, t.Name)}
	}
}

// otherThan is a token's name where it is not the usual one of its provider.
func otherThan(name, usual string) string {
	if name == usual {
		return ""
	}
	return name
}

// provider is the one that the settings ask for, or nil.
func (b *builder) provider(name string) *provider.Provider {
	var asked *provider.Provider
	for i := range b.settings {
		s := &b.settings[i]
		p := s.parameter.Provider
		if s.key == Provider {
			if p = b.providers.Get(s.value); p == nil {
				b.fail(finding.UnknownProvider, field.NotSupported(s.path(), Shorten(s.value), b.providers.Names()))
				b.incomplete = true
				continue
			}
		}
		switch {
		case p == nil:
		case asked == nil:
			asked = p
		case asked != p:
			b.fail(finding.SeveralProviders, field.Invalid(s.path(), Shorten(s.value), fmt.Sprintf(
				"token %q is of provider %s: give each provider a token of its own, by a suffix", displayName(name), asked.Name)))
		}
	}
	return asked
}

// given are the values of a provider's parameters. What is wrong with one is said, and
// it is taken as it is, so that nothing else is missing.
func (b *builder) given(p *provider.Provider) map[string]string {
	given := make(map[string]string, len(b.settings))
	for i := range b.settings {
		s := &b.settings[i]
		if s.parameter.Provider != p {
			continue
		}
		if err := s.parameter.Check(s.value); err != nil {
			b.invalid(*s, "%s", err)
		}
		given[s.parameter.Parameter().Name] = s.value
	}
	return given
}

// providedExpiration sets the lifetime. What the configuration's defaults say gives way
// to the provider's limits; what is said of this token itself gets a warning beyond them.
func (b *builder) providedExpiration(t *Token, p *provider.Provider) {
	least, most := p.MinExpiration, b.max
	if p.MaxExpiration > 0 {
		most = min(most, p.MaxExpiration)
	}
	t.ExpirationSeconds = b.expiration(DefaultExpiration)
	seconds := time.Duration(t.ExpirationSeconds) * time.Second
	said := b.settings.has(Expiration)
	switch {
	case seconds == 0: // which is an error already
	case !said:
		t.ExpirationSeconds = int64(min(max(seconds, least), most) / time.Second)
	case seconds < least && least <= b.max:
		b.warnExpiration(t, fmt.Sprintf("%s: %d s are too short for provider %s, whose clients keep a token for long: at least %d s",
			b.prefix.Key(Expiration, t.Name), t.ExpirationSeconds, p.Name, int64(least/time.Second)))
	case seconds > most:
		b.warnExpiration(t, fmt.Sprintf("%s: %d s are too long for provider %s, which by default takes no token of more than %d s",
			b.prefix.Key(Expiration, t.Name), t.ExpirationSeconds, p.Name, int64(most/time.Second)))
	}
}

// warnExpiration warns of a lifetime.
func (b *builder) warnExpiration(t *Token, text string) {
	b.warnings = append(b.warnings, finding.Warning{
		Rule: finding.ProviderExpiration, Field: annotationsPath.Key(b.prefix.Key(Expiration, t.Name)).String(), Text: text,
	})
}
