// Package contract holds the names that the webhook writes into a pod and the
// login container reads there. Both programs take them from here, so that
// neither can change alone.
package contract

import "strings"

// What the volume of a token, the login container and its volumes are called. A
// token or login with a name has it behind; see [Named].
const (
	// TokenVolume holds the token.
	TokenVolume = "oidc-token"
	// LoginContainer logs in, and keeps the login fresh.
	LoginContainer = "oidc-login"
	// LoginVolume holds the result of the login, in memory.
	LoginVolume = "oidc-login"
	// CAVolume holds the certificate authorities of the relying party.
	CAVolume = "oidc-login-ca"
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
	// they come from a ConfigMap or a Secret, in the file CAFileName.
	CADir = "/var/run/oidc-login/ca"
	// CAFileName is the name of the file with certificate authorities, in PEM: in
	// CADir, and beside the result of a login, where the login container puts a
	// copy for the workload.
	CAFileName string = "ca.crt"
)

// Option is an option of the login program. It can be given as a flag or in the
// environment; the flag wins.
type Option string

// The options, in the order of --help. Those that are not marked "webhook" are
// for use by hand.
const (
	Method         Option = "method"          // webhook: see the methods below
	Mode           Option = "mode"            // webhook: see the modes below
	JWTFile        Option = "jwt-file"        // webhook: path of the projected token
	Address        Option = "address"         // webhook: URL of Vault, or of an OAuth token endpoint
	Issuer         Option = "issuer"          // webhook: URL of an OAuth issuer, whose metadata names the token endpoint
	Role           Option = "role"            // webhook: role of Vault's JWT auth method
	Mount          Option = "mount"           // webhook: path at which that auth method is mounted
	Namespace      Option = "namespace"       // webhook: Vault namespace
	ClientID       Option = "client-id"       // webhook: OAuth client_id
	Scope          Option = "scope"           // webhook: OAuth scope, separated by spaces
	Resource       Option = "resource"        // webhook: OAuth resource (RFC 8707)
	TargetAudience Option = "target-audience" // webhook: OAuth audience (RFC 8693)

	OutputFile   Option = "output-file"    // webhook: path of the result
	OutputFormat Option = "output-format"  // webhook: see the formats below
	OutputMode   Option = "output-mode"    // webhook: octal mode of the result
	CAFile       Option = "ca-file"        // webhook: certificate authorities, a path
	CABundle     Option = "ca-bundle"      // webhook: certificate authorities, in PEM
	CAOutputFile Option = "ca-output-file" // webhook: where to put a copy of them

	ClientCert     Option = "client-cert"
	ClientKey      Option = "client-key"
	TLSServerName  Option = "tls-server-name"
	Timeout        Option = "timeout"
	RequestTimeout Option = "request-timeout"
	RevokeOnExit   Option = "revoke-on-exit"
	ListenAddress  Option = "listen-address"
	TerminationLog Option = "termination-log"
	LogFormat      Option = "log-format"
	LogLevel       Option = "log-level"
)

// EnvPrefix begins the names of the variables that hold options.
const EnvPrefix = "OIDC_LOGIN_"

// Env is the variable that holds the option, such as OIDC_LOGIN_JWT_FILE.
func (o Option) Env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(string(o), "-", "_"))
}

// written are the options that the webhook sets.
var written = []Option{
	Method, Mode, JWTFile, Address, Issuer, Role, Mount, Namespace, ClientID, Scope, Resource, TargetAudience,
	OutputFile, OutputFormat, OutputMode, CAFile, CABundle, CAOutputFile,
}

// writtenEnv has the variables that hold these options.
var writtenEnv = func() map[string]bool {
	all := make(map[string]bool, len(written))
	for _, o := range written {
		all[o.Env()] = true
	}
	return all
}()

// WrittenByWebhook tells whether the webhook sets a variable of a login
// container.
func WrittenByWebhook(variable string) bool { return writtenEnv[variable] }

// The methods of a login.
const (
	// MethodVault is the JWT auth method of Vault and OpenBao.
	MethodVault = "vault"
	// MethodTokenExchange is RFC 8693.
	MethodTokenExchange = "token-exchange"
	// MethodJWTBearer is RFC 7523 section 2.1: the token as an authorization grant.
	MethodJWTBearer = "jwt-bearer"
	// MethodClientAssertion is RFC 7523 section 2.2: the token authenticates a client.
	MethodClientAssertion = "client-assertion"
)

// The modes of the program.
const (
	// ModeSidecar keeps the result fresh until it is told to end.
	ModeSidecar = "sidecar"
	// ModeInit logs in once.
	ModeInit = "init"
)

// The formats of the result.
const (
	// FormatRaw is the token and nothing else.
	FormatRaw = "raw"
	// FormatJSON is an object with the token and what is known of it.
	FormatJSON = "json"
	// FormatEnv is lines of NAME=VALUE.
	FormatEnv = "env"
)
