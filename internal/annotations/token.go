package annotations

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

// builder turns the settings of one name into a Token and a Login.
type builder struct {
	prefix   Prefix
	settings settings
	defaults Preset
	os       OS
	// anyOS is true where pods of any operating system may take the values over.
	anyOS bool
	max   time.Duration
	// incomplete is true where what is missing may be supplied later, or was to be
	// supplied by something that is missing itself.
	incomplete bool
	providers  *provider.Set
	pod        provider.Pod
	errs       field.ErrorList
	warnings   finding.Warnings
}

func (b *builder) build(name string) Token {
	t := Token{
		Name:      name,
		Audience:  b.audience(),
		File:      b.tokenFile(),
		MountPath: b.mountPath(name),
		FileMode:  b.fileMode(),
		Env:       b.env(),
		Scope:     b.scope(),
		settings:  b.settings,
	}
	t.literal = ComparablePath(t.MountPath, b.os)
	t.Directory = canonical(t.literal, b.os)
	t.file = CanonicalPath(t.MountPath+"/"+t.File, b.os)
	if s := b.settings.find(Audience); s != nil {
		t.Source = s.path()
	}
	b.provide(&t)
	return t
}

// defaultsPath stands for a default, which was checked when it was configured.
var defaultsPath = field.NewPath("defaults")

// get returns the setting of a key, from the defaults where the token does not
// have it.
func (b *builder) get(key string) (setting, bool) {
	if s := b.settings.find(key); s != nil {
		return *s, true
	}
	value, ok := b.defaults[key]
	return setting{key: key, value: value, at: defaultsPath}, ok
}

func (b *builder) invalid(s setting, format string, args ...any) {
	b.fail(finding.InvalidValue, field.Invalid(s.path(), Shorten(s.value), fmt.Sprintf(format, args...)))
}

func (b *builder) fail(rule finding.Rule, err *field.Error) {
	b.errs = append(b.errs, finding.Error(rule, err))
}

// exclusive reports two settings that exclude each other.
func (b *builder) exclusive(s setting, one, other string) {
	b.fail(finding.ExclusiveAnnotations, field.Invalid(s.path(), Shorten(s.value), fmt.Sprintf("say either %s or %s, not both", one,
		other)))
}

func (b *builder) audience() string {
	s := b.settings.find(Audience)
	if s == nil {
		return ""
	}
	b.checkAudience(*s, s.value)
	return s.value
}

// checkAudience reports what is wrong with an audience, which comes from a setting.
func (b *builder) checkAudience(s setting, audience string) {
	switch {
	case strings.TrimSpace(audience) == "":
		b.invalid(s, "the audience must not be empty")
	case strings.ContainsFunc(audience, unicode.IsControl):
		b.invalid(s, "the audience must not hold control characters")
	case strings.TrimSpace(audience) != audience:
		b.invalid(s, "the audience must not begin or end with white space")
	}
}

// expiration is the lifetime in seconds; usual is that where nobody says another one.
func (b *builder) expiration(usual time.Duration) int64 {
	s, ok := b.get(Expiration)
	if !ok {
		return int64(min(usual, b.max) / time.Second)
	}
	seconds, ok := parseSeconds(s.value)
	// Compared as seconds: an hour count that overflows a Duration is caught by
	// the parsers, and a second count is never turned into a Duration.
	if !ok || seconds < int64(MinExpiration/time.Second) || seconds > int64(b.max/time.Second) {
		b.invalid(s, "must be whole seconds (7200) or a Go duration (2h), from %d to %d seconds",
			int64(MinExpiration/time.Second), int64(b.max/time.Second))
		return 0
	}
	return seconds
}

// parseSeconds reads "7200" or "2h". It is false for anything else, an
// overflow and a fraction of a second among it.
func parseSeconds(value string) (int64, bool) {
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return int64(seconds), true
	}
	d, err := time.ParseDuration(value)
	if err != nil || d%time.Second != 0 {
		return 0, false
	}
	return int64(d / time.Second), true
}

func (b *builder) tokenFile() string {
	s, ok := b.get(TokenFile)
	if !ok {
		return DefaultTokenFile
	}
	if !isFileName(s.value) {
		b.invalid(s, "%s", fileNameAllowed)
	}
	return s.value
}

const fileNameAllowed = `must be a file name of at most 255 bytes, without '/', '\', ':', '$', ".." or control characters`

func isFileName(value string) bool {
	switch {
	case value == "", value == ".", len(value) > 255,
		// The kubelet keeps names that begin with ".." for its own atomic
		// writer; anywhere else they are merely suspicious.
		strings.Contains(value, ".."),
		strings.ContainsAny(value, `/\:$`), // Kubernetes would expand $(…) in a variable
		strings.ContainsFunc(value, unicode.IsControl):
		return false
	}
	return true
}

// mountPath defaults to a directory for each token: a token has a volume of its
// own, and a directory shows one volume.
func (b *builder) mountPath(name string) string {
	s, ok := b.get(MountPath)
	if !ok {
		return loginspec.Named(b.prefix.Names().TokenDirectory, name)
	}
	err := checkMountPath(s.value, b.os, DefaultMountPath)
	if err != nil && b.anyOS && checkMountPath(s.value, Windows, DefaultMountPath) == nil {
		err = nil
	}
	if err != nil {
		b.invalid(s, "%s", err)
	}
	if b.settings.has(MountPath) {
		return s.value
	}
	return loginspec.Named(s.value, name)
}

func (b *builder) fileMode() *int32 {
	s, ok := b.get(FileMode)
	if !ok {
		return nil
	}
	digits := strings.TrimPrefix(s.value, "0o")
	mode, err := strconv.ParseUint(digits, 8, 31)
	if err != nil || mode > 0o777 || mode&0o444 == 0 {
		b.invalid(s, "must be an octal mode from 0004 to 0777 that lets somebody read, such as 0440")
		return nil
	}
	bits := int32(mode)
	return &bits
}

func (b *builder) env() string {
	s := b.settings.find(Env)
	if s == nil {
		return ""
	}
	return b.variable(*s)
}

// variable checks the name of a variable.
func (b *builder) variable(s setting) string {
	if problems := validation.IsEnvVarName(s.value); len(problems) > 0 {
		b.invalid(s, "must be the name of an environment variable: letters, digits and '_', not starting with a digit, "+
			"such as VAULT_TOKEN_FILE")
	}
	return s.value
}

func (b *builder) scope() Scope {
	only, skip := b.settings.find(Containers), b.settings.find(SkipContainers)
	if only != nil && skip != nil {
		b.exclusive(*skip, Containers, SkipContainers)
	}
	switch {
	case only != nil:
		return Scope{Only: b.names(*only), Written: only.own}
	case skip != nil:
		return Scope{Skip: b.names(*skip), Written: skip.own}
	}
	if skip, ok := b.get(SkipContainers); ok {
		return Scope{Skip: b.names(skip)}
	}
	return Scope{}
}

// names reads a comma-separated list of container names.
func (b *builder) names(s setting) []string {
	count := strings.Count(s.value, ",") + 1
	names := make([]string, 0, min(count, maxNames))
	for name := range strings.SplitSeq(s.value, ",") {
		name = strings.TrimSpace(name)
		if count > maxNames || len(validation.IsDNS1123Label(name)) > 0 {
			b.invalid(s, "must be container names, separated by commas, such as app,worker; at most %d", maxNames)
			return names
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Shorten keeps an error readable where the value is huge.
func Shorten(value string) string { return truncate.String(value, 128) }
