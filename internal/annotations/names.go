package annotations

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// Names are what things that are added to a pod are called, and where they are, unless
// annotations say otherwise. Those of a token or login with a name have it behind:
// oidc-token-NAME. They differ by prefix, so that releases with prefixes of their own
// can serve one pod.
type Names struct {
	// TokenVolume and TokenDirectory are those of a token.
	TokenVolume, TokenDirectory string
	// LoginContainer, LoginVolume and LoginDirectory are those of a login and its result.
	LoginContainer, LoginVolume, LoginDirectory string
	// CAVolume and ClientVolume hold what a login container needs besides.
	CAVolume, ClientVolume string
}

var defaultNames = Names{
	TokenVolume: loginspec.TokenVolume, TokenDirectory: DefaultMountPath,
	LoginContainer: loginspec.Container, LoginVolume: loginspec.Volume, LoginDirectory: loginspec.DefaultMountPath,
	CAVolume: loginspec.CAVolume, ClientVolume: loginspec.ClientVolume,
}

// maxLabel is how much of a prefix is in names, in bytes.
const maxLabel = 20

// Name is the name of what a token or login has: the base itself for the default one,
// and else the base with its name behind, and what tells it from others of the kind.
// What is too long for a name of Kubernetes is cut, with a hash for the rest.
func Name(base, name, variant string) string {
	full := loginspec.Named(base, name) + variant
	if len(full) <= validation.DNS1123LabelMaxLength {
		return full
	}
	hash := sha256.Sum256([]byte(full))
	return strings.TrimRight(full[:validation.DNS1123LabelMaxLength-2*hashBytes-1], "-") + "-" + hex.EncodeToString(hash[:hashBytes])
}

// hashBytes is how much of a hash tells long names apart.
const hashBytes = 4

// Names are those of the prefix: for tokens.example.com the volume tokens-HASH-oidc-token
// at /var/run/secrets/tokens.example.com/tokens, with four digits of the prefix's hash.
func (p Prefix) Names() Names {
	if p == DefaultPrefix || p == "" { // without one only keys are judged
		return defaultNames
	}
	label, _, _ := strings.Cut(string(p), ".")
	hash := sha256.Sum256([]byte(p))
	label = strings.TrimRight(label[:min(len(label), maxLabel)], "-") + "-" + hex.EncodeToString(hash[:2]) + "-"
	directory := secretsDirectory + string(p) + "/"
	return Names{
		TokenVolume: label + loginspec.TokenVolume, TokenDirectory: directory + strings.TrimPrefix(DefaultMountPath, secretsDirectory),
		LoginContainer: label + loginspec.Container, LoginVolume: label + loginspec.Volume,
		LoginDirectory: directory + strings.TrimPrefix(loginspec.DefaultMountPath, secretsDirectory),
		CAVolume:       label + loginspec.CAVolume, ClientVolume: label + loginspec.ClientVolume,
	}
}

// secretsDirectory is where Kubernetes itself has tokens.
const secretsDirectory = "/var/run/secrets/" //nolint:gosec // a path, not a credential
