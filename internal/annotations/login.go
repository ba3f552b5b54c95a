package annotations

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/contract"
	"github.com/oidc-injector/oidc-injector/internal/endpoint"
)

// The variables that a login with Vault sets for the containers which read its
// result, beside that of the result itself. Vault's clients look for them.
const (
	VaultAddr      = "VAULT_ADDR"
	VaultNamespace = "VAULT_NAMESPACE"
	VaultCACert    = "VAULT_CACERT"
)

// The built-in defaults of a login.
const (
	DefaultLoginMount     = "jwt"
	DefaultLoginMountPath = "/var/run/secrets/login"
	DefaultLoginFile      = "token"
)

// Login is the exchange of a token at a relying party, by a container of its
// own whose result other containers read.
type Login struct {
	// Name is the annotations' suffix; empty for the default login.
	Name string
	// Method is one of the contract's methods.
	Method string
	// Token is the name of the token that is exchanged.
	Token string
	// Address is the URL of Vault or of an OAuth token endpoint, and Issuer that
	// of an OAuth issuer: one of them is set.
	Address, Issuer string
	// Role, Mount and Namespace are those of Vault's JWT auth method.
	Role, Mount, Namespace string
	// CA names the object that holds certificate authorities, or is nil.
	CA *CASource
	// Mode and Format are among the contract's.
	Mode, Format string
	// MountPath is the absolute directory of the result as it was written,
	// Directory the same in the form of [CanonicalPath], and File its name there.
	MountPath, Directory, File string
	// Env is the variable that holds the result's full path, and ClientEnv is true
	// where the variables of Vault's own clients are set, too.
	Env       string
	ClientEnv bool
	// ClientID, Scope, Resource and TargetAudience are OAuth parameters.
	ClientID, Scope, Resource, TargetAudience string
	// Containers says which containers get the result.
	Containers Scope
	// Source is the annotation that asked for the login: its method, or the
	// profile that supplied the method. Errors point at it.
	Source *field.Path

	settings settings
}

// CASource is a ConfigMap or a Secret of the pod's namespace.
type CASource struct {
	// Secret is true for a Secret.
	Secret bool
	// Name is the object's, and Key the entry that holds certificates in PEM.
	Name, Key string
}

// DisplayName names the login in messages: NAME, or "default".
func (l *Login) DisplayName() string { return displayName(l.Name) }

// Path returns the result's full path in a container.
func (l *Login) Path() string { return path.Join(l.MountPath, l.File) }

// CAPath returns the full path of the copy of the certificate authorities that
// the workload can use.
func (l *Login) CAPath() string { return path.Join(l.MountPath, contract.CAFileName) }

// Annotation names the annotation that a value of the login came from, as
// [Token.Annotation] does.
func (l *Login) Annotation(key string) string { return l.settings.or(key, LoginMethod).annotation }

// KeyPath is where that annotation stands.
func (l *Login) KeyPath(key string) *field.Path { return l.settings.or(key, LoginMethod).path() }

// Has reports whether an annotation or a profile sets the key.
func (l *Login) Has(key string) bool { return l.settings.has(key) }

// Own reports whether the pod itself wrote the annotation of a key.
func (l *Login) Own(key string) bool { return l.settings.own(key) }

// URL is where the token is sent, or where it is asked where to send it.
func (l *Login) URL() string {
	if l.Issuer != "" {
		return l.Issuer
	}
	return l.Address
}

// URLKey is the key of the annotation of [Login.URL].
func (l *Login) URLKey() string {
	if l.Issuer != "" {
		return LoginIssuer
	}
	return LoginAddress
}

var (
	methods = []string{contract.MethodVault, contract.MethodTokenExchange, contract.MethodJWTBearer, contract.MethodClientAssertion}
	modes   = []string{contract.ModeSidecar, contract.ModeInit}
	formats = []string{contract.FormatRaw, contract.FormatJSON, contract.FormatEnv}
)

// login builds a login without its token; see findToken. Its containers are
// those of the name, which were read for the token.
func (b *builder) login(name string, containers Scope) Login {
	l := Login{
		Name:       name,
		Method:     b.oneOf(LoginMethod, "", methods),
		Token:      b.loginToken(),
		Mode:       b.oneOf(LoginMode, contract.ModeSidecar, modes),
		Format:     b.oneOf(LoginFormat, contract.FormatRaw, formats),
		MountPath:  b.loginMountPath(name),
		File:       b.loginFile(),
		CA:         b.ca(),
		ClientEnv:  b.flag(LoginClientEnv, true),
		Containers: containers,
		settings:   b.settings,
		Source:     b.settings.or(LoginMethod, "").path(),
	}
	l.Directory = CanonicalPath(l.MountPath, "")
	b.rejectKeysOfOtherMethods(l.Method)
	switch l.Method {
	case contract.MethodVault:
		b.vault(&l)
	case contract.MethodTokenExchange, contract.MethodJWTBearer, contract.MethodClientAssertion:
		b.oauth(&l)
	}
	l.Env = b.loginEnv(&l)
	if b.os == Windows {
		b.errs = append(b.errs, field.Forbidden(l.Source, "logins are for Linux pods: the login container is a Linux program"))
	}
	return l
}

func (b *builder) vault(l *Login) {
	if s, ok := b.get(LoginAddress); ok {
		l.Address = b.endpoint(s)
	} else {
		b.missing(l, LoginAddress, "the login needs the address of Vault, such as https://vault.example.com:8200")
	}
	l.Role = b.text(LoginRole)
	l.Mount = b.vaultMount()
	l.Namespace = b.text(LoginNamespace)
}

// flag reads a boolean.
func (b *builder) flag(key string, otherwise bool) bool {
	s, ok := b.get(key)
	if !ok {
		return otherwise
	}
	yes, err := strconv.ParseBool(s.value)
	if err != nil {
		b.invalid(s, `must be "true" or "false"`)
	}
	return yes
}

func (b *builder) oauth(l *Login) {
	address, issuer := b.settings.find(LoginAddress), b.settings.find(LoginIssuer)
	switch {
	case address != nil && issuer != nil:
		b.invalid(*issuer, "say either %s, the token endpoint, or %s, which is asked for it", LoginAddress, LoginIssuer)
	case address != nil:
		l.Address = b.endpoint(*address)
	case issuer != nil:
		l.Issuer = b.endpoint(*issuer)
	default:
		b.missing(l, LoginIssuer, fmt.Sprintf("the login needs the issuer, such as https://login.example.com, or its token endpoint as %s", LoginAddress))
	}
	l.ClientID = b.text(LoginClientID)
	l.Scope = b.text(LoginScope)
	l.TargetAudience = b.text(LoginTargetAudience)
	l.Resource = b.text(LoginResource)
	for uri := range strings.FieldsSeq(l.Resource) {
		if u, err := url.Parse(uri); err != nil || !u.IsAbs() || strings.Contains(uri, "#") {
			b.invalid(*b.settings.find(LoginResource), "must be absolute URIs without a fragment, separated by spaces (RFC 8707 section 2)")
			break
		}
	}
}

// rejectKeysOfOtherMethods reports keys that the method has no use for.
func (b *builder) rejectKeysOfOtherMethods(method string) {
	others, of := oauthLoginKeys, "the OAuth methods"
	if method != contract.MethodVault {
		others, of = vaultLoginKeys, contract.MethodVault
	}
	if !slices.Contains(methods, method) {
		return // it is not known which keys it would have
	}
	for _, key := range b.settings.among(others) {
		b.invalid(*b.settings.find(key), "this key is for %s: a login of method %s has no use for it", of, method)
	}
}

// loginToken is the name of the token that an annotation names, or empty.
func (b *builder) loginToken() string {
	s := b.settings.find(LoginToken)
	if s == nil || s.value == defaultTokenName {
		return ""
	}
	if checkTokenName(s.value) != nil {
		b.invalid(*s, "must be the name of a token: the suffix of its annotations, or %s for the token without one", defaultTokenName)
	}
	return s.value
}

// findToken finds the token that the login uses: the one that is named, or else
// the one of its own name, or else the default one.
func (l *Login) findToken(tokens []Token, prefix Prefix) *field.Error {
	has := func(name string) bool {
		return slices.ContainsFunc(tokens, func(t Token) bool { return t.Name == name })
	}
	if s := l.settings.find(LoginToken); s != nil {
		if !has(l.Token) {
			return field.Invalid(s.path(), Shorten(s.value), "the pod has no such token: it would be asked for by "+prefix.Key(Audience, l.Token))
		}
		return nil
	}
	if has(l.Name) {
		l.Token = l.Name
	} else if !has("") {
		return field.Required(annotationsPath.Key(prefix.Key(Audience, l.Name)), "the login needs a token, and a token needs an audience")
	}
	return nil
}

// missing reports a key that the login cannot do without.
func (b *builder) missing(l *Login, key, detail string) {
	if !b.incomplete {
		b.errs = append(b.errs, field.Required(annotationsPath.Key(b.prefix.Key(key, l.Name)), detail))
	}
}

func (b *builder) oneOf(key, otherwise string, allowed []string) string {
	s, ok := b.get(key)
	if !ok {
		return otherwise
	}
	if !slices.Contains(allowed, s.value) {
		b.errs = append(b.errs, field.NotSupported(s.path(), Shorten(s.value), allowed))
	}
	return s.value
}

// text is a value that is passed on as it is; empty where there is none.
func (b *builder) text(key string) string {
	s, ok := b.get(key)
	if ok && !isText(s.value) {
		b.invalid(s, textAllowed)
	}
	return s.value
}

const textAllowed = "must be a text of 1 to 1024 bytes, without control characters and without white space at its ends"

func isText(value string) bool {
	return value != "" && len(value) <= 1024 && strings.TrimSpace(value) == value && !strings.ContainsFunc(value, unicode.IsControl)
}

func (b *builder) vaultMount() string {
	s, ok := b.get(LoginMount)
	if !ok {
		return DefaultLoginMount
	}
	mount := s.value
	switch {
	case !isText(mount):
		b.invalid(s, textAllowed)
	case strings.HasPrefix(mount, "auth/"):
		b.invalid(s, "must be the path at which the auth method is mounted, without auth/ before it")
	case mount != path.Clean(mount) || strings.HasPrefix(mount, "/") || strings.HasPrefix(mount, ".") || strings.ContainsAny(mount, "?#%"):
		b.invalid(s, "must be the path at which the auth method is mounted, such as jwt or teams/jwt")
	}
	return mount
}

// endpoint checks an address that a token may be sent to.
func (b *builder) endpoint(s setting) string {
	if _, err := endpoint.Parse(s.value); err != nil {
		b.invalid(s, "%s", err)
	}
	return s.value
}

// ca reads which object holds the certificate authorities.
func (b *builder) ca() *CASource {
	configMap, secret := b.settings.find(LoginCAConfigMap), b.settings.find(LoginCASecret)
	switch {
	case configMap != nil && secret != nil:
		b.invalid(*secret, "say either %s or %s, not both", LoginCAConfigMap, LoginCASecret)
		return nil
	case secret != nil:
		return b.caSource(*secret, true)
	case configMap != nil:
		return b.caSource(*configMap, false)
	}
	if configMap, ok := b.get(LoginCAConfigMap); ok {
		return b.caSource(configMap, false)
	}
	return nil
}

func (b *builder) caSource(s setting, secret bool) *CASource {
	name, key, hasKey := strings.Cut(s.value, "/")
	if !hasKey {
		key = contract.CAFileName
	}
	if len(validation.IsDNS1123Subdomain(name)) > 0 || len(validation.IsConfigMapKey(key)) > 0 {
		b.invalid(s, "must be the name of an object of the pod's namespace, and a key of it if that is not %s, such as vault-ca or vault-ca/tls.crt",
			contract.CAFileName)
	}
	return &CASource{Secret: secret, Name: name, Key: key}
}

// loginMountPath defaults to a directory for each login, so that no login can
// reach into another's. It is one of Linux, as logins are.
func (b *builder) loginMountPath(name string) string {
	s, ok := b.get(LoginMountPath)
	if !ok {
		return contract.Named(DefaultLoginMountPath, name)
	}
	if err := checkMountPath(s.value, "", DefaultLoginMountPath); err != nil {
		b.invalid(s, "%s", err)
	}
	if b.settings.has(LoginMountPath) {
		return s.value
	}
	return contract.Named(s.value, name)
}

// maxLoginFile leaves room for what the login program adds to the name of a file
// that is not complete yet; file systems take 255 bytes.
const maxLoginFile = 200

func (b *builder) loginFile() string {
	s, ok := b.get(LoginFile)
	if !ok {
		return DefaultLoginFile
	}
	switch {
	case !isFileName(s.value):
		b.invalid(s, "%s", fileNameAllowed)
	case strings.HasPrefix(s.value, ".") || s.value == contract.CAFileName || len(s.value) > maxLoginFile:
		b.invalid(s, "must not begin with '.', be %s or be longer than %d bytes: the login container keeps such files beside the result",
			contract.CAFileName, maxLoginFile)
	}
	return s.value
}

// loginEnv is the variable of the result. Every login has one, with the
// login's name behind it.
func (b *builder) loginEnv(l *Login) string {
	if s := b.settings.find(LoginEnv); s != nil {
		return b.variable(*s)
	}
	name := "ACCESS_TOKEN_FILE"
	if l.Method == contract.MethodVault {
		name = "VAULT_TOKEN_FILE"
	}
	if l.Name == "" {
		return name
	}
	return name + "_" + strings.ToUpper(strings.ReplaceAll(l.Name, "-", "_"))
}
