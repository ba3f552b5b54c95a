package loginspec

// MethodHTTP logs in where a relying party has a protocol of its own.
const MethodHTTP = "http"

// The options of that method alone.
const (
	HTTPMethod      Name = "http-method"
	JWTField        Name = "jwt-field"
	TokenPointer    Name = "token-pointer"
	LifetimePointer Name = "lifetime-pointer"
)

// WholeBody is the TokenPointer where the whole answer is the token.
const WholeBody = "body"

var httpLogin = Method{
	Name:    MethodHTTP,
	Family:  "HTTP",
	Summary: "a request of your own making, for parties with a login of their own",
	Options: []Option{
		{
			Name: Address, Key: "login-address", Value: "URL", Check: isTokenEndpoint, Endpoint: true,
			Means:   "the URL of the login, such as https://consul.example.com/v1/acl/login",
			Example: "https://consul.example.com/v1/acl/login",
			Help:    "The URL that the JWT is sent to, which may have a query.",
		},
		{
			Name: HTTPMethod, Key: "login-http-method", Value: "METHOD", Default: "POST", OneOf: []string{"POST", "PUT", "GET"},
			Configurable: true,
			Help:         "The method of the request.",
		},
		{
			Name: JWTField, Key: "login-jwt-field", Value: "FIELD", Check: isField, Configurable: true,
			Example: "BearerToken",
			Help: "The field of the body that has the JWT: a name, or, in JSON, a pointer such as /auth/jwt (RFC 6901). " +
				"Without it the JWT is a bearer token in the header Authorization.",
		},
		{
			Name: Parameters, Key: "login-parameters", Value: "NAME=VALUE", Check: areParameters(), Configurable: true,
			Example: "AuthMethod=kubernetes",
			Help:    "Further fields of the body, named likewise, or, with GET, of the query: name=value, one a line.",
		},
		bodyOption(BodyJSON, "How the body is written: json, which is the default here, or form."),
		{
			Name: TokenPointer, Key: "login-token-pointer", Value: "POINTER", Default: "/token", Check: isTokenPointer, Configurable: true,
			Example: "/SecretID",
			Help:    "Where the token is in the answer: a JSON pointer, or body if it is the whole answer.",
		},
		{
			Name: LifetimePointer, Key: "login-lifetime-pointer", Value: "POINTER", Check: isPointer, Configurable: true,
			Example: "/ExpirationTime",
			Help:    "Where its lifetime is: seconds, a duration such as 1h, or its end, in Unix time or as RFC 3339 has it.",
		},
		lifetimeOption, jwtUseOption,
	},
	Needs:         []Name{Address},
	Rules:         []Rule{getHasNoBody, fieldsFit},
	FileVariable:  "ACCESS_TOKEN_FILE",
	TokenVariable: "ACCESS_TOKEN",
}
