package annotations

import (
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// Spec is what a pod's annotations ask for.
type Spec struct {
	// OptedOut is true where `inject: "false"` was said; the lists are empty then.
	OptedOut bool
	// Bindings are the names of the bindings that gave the pod something.
	Bindings []string
	// Tokens are the projected tokens, the default one first, then by name.
	// There are at most MaxTokens.
	Tokens []Token
	// Logins are the exchanges of these tokens, in the same order.
	Logins []Login
}

// shorten lets tokens that are accepted once be replaced often, where nobody says how
// long they last: as the kubelet replaces one when a fifth of its life is left (Kubernetes
// documentation, "Configure Service Accounts for Pods"), a result of a known lifetime
// has a successor before it ends.
func (s *Spec) shorten() {
	for i := range s.Logins {
		l := &s.Logins[i]
		at := slices.IndexFunc(s.Tokens, func(t Token) bool { return t.Name == l.Token })
		if !l.Once() || at < 0 || s.Tokens[at].settings.has(Expiration) {
			continue
		}
		t := &s.Tokens[at]
		lifetime := max(l.Options.Duration(loginspec.Lifetime), MinExpiration)
		t.ExpirationSeconds = min(t.ExpirationSeconds, int64(lifetime/time.Second))
	}
}

// Token is one projected ServiceAccount token.
type Token struct {
	// Name is the annotations' suffix; empty for the default token.
	Name string
	// Audience is the token's `aud` claim (RFC 7519 section 4.1.3).
	Audience string
	// ExpirationSeconds is the lifetime that the kubelet asks the API server
	// for, in seconds.
	ExpirationSeconds int64
	// File is the name of the token's file, without a directory.
	File string
	// MountPath is the absolute directory in the containers, as it was written,
	// and Directory the same in the form of [CanonicalPath].
	MountPath, Directory string
	// FileMode is the file's mode where an annotation sets it, or nil.
	FileMode *int32
	// Env is the variable that holds the file's full path, or empty.
	Env string
	// Variables are those that the provider's SDK reads, and Provided is a file beside the
	// token; nil where there is none. Conflicts are variables that no container should
	// have of its own.
	Variables []provider.Variable
	// Addresses are those that the SDK sends the token to by parameters.
	Addresses []ProvidedAddress
	Provided  *ProvidedFile
	Conflicts []provider.Conflict
	// Scope says which containers get the token.
	Scope Scope
	// Source is the annotation that asked for the token: its audience, or the
	// profile that supplied the audience. Errors point at it.
	Source *field.Path

	// literal is the directory, and file the whole path, in forms that compare equal
	// on the pod's operating system.
	literal, file string
	settings      settings
}

// ProvidedAddress is the URL of a relying party that a parameter of a provider names.
type ProvidedAddress struct{ Key, URL string }

// ProvidedFile is a file of a provider.
type ProvidedFile struct {
	Name, Content string
	// Annotation is the one that the webhook writes it into, from where the kubelet has
	// it (core/v1 DownwardAPIVolumeFile).
	Annotation string
}

// Origin names the annotation that a value of the token came from: the one of that
// key, the one of the profile that supplied it, or, for a default, the one that asked
// for the token; or else the binding that gave it.
func (t *Token) Origin(key string) string { return t.settings.or(key, Audience).origin() }

// KeyPath is where that annotation stands.
func (t *Token) KeyPath(key string) *field.Path { return t.settings.or(key, Audience).path() }

// Own reports whether the pod itself wrote the annotation of a key, rather than a
// profile or the configuration's defaults.
func (t *Token) Own(key string) bool { return t.settings.own(key) }

// DisplayName names the token in messages: NAME, or "default".
func (t *Token) DisplayName() string { return displayName(t.Name) }

func displayName(name string) string {
	if name == "" {
		return defaultTokenName
	}
	return name
}

// Path returns the token file's full path in a container of the given
// operating system. Windows gets its own form, because a program whose current
// drive is not C: would not find /var/run/….
func (t *Token) Path(os OS) string {
	if os != Windows {
		return path.Join(t.MountPath, t.File)
	}
	dir := strings.ReplaceAll(t.MountPath, "/", `\`)
	if strings.HasPrefix(dir, `\`) {
		dir = "C:" + dir
	}
	return strings.TrimSuffix(dir, `\`) + `\` + t.File
}

// OS is a pod's operating system, as in spec.os.name. The empty value means
// that the pod does not say, which is Linux to us.
type OS string

// Windows pods have paths with drives and no POSIX file modes.
const Windows OS = "windows"

// Scope is the set of containers that a token is meant for, by name. The zero
// value is all of them.
type Scope struct {
	// Only lists the only containers; nil means no such limit.
	Only []string
	// Skip lists the containers left out. At most one of Only and Skip is set.
	Skip []string
	// Written is true where the pod's own annotations name the containers,
	// so that a name which the pod lacks deserves a warning.
	Written bool
}

// Includes reports whether a container of this name is in the scope.
func (s Scope) Includes(container string) bool {
	if s.Only != nil {
		return slices.Contains(s.Only, container)
	}
	return !slices.Contains(s.Skip, container)
}

// Overlaps reports whether some container name can be in both scopes.
func (s Scope) Overlaps(other Scope) bool {
	switch {
	case s.Only != nil:
		return slices.ContainsFunc(s.Only, other.Includes)
	case other.Only != nil:
		return slices.ContainsFunc(other.Only, s.Includes)
	default:
		return true // two scopes of the form "all but a few" always meet
	}
}

// Names returns the container names that the scope mentions.
func (s Scope) Names() []string {
	if s.Only != nil {
		return s.Only
	}
	return s.Skip
}
