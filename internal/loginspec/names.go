// Package loginspec describes logins, once, for the webhook that asks for them and
// the program that does them: the methods, their options, what a value may be, and
// the names that the webhook writes into a pod and the program finds there.
//
// It is of the standard library alone, as the program is in every pod.
package loginspec

// What the volume of a token, the login container and its volumes are called. A
// token or login with a name has it behind; see [Named].
const (
	// TokenVolume holds the token.
	TokenVolume = "oidc-token"
	// Container logs in, and keeps the login fresh.
	Container = "oidc-login"
	// Volume holds the result of the login, in memory.
	Volume = "oidc-login"
	// CAVolume holds the certificate authorities of the relying party.
	CAVolume = "oidc-login-ca"
	// ClientVolume holds what the login container proves with who it is.
	ClientVolume = "oidc-login-client"
)

// Named returns the name of the container or volume of one login: the base
// itself for the default login, whose name is empty.
func Named(base, login string) string {
	if login == "" {
		return base
	}
	return base + "-" + login
}

// What the login image holds.
const (
	// Program is the name of the login program. It is on the PATH of its image,
	// whose entrypoint it is: builders of images put programs where they like.
	Program = "oidc-login"
	// User is the user, and the group, that the image runs as where a pod does
	// not say.
	User = 65532
)

// The startup probe of a sidecar runs the program with these arguments: it waits
// for the login, and says why that takes long.
const (
	ReadyCommand = "ready"
	ReadyWait    = "--wait=4s"
	// ReadyTimeoutSeconds is more than that, as a machine may be busy.
	ReadyTimeoutSeconds = 8
)

const (
	// CADir is where the login container finds its certificate authorities where
	// they come from an object of the API, in the file CAFileName.
	CADir = "/var/run/oidc-login/ca"
	// ClientDir is where it finds the files of Secrets; see [Option.Secret].
	ClientDir = "/var/run/oidc-login/client"
	// ClientKeyFile is the private key there, beside the certificate, and the name
	// that it has in a Secret of type kubernetes.io/tls.
	ClientKeyFile = "tls.key"
	// CAFileName is the name of the file with certificate authorities, in PEM: in
	// CADir, and beside the result of a login, where the login container puts a
	// copy for the workload.
	CAFileName = "ca.crt"
)
