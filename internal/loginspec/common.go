package loginspec

import (
	"slices"
	"strings"
	"time"
)

// The options that every method has.
const (
	MethodName   Name = "method"
	Address      Name = "address"
	Mode         Name = "mode"
	JWTFile      Name = "jwt-file"
	OutputFile   Name = "output-file"
	OutputFormat Name = "output-format"
	OutputMode   Name = "output-mode"
	CAFile       Name = "ca-file"
	CABundle     Name = "ca-bundle"
	CAOutputFile Name = "ca-output-file"

	ClientCert     Name = "client-cert"
	ClientKey      Name = "client-key"
	TLSServerName  Name = "tls-server-name"
	RedirectHosts  Name = "redirect-hosts"
	Timeout        Name = "timeout"
	RequestTimeout Name = "request-timeout"
	RevokeOnExit   Name = "revoke-on-exit"
	ListenAddress  Name = "listen-address"
	TerminationLog Name = "termination-log"
	LogFormat      Name = "log-format"
	LogLevel       Name = "log-level"
)

// PortName is the name of the port at which a login container serves metrics.
const PortName = "oidc-login"

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

// The formats of the log.
const (
	LogText = "text"
	LogJSON = "json"
)

// The built-in defaults of where a result is.
const (
	DefaultMountPath = "/var/run/secrets/login"
	DefaultFile      = "token"
)

// The annotations of every login, without their prefix.
const (
	// MethodKey is how to log in. Its presence asks for the login.
	MethodKey = "login"
	// TokenKey names the token that the login exchanges.
	TokenKey = "login-token"
	// ModeKey is a sidecar that keeps the login fresh, or an init container.
	ModeKey = "login-mode"
	// MountPathKey is the absolute directory that holds the result.
	MountPathKey = "login-mount-path"
	// FileKey is the name of the result's file in that directory.
	FileKey = "login-file"
	// FormatKey is the format of the result.
	FormatKey = "login-format"
	// EnvKey names the variable that gets the result's full path.
	EnvKey = "login-env"
	// CAConfigMapKey and CASecretKey name the object, and the key in it, that holds
	// the certificate authorities of the relying party.
	CAConfigMapKey = "login-ca-configmap"
	CASecretKey    = "login-ca-secret"
	// CABundleKey names the ClusterTrustBundle that holds them.
	CABundleKey = "login-ca-bundle"
)

// Boolean is the Value of options that can be given as a flag without a value.
const Boolean = "true|false"

// first and last are the options of every login, around those of its method.
var (
	first = []Option{
		{
			Name: MethodName, Key: MethodKey, Value: "METHOD", Default: Methods[0].Name, OneOf: MethodNames(), Written: true,
			Help: "How to log in: " + summaries() + ".",
		},
		{
			Key:     TokenKey,
			Example: "jwt",
			Help: "The name of the token to exchange, default for the one without a name. If it is not given, that of the login's own " +
				"name, or else the default one.",
		},
		{
			Name: Mode, Key: ModeKey, Value: "MODE", Default: ModeSidecar, OneOf: []string{ModeSidecar, ModeInit}, Configurable: true,
			Written: true,
			Help:    "sidecar keeps the result fresh until it is told to end; init logs in once and ends.",
		},
		{
			Name: JWTFile, Value: "PATH", Default: "/var/run/secrets/tokens/oidc-token", Written: true,
			Help: "The projected ServiceAccount token. It is read anew for each login, and never kept, changed or removed.",
		},
	}
	last = []Option{
		{
			Key: MountPathKey, Default: DefaultMountPath, Configurable: true,
			Example: "/var/run/secrets/vault",
			Help:    "The directory of the result. It is in memory, and read-only for the app.",
		},
		{
			Key: FileKey, Default: DefaultFile, Configurable: true,
			Example: "vault-token",
			Help:    "The name of the result's file there.",
		},
		{
			Name: OutputFile, Value: "PATH", Default: DefaultMountPath + "/" + DefaultFile, Written: true,
			Help: "The result. It is replaced as a whole, so watch its directory, or read it for each use. " +
				"It is removed when the token has ended. Its directory has to exist.",
		},
		{
			Name: OutputFormat, Key: FormatKey, Value: "FORMAT", Default: FormatRaw, OneOf: []string{FormatRaw, FormatJSON, FormatEnv},
			Configurable: true, Written: true,
			Help: "raw, the token and nothing else, not even a newline; json, an object with token, expiry, policies and so on; " +
				"env, lines for a shell: " + tokenVariables() + ".",
		},
		{
			Name: OutputMode, Value: "MODE", Default: "0400", Check: isOutputMode, Written: true,
			Help: "The octal mode of the result.",
		},
		{
			Key:     EnvKey,
			Example: "APP_TOKEN_FILE",
			Help:    "The variable of the app that gets the path of the result.",
		},
		{
			Key: CAConfigMapKey, Configurable: true,
			Example: "vault-ca",
			Help: "The ConfigMap of the pod's namespace with the relying party's certificate authorities, as name or name/key; the " +
				"key is ca.crt if it is not given.",
		},
		{
			Key: CASecretKey, Configurable: true,
			Example: "vault-tls/ca.crt",
			Help:    "The same in a Secret.",
		},
		{
			Key: CABundleKey, Configurable: true,
			Example: "example.com/internal/v1",
			Help: "The same in a ClusterTrustBundle: the name of one that has no signer, signer/name, or signer for all of that " +
				"signer's. It needs Kubernetes 1.37.",
		},
		{
			Name: CAFile, Value: "PATH", Written: true,
			Help: "The certificate authorities of the relying party, in PEM, instead of the system's. A change counts at once.",
		},
		{
			Name: CABundle, Value: "PEM", Check: Certificates, Written: true,
			Help: "The same, as a value.",
		},
		{
			Name: CAOutputFile, Value: "PATH", Written: true,
			Help: "Where to put a copy of the certificate authorities for the workload.",
		},
		{
			Name: ClientCert, Key: "login-client-certificate", Value: "PATH", Secret: "tls.crt", Configurable: true,
			Example: "billing-tls",
			Help:    "A client certificate for TLS, in PEM. It is read anew for each connection.",
		},
		{
			Name: ClientKey, Value: "PATH", Written: true,
			Help: "The private key of the client certificate.",
		},
		{
			Name: TLSServerName, Key: "login-tls-server-name", Value: "NAME", Check: isText, Configurable: true,
			Example: "vault.example.com",
			Help:    "The name that the certificate of the relying party has to have, if that is not the host of the URL.",
		},
		{
			Name: RedirectHosts, Key: "login-redirect-hosts", Value: "HOSTS", Check: areHosts, Configurable: true,
			Example: "vault-0.example.com:8200 vault-1.example.com:8200",
			Help: "The hosts that the relying party may redirect a login to, beside its own: names or addresses, separated by spaces. " +
				"A port counts as written.",
		},
		{
			Name: Timeout, Value: "DURATION", Default: "2m", Check: isAtLeast(0),
			Help: "How long to try in the mode init; 0 means without end.",
		},
		{
			Name: RequestTimeout, Value: "DURATION", Default: "30s", Check: isAtLeast(time.Second),
			Help: "How long to wait for an answer.",
		},
		{
			// Not of vault alone: the webhook's configuration sets it for all logins.
			Name: RevokeOnExit, Value: Boolean, Default: "true", Check: isBool,
			Help: "Whether to revoke the token, and with it its leases, at the end in the mode sidecar. " +
				"Only tokens of Vault are ever revoked.",
		},
		{
			Name: ListenAddress, Value: "HOST:PORT", Check: isListenAddress,
			Help: "Serve /healthz, /readyz and /metrics here, over plain HTTP. Off by default.",
		},
		{
			Name: TerminationLog, Value: "PATH", Default: "/dev/termination-log",
			Help: "Where Kubernetes takes the termination message from. It is written only if it exists.",
		},
		{
			Name: LogFormat, Value: "FORMAT", Default: LogText, OneOf: []string{LogText, LogJSON},
			Help: "text or json.",
		},
		{
			Name: LogLevel, Value: "LEVEL", Default: "info", Check: isLogLevel,
			Help: "The lowest level to log: debug, info, warn or error.",
		},
	}
)

// tokenVariables lists what results in the format env assign.
func tokenVariables() string {
	var pairs []string
	for i := range Methods {
		pair := Methods[i].TokenVariable + " and " + Methods[i].TokenVariable + "_EXPIRES"
		if !slices.Contains(pairs, pair) {
			pairs = append(pairs, pair)
		}
	}
	return List(pairs, "or")
}

// summaries lists the methods.
func summaries() string {
	all := make([]string, 0, len(Methods))
	for i := range Methods {
		all = append(all, Methods[i].Name+", "+Methods[i].Summary)
	}
	return strings.Join(all, "; ")
}
