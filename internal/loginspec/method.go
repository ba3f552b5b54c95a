package loginspec

import (
	"slices"
	"strings"
)

// Method is a way to log in. Whatever differs between methods outside the program
// stands here; what a method sends and reads is in the program's directory of its
// protocol.
type Method struct {
	// Name is the value of the annotation, and of --method.
	Name string
	// Family names what the method and its like have in common, for people.
	Family string
	// Summary says what the method is, in a few words.
	Summary string
	// Options are the method's own, in the order in which they are documented.
	Options []Option
	// Needs are its options of which exactly one has to be given, the recommended
	// one first.
	Needs []Name
	// FileVariable is the variable of the workload that gets the path of the
	// result, where no annotation names another.
	FileVariable string
	// TokenVariable is the variable that a result in the format env assigns.
	TokenVariable string
	// Clients are the variables by which clients of the relying party find it,
	// which the workload gets with the result: the one that names the relying party
	// first. ClientsOf says whose clients these are.
	Clients   []ClientVariable
	ClientsOf string
}

// Option returns the method's own option of a name, or nil.
func (m *Method) Option(name Name) *Option {
	return find(m.Options, func(o *Option) bool { return o.Name == name })
}

// Key returns the method's own option of an annotation, or nil.
func (m *Method) Key(key string) *Option {
	return find(m.Options, func(o *Option) bool { return o.Key == key })
}

// Missing says what is needed and was not given. name is how an option is named to
// the reader.
func (m *Method) Missing(name func(*Option) string) string {
	means := make([]string, 0, len(m.Needs))
	for i, n := range m.Needs {
		o := m.Option(n)
		if i == 0 {
			means = append(means, o.Means)
		} else {
			means = append(means, o.Means+" as "+name(o))
		}
	}
	return strings.Join(means, ", or ")
}

// MethodOf returns the method of a name, or nil.
func MethodOf(name string) *Method {
	for i := range Methods {
		if Methods[i].Name == name {
			return &Methods[i]
		}
	}
	return nil
}

// MethodNames are the names of all methods.
func MethodNames() []string {
	names := make([]string, 0, len(Methods))
	for i := range Methods {
		names = append(names, Methods[i].Name)
	}
	return names
}

// Having are the names of the methods that have an option; none where every login
// has it.
func Having(name Name) []string {
	var names []string
	for i := range Methods {
		if Methods[i].Option(name) != nil {
			names = append(names, Methods[i].Name)
		}
	}
	return names
}

// Families are those of the methods that have a key.
func Families(key string) []string {
	var families []string
	for i := range Methods {
		if m := &Methods[i]; m.Key(key) != nil && !slices.Contains(families, m.Family) {
			families = append(families, m.Family)
		}
	}
	return families
}

// ClientVariable is a variable of the workload that has the value of an option.
type ClientVariable struct {
	Name string
	From Name
}

// The options of methods.
const (
	Address        Name = "address"
	Issuer         Name = "issuer"
	Role           Name = "role"
	Mount          Name = "mount"
	Namespace      Name = "namespace"
	ClientID       Name = "client-id"
	Scope          Name = "scope"
	Resource       Name = "resource"
	TargetAudience Name = "target-audience"
)

// ClientEnvKey is the annotation of methods with Clients that switches these
// variables off.
const ClientEnvKey = "login-client-env"

// The names of the methods.
const (
	MethodVault           = "vault"
	MethodTokenExchange   = "token-exchange"
	MethodJWTBearer       = "jwt-bearer"
	MethodClientAssertion = "client-assertion"
)

// Methods are all methods. The first one is the default of the program.
var Methods = []Method{vault, tokenExchange, jwtBearer, clientAssertion}

var vault = Method{
	Name:    MethodVault,
	Family:  "Vault",
	Summary: "the JWT auth method of Vault and OpenBao",
	Options: []Option{
		{
			Name: Address, Key: "login-address", Value: "URL", Check: isAddress, Configurable: true, Endpoint: true,
			Means: "the address of Vault, such as https://vault.example.com:8200",
			Help:  "Vault, with a path if it has one in front of /v1.",
		},
		{
			Name: Role, Key: "login-role", Value: "ROLE", Check: isText,
			Help: "The role of Vault's JWT auth method. Without it the method's default_role counts.",
		},
		{
			Name: Mount, Key: "login-mount", Value: "PATH", Default: "jwt", Check: isMount, Configurable: true,
			Help: "The path of that auth method, below auth/.",
		},
		{
			Name: Namespace, Key: "login-namespace", Value: "NAMESPACE", Check: isText, Configurable: true,
			Help: "The Vault namespace, if there are any.",
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

var (
	tokenExchange   = oauth(MethodTokenExchange, "RFC 8693")
	jwtBearer       = oauth(MethodJWTBearer, "RFC 7523 section 2.1")
	clientAssertion = oauth(MethodClientAssertion, "RFC 7523 section 2.2")
)

// oauth is a method whose token is sent to an OAuth token endpoint. These addresses
// have no default in the configuration, so that no token goes to a server that was
// meant for another protocol.
func oauth(name, summary string) Method {
	return Method{
		Name:    name,
		Family:  "OAuth",
		Summary: summary,
		Options: []Option{
			{
				Name: Address, Key: "login-address", Value: "URL", Check: isTokenEndpoint, Endpoint: true,
				Means: "its token endpoint",
				Help:  "The OAuth token endpoint.",
			},
			{
				Name: Issuer, Key: "login-issuer", Value: "URL", Check: isAddress, Endpoint: true,
				Means: "the issuer, such as https://login.example.com",
				Help: "The OAuth issuer, instead of the token endpoint, which is then found by OpenID Connect Discovery or RFC 8414. " +
					"It has to be written exactly as the issuer writes it.",
			},
			{
				Name: ClientID, Key: "login-client-id", Value: "ID", Check: isText,
				Help: "OAuth client_id, if the server wants one.",
			},
			{
				Name: Scope, Key: "login-scope", Value: "SCOPES", Check: isText,
				Help: "OAuth scope; several are separated by spaces.",
			},
			{
				Name: Resource, Key: "login-resource", Value: "URIS", Check: areURIs,
				Help: "OAuth resource (RFC 8707); several are separated by spaces.",
			},
			{
				Name: TargetAudience, Key: "login-target-audience", Value: "NAMES", Check: isText,
				Help: "OAuth audience (RFC 8693); several are separated by spaces.",
			},
		},
		Needs:         []Name{Issuer, Address},
		FileVariable:  "ACCESS_TOKEN_FILE",
		TokenVariable: "ACCESS_TOKEN",
	}
}
