package loginspec

// MethodVault logs in to Vault or OpenBao.
const MethodVault = "vault"

// The options of Vault alone.
const (
	Role          Name = "role"
	Mount         Name = "mount"
	Namespace     Name = "namespace"
	CheckInterval Name = "check-interval"
)

// ClientEnvKey is the annotation of methods with Clients that switches these
// variables off.
const ClientEnvKey = "login-client-env"

var vault = Method{
	Name:    MethodVault,
	Family:  "Vault",
	Summary: "the JWT auth method of Vault and OpenBao",
	Options: []Option{
		{
			Name: Address, Key: "login-address", Value: "URL", Check: isAddress, Configurable: true, Endpoint: true,
			Means:   "the address of Vault, such as https://vault.example.com:8200",
			Example: "https://vault.example.com:8200",
			Help:    "Vault, with a path if it has one in front of /v1.",
		},
		{
			Name: Role, Key: "login-role", Value: "ROLE", Check: isText,
			Example: "demo",
			Help:    "The role of Vault's JWT auth method. Without it the method's default_role counts.",
		},
		{
			Name: Mount, Key: "login-mount", Value: "PATH", Default: "jwt", Check: isMount, Configurable: true, Written: true,
			Example: "jwt/cluster-a",
			Help:    "The path of that auth method, below auth/.",
		},
		{
			Name: Namespace, Key: "login-namespace", Value: "NAMESPACE", Check: isText, Configurable: true,
			Example: "team-a",
			Help:    "The Vault namespace, if there are any.",
		},
		{
			// One request of every pod in five minutes is what a renewal of leases of
			// seven minutes and a half costs.
			Name: CheckInterval, Key: "login-check-interval", Value: "DURATION", Default: "5m", Check: isAtLeast(0), Configurable: true,
			Example: "2m",
			Help:    "How often to ask whether the token is still valid, as it can be revoked before its time; 0 means never.",
		},
		{
			Key: ClientEnvKey, Value: Boolean, Default: "true", Check: isBool, Configurable: true,
			Help: "false leaves out VAULT_ADDR, VAULT_NAMESPACE and VAULT_CACERT.",
		},
	},
	Needs:         []Name{Address},
	FileVariable:  "VAULT_TOKEN_FILE",
	TokenVariable: "VAULT_TOKEN",
	Clients:       []ClientVariable{{"VAULT_ADDR", Address}, {"VAULT_NAMESPACE", Namespace}, {"VAULT_CACERT", CAOutputFile}},
	ClientsOf:     "Vault",
}
