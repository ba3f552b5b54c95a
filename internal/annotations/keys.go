// Package annotations defines the pod annotations that users write, and turns
// them into a [Spec]: the projected ServiceAccount tokens and the logins that a
// pod asks for. It is pure: values in, values out, no Kubernetes client, no clock.
package annotations

import (
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// DefaultPrefix is the prefix of every annotation, unless --annotation-prefix
// says otherwise.
const DefaultPrefix = "oidc-injector.io"

// The keys behind the prefix. Each but Status also takes a suffix ".NAME",
// which makes it speak of the further token, and login, NAME instead of the
// default one.
const (
	// Audience is the token's `aud` claim. Its presence asks for the token.
	Audience = "audience"
	// Expiration is the token's lifetime: seconds or a Go duration.
	Expiration = "expiration"
	// TokenFile is the name of the token's file in the mount directory.
	TokenFile = "token-file"
	// MountPath is the absolute directory that holds the token's file.
	MountPath = "mount-path"
	// FileMode is the octal mode of the token's file.
	FileMode = "file-mode"
	// Env names an environment variable that gets the token's full path.
	Env = "env"
	// Containers lists the only containers that get the token.
	Containers = "containers"
	// SkipContainers lists the containers that do not get the token.
	SkipContainers = "skip-containers"
	// Profile names a preset of the configuration that supplies further keys.
	Profile = "profile"
	// Provider asks for one that needs no parameters, by its name. The parameters of
	// providers are keys, too, which the configuration adds to.
	Provider = "provider"
	// Inject opts out when it is false, whatever else is there.
	Inject = "inject"
	// Status is written by the webhook and never read back.
	Status = "status"
	// ProviderFile is the file of a provider, for the token in the suffix. The webhook writes it.
	ProviderFile = "file"
)

// The keys of a login, by which a container exchanges a token at a relying
// party, as far as they are of every method. They take the same suffixes.
const (
	LoginMethod      = loginspec.MethodKey
	LoginToken       = loginspec.TokenKey
	LoginMode        = loginspec.ModeKey
	LoginMountPath   = loginspec.MountPathKey
	LoginFile        = loginspec.FileKey
	LoginFormat      = loginspec.FormatKey
	LoginEnv         = loginspec.EnvKey
	LoginCAConfigMap = loginspec.CAConfigMapKey
	LoginCASecret    = loginspec.CASecretKey
	LoginCABundle    = loginspec.CABundleKey
	// LoginClientEnv is of the methods whose relying parties have clients of their
	// own.
	LoginClientEnv = loginspec.ClientEnvKey
)

// tokenKeys are the keys that describe a token, in the order in which errors
// and documentation list them.
var tokenKeys = []string{
	Audience, Expiration, TokenFile, MountPath, FileMode, Env, Containers, SkipContainers,
}

// loginKeys are the keys that describe a login.
var loginKeys = loginspec.Keys()

// presetKeys are the keys that a profile may have.
var presetKeys = slices.Concat(tokenKeys, loginKeys)

// inputKeys are all keys that users may write.
var inputKeys = slices.Concat([]string{Profile, Provider, Inject}, presetKeys)

// InputKeys are all keys that users may write.
func InputKeys() []string { return slices.Clone(inputKeys) }

// PresetKeys are the keys that a profile may have.
func PresetKeys() []string { return slices.Clone(presetKeys) }

// DefaultKeys are those that the configuration's defaults may have.
func DefaultKeys() []string { return slices.Clone(defaultKeys) }

// Known reports whether a key, without prefix and suffix, is one that users may
// write.
func Known(key string) bool { return slices.Contains(inputKeys, key) }

// Prefix is the part of an annotation's name before the slash.
type Prefix string

// Key returns the annotation's full name: prefix/key, and .NAME behind it
// where the token has a name.
func (p Prefix) Key(key, token string) string {
	if token == "" {
		return string(p) + "/" + key
	}
	return string(p) + "/" + key + "." + token
}

// split takes an annotation's full name apart. It is false where the
// annotation is not ours.
func (p Prefix) split(annotation string) (key, token string, suffixed, ours bool) {
	rest, ours := strings.CutPrefix(annotation, string(p))
	if !ours {
		return "", "", false, false
	}
	rest, ours = strings.CutPrefix(rest, "/")
	if !ours {
		return "", "", false, false
	}
	key, token, suffixed = strings.Cut(rest, ".")
	return key, token, suffixed, true
}

// Asks reports whether an annotation of this full name is one by which people ask for
// something: ours, but not the one that is written.
func (p Prefix) Asks(annotation string) bool {
	if !p.Owns(annotation) {
		return false
	}
	key := annotation[len(p)+1:]
	return key != Status && !strings.HasPrefix(key, ProviderFile+".")
}

// AsksAny is Asks for any annotation of an object.
func (p Prefix) AsksAny(all map[string]string) bool {
	for name := range all {
		if p.Asks(name) {
			return true
		}
	}
	return false
}

// Owns reports whether an annotation of this full name is ours.
func (p Prefix) Owns(annotation string) bool {
	return len(annotation) > len(p) && annotation[len(p)] == '/' && annotation[:len(p)] == string(p)
}
