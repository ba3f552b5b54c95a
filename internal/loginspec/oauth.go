package loginspec

// The methods of OAuth.
const (
	MethodTokenExchange   = "token-exchange"
	MethodJWTBearer       = "jwt-bearer"
	MethodClientAssertion = "client-assertion"
)

// The options of OAuth, some of which other methods have, too.
const (
	Issuer             Name = "issuer"
	ClientID           Name = "client-id"
	ClientAuth         Name = "client-auth"
	ClientSecretFile   Name = "client-secret-file"
	Scope              Name = "scope"
	Resource           Name = "resource"
	TargetAudience     Name = "target-audience"
	SubjectTokenType   Name = "subject-token-type"
	RequestedTokenType Name = "requested-token-type"
	Parameters         Name = "parameters"
	Body               Name = "body"
	Lifetime           Name = "lifetime"
	JWTUse             Name = "jwt-use"
)

// How a client proves who it is.
const (
	ClientAuthNone      = "none"
	ClientAuthAssertion = "assertion"
	ClientAuthBasic     = "basic"
	ClientAuthPost      = "post"
	ClientAuthTLS       = "tls"
)

// The forms of a request.
const (
	BodyForm = "form"
	BodyJSON = "json"
)

// How many logins a JWT is good for.
const (
	JWTOnce = "once"
	JWTMany = "many"
)

var (
	tokenExchange = oauth(MethodTokenExchange, "RFC 8693", append(clientAuth(),
		Option{
			Name: SubjectTokenType, Key: "login-subject-token-type", Value: "TYPE", Default: "jwt", Check: isTokenType, Configurable: true,
			Example: "id_token",
			Help:    "The type that the JWT is called, RFC 8693 subject_token_type: " + tokenTypeNames + " or a URI.",
		},
		Option{
			Name: RequestedTokenType, Key: "login-requested-token-type", Value: "TYPE", Check: isTokenType, Configurable: true,
			Example: "access_token",
			Help:    "The type of the token to ask for, RFC 8693 requested_token_type, named likewise.",
		})...)
	jwtBearer       = oauth(MethodJWTBearer, "RFC 7523 section 2.1", clientAuth()...)
	clientAssertion = oauth(MethodClientAssertion, "RFC 7523 section 2.2")
)

// oauth is a method whose token is sent to an OAuth token endpoint. These addresses
// have no default in the configuration, so that no token goes to a server that was
// meant for another protocol.
func oauth(name, summary string, more ...Option) Method {
	m := Method{
		Name:    name,
		Family:  "OAuth",
		Summary: summary,
		Options: []Option{
			{
				Name: Address, Key: "login-address", Value: "URL", Check: isTokenEndpoint, Endpoint: true,
				Means:   "its token endpoint",
				Example: "https://login.example.com/oauth2/token",
				Help:    "The OAuth token endpoint.",
			},
			{
				Name: Issuer, Key: "login-issuer", Value: "URL", Check: isAddress, Endpoint: true,
				Means:   "the issuer, such as https://login.example.com",
				Example: "https://login.example.com",
				Help: "The OAuth issuer, instead of the token endpoint, which is then found by OpenID Connect Discovery or RFC 8414. " +
					"It has to be written exactly as the issuer writes it.",
			},
			{
				Name: ClientID, Key: "login-client-id", Value: "ID", Check: isText,
				Example: "billing",
				Help:    "OAuth client_id, if the server wants one.",
			},
			{
				Name: Scope, Key: "login-scope", Value: "SCOPES", Check: isText,
				Example: "read write",
				Help:    "OAuth scope; several are separated by spaces.",
			},
			{
				Name: Resource, Key: "login-resource", Value: "URIS", Check: areURIs,
				Example: "https://api.example.com",
				Help:    "OAuth resource (RFC 8707); several are separated by spaces.",
			},
			{
				Name: TargetAudience, Key: "login-target-audience", Value: "NAMES", Check: isText,
				Example: "https://api.example.com",
				Help:    "OAuth audience (RFC 8693); several are separated by spaces.",
			},
		},
		Needs:         []Name{Issuer, Address},
		Rules:         []Rule{clientIsComplete},
		FileVariable:  "ACCESS_TOKEN_FILE",
		TokenVariable: "ACCESS_TOKEN",
	}
	m.Options = append(m.Options, more...)
	m.Options = append(m.Options,
		Option{
			Name: Parameters, Key: "login-parameters", Value: "NAME=VALUE", Check: areParameters(sentByOAuth...), Configurable: true,
			Example: "connector_id=kubernetes",
			Help:    "Further parameters of the request, as name=value, one a line.",
		},
		bodyOption(BodyForm, "How the parameters are written: form (application/x-www-form-urlencoded), as the RFCs have it, or json."),
		lifetimeOption, jwtUseOption)
	return m
}

// clientAuth are the options of methods whose JWT does not prove who the client is.
func clientAuth() []Option {
	return []Option{
		{
			Name: ClientAuth, Key: "login-client-auth", Value: "HOW", Default: ClientAuthNone, Configurable: true,
			OneOf: []string{ClientAuthNone, ClientAuthAssertion, ClientAuthBasic, ClientAuthPost, ClientAuthTLS},
			Help: "How the client proves who it is: assertion, by the same JWT (RFC 7523 section 2.2); " +
				"basic and post, by a secret, in a header or among the parameters (RFC 6749 section 2.3.1); " +
				"tls, by a certificate (RFC 8705).",
		},
		{
			Name: ClientSecretFile, Key: "login-client-secret", Value: "PATH", Secret: "client-secret", Configurable: true,
			Example: "billing-client/password",
			Help:    "The client's secret. It is read anew for each login.",
		},
	}
}

func bodyOption(form, help string) Option {
	return Option{
		Name: Body, Key: "login-body", Value: "FORM", Default: form, OneOf: []string{BodyForm, BodyJSON}, Configurable: true, Help: help,
	}
}

var (
	lifetimeOption = Option{
		Name: Lifetime, Key: "login-lifetime", Value: "DURATION", Check: isAtLeast(minLifetime), Configurable: true,
		Example: "15m",
		Help: "How long the token lasts where neither the answer nor the token says so. Without it the token is replaced after 5 " +
			"minutes, and never removed.",
	}
	jwtUseOption = Option{
		Name: JWTUse, Key: "login-jwt-use", Value: "USE", Default: JWTMany, OneOf: []string{JWTMany, JWTOnce}, Configurable: true,
		Help: "once where the relying party accepts each JWT once, by its jti: then each gives one login.",
	}
)
