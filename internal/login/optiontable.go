package login

import (
	"net/url"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// options are all options, in the order of --help.
var options = []option{
	{
		name: loginspec.MethodName, value: "METHOD", initial: loginspec.MethodVault,
		set: oneOf(func(c *Config) *string { return &c.Method }, methods),
		help: "How to log in: vault, the JWT auth method of Vault and OpenBao; token-exchange, RFC 8693; " +
			"jwt-bearer, RFC 7523 section 2.1; client-assertion, RFC 7523 section 2.2.",
	},
	{
		name: loginspec.Mode, value: "MODE", initial: loginspec.ModeSidecar,
		set:  oneOf(func(c *Config) *string { return &c.Mode }, modes),
		help: "sidecar keeps the result fresh until it is told to end; init logs in once and ends.",
	},
	{
		name: loginspec.JWTFile, value: "PATH", initial: "/var/run/secrets/tokens/oidc-token",
		set:  anyText(func(c *Config) *string { return &c.JWTFile }),
		help: "The projected ServiceAccount token. It is read anew for each login, and never kept, changed or removed.",
	},
	{
		name: loginspec.Address, value: "URL",
		set:  webURL(func(c *Config) **url.URL { return &c.Address }),
		help: "Vault, with a path if it has one in front of /v1; or the OAuth token endpoint.",
	},
	{
		name: loginspec.Issuer, value: "URL", methods: oauthOnly,
		set: webURL(func(c *Config) **url.URL { return &c.Issuer }),
		help: "The OAuth issuer, instead of the token endpoint, which is then found by OpenID Connect Discovery or RFC 8414. " +
			"It has to be written exactly as the issuer writes it.",
	},
	{
		name: loginspec.Role, value: "ROLE", methods: vaultOnly,
		set:  anyText(func(c *Config) *string { return &c.Role }),
		help: "The role of Vault's JWT auth method. Without it the method's default_role counts.",
	},
	{
		name: loginspec.Mount, value: "PATH", initial: "jwt", methods: vaultOnly, set: setMount,
		help: "The path of that auth method, below auth/.",
	},
	{
		name: loginspec.Namespace, value: "NAMESPACE", methods: vaultOnly,
		set:  anyText(func(c *Config) *string { return &c.Namespace }),
		help: "The Vault namespace, if there are any.",
	},
	{
		name: loginspec.ClientID, value: "ID", methods: oauthOnly,
		set:  anyText(func(c *Config) *string { return &c.ClientID }),
		help: "OAuth client_id, if the server wants one.",
	},
	{
		name: loginspec.Scope, value: "SCOPES", methods: oauthOnly,
		set:  anyText(func(c *Config) *string { return &c.Scope }),
		help: "OAuth scope; several are separated by spaces.",
	},
	{
		name: loginspec.Resource, value: "URIS", methods: oauthOnly,
		set:  list(func(c *Config) *[]string { return &c.Resources }),
		help: "OAuth resource (RFC 8707); several are separated by spaces.",
	},
	{
		name: loginspec.TargetAudience, value: "NAMES", methods: oauthOnly,
		set:  list(func(c *Config) *[]string { return &c.Audiences }),
		help: "OAuth audience (RFC 8693); several are separated by spaces.",
	},
	{
		name: loginspec.OutputFile, value: "PATH", initial: "/var/run/secrets/login/token",
		set: anyText(func(c *Config) *string { return &c.OutputFile }),
		help: "The result. It is replaced as a whole, so watch its directory, or read it for each use. " +
			"It is removed when the token has ended. Its directory has to exist.",
	},
	{
		name: loginspec.OutputFormat, value: "FORMAT", initial: loginspec.FormatRaw,
		set: oneOf(func(c *Config) *string { return &c.OutputFormat }, formats),
		help: "raw, the token and nothing else, not even a newline; json, an object with token, expiry, policies and so on; " +
			"env, lines for a shell: VAULT_TOKEN and VAULT_TOKEN_EXPIRES, or ACCESS_TOKEN and ACCESS_TOKEN_EXPIRES.",
	},
	{
		name: loginspec.OutputMode, value: "MODE", initial: "0400", set: setOutputMode,
		help: "The octal mode of the result.",
	},
	{
		name: loginspec.CAFile, value: "PATH",
		set:  anyText(func(c *Config) *string { return &c.CAFile }),
		help: "The certificate authorities of the relying party, in PEM, instead of the system's. A change counts at once.",
	},
	{
		name: loginspec.CABundle, value: "PEM", set: setBundle,
		help: "The same, as a value.",
	},
	{
		name: loginspec.CAOutputFile, value: "PATH",
		set:  anyText(func(c *Config) *string { return &c.CAOutputFile }),
		help: "Where to put a copy of the certificate authorities for the workload.",
	},
	{
		name: loginspec.ClientCert, value: "PATH",
		set:  anyText(func(c *Config) *string { return &c.ClientCert }),
		help: "A client certificate for TLS, in PEM. It is read anew for each connection.",
	},
	{
		name: loginspec.ClientKey, value: "PATH",
		set:  anyText(func(c *Config) *string { return &c.ClientKey }),
		help: "Its key.",
	},
	{
		name: loginspec.TLSServerName, value: "NAME",
		set:  anyText(func(c *Config) *string { return &c.TLSServerName }),
		help: "The name that the certificate of the relying party has to have, if that is not the host of the URL.",
	},
	{
		name: loginspec.Timeout, value: "DURATION", initial: "2m",
		set:  duration(func(c *Config) *time.Duration { return &c.Timeout }, 0),
		help: "How long to try in the mode init; 0 means without end.",
	},
	{
		name: loginspec.RequestTimeout, value: "DURATION", initial: "30s",
		set:  duration(func(c *Config) *time.Duration { return &c.RequestTimeout }, time.Second),
		help: "How long to wait for an answer.",
	},
	{
		// Not for vault alone: the webhook's configuration sets it for all logins.
		name: loginspec.RevokeOnExit, value: boolValue, initial: "true", set: setRevoke,
		help: "Whether to revoke the token, and with it its leases, at the end in the mode sidecar. " +
			"Only tokens of the method vault are ever revoked.",
	},
	{
		name: loginspec.ListenAddress, value: "HOST:PORT", set: setListen,
		help: "Serve /healthz, /readyz and /metrics here, over plain HTTP. Off by default.",
	},
	{
		name: loginspec.TerminationLog, value: "PATH", initial: "/dev/termination-log",
		set:  anyText(func(c *Config) *string { return &c.TerminationLog }),
		help: "Where Kubernetes takes the termination message from. It is written only if it exists.",
	},
	{
		name: loginspec.LogFormat, value: "FORMAT", initial: logText,
		set:  oneOf(func(c *Config) *string { return &c.LogFormat }, logForms),
		help: "text or json.",
	},
	{
		name: loginspec.LogLevel, value: "LEVEL", initial: "info", set: setLogLevel,
		help: "The lowest level to log: debug, info, warn or error.",
	},
}
