package annotations

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// Login is the exchange of a token at a relying party, by a container of its
// own whose result other containers read.
type Login struct {
	// Name is the annotations' suffix; empty for the default login.
	Name string
	// Method is the name of one of [loginspec.Methods].
	Method string
	// Token is the name of the token that is exchanged.
	Token string
	// Options are those of the method that have a value.
	Options loginspec.Values
	// CA names the object that holds certificate authorities, or is nil.
	CA *CASource
	// Mode and Format are those of the program.
	Mode, Format string
	// MountPath is the absolute directory of the result as it was written,
	// Directory the same in the form of [CanonicalPath], and File its name there.
	MountPath, Directory, File string
	// Env is the variable that holds the result's full path, and ClientEnv is true
	// where the variables of the relying party's own clients are set, too.
	Env       string
	ClientEnv bool
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
func (l *Login) CAPath() string { return path.Join(l.MountPath, loginspec.CAFileName) }

// Annotation names the annotation that a value of the login came from, as
// [Token.Annotation] does.
func (l *Login) Annotation(key string) string { return l.settings.or(key, LoginMethod).annotation }

// KeyPath is where that annotation stands.
func (l *Login) KeyPath(key string) *field.Path { return l.settings.or(key, LoginMethod).path() }

// Has reports whether an annotation or a profile sets the key.
func (l *Login) Has(key string) bool { return l.settings.has(key) }

// Own reports whether the pod itself wrote the annotation of a key.
func (l *Login) Own(key string) bool { return l.settings.own(key) }

// Spec describes the method. It is empty where there is no such method.
func (l *Login) Spec() *loginspec.Method {
	if m := loginspec.MethodOf(l.Method); m != nil {
		return m
	}
	return &loginspec.Method{}
}

// Endpoints are the options that say where the token is sent, or who is asked
// where to send it.
func (l *Login) Endpoints() []*loginspec.Option {
	var given []*loginspec.Option
	options := l.Spec().Options
	for i := range options {
		if o := &options[i]; o.Endpoint && l.Options[o.Name] != "" {
			given = append(given, o)
		}
	}
	return given
}

// URL is the first of the Endpoints.
func (l *Login) URL() string {
	for _, o := range l.Endpoints() {
		return l.Options[o.Name]
	}
	return ""
}

// login builds a login without its token; see findToken. Its containers are
// those of the name, which were read for the token.
func (b *builder) login(name string, containers Scope) Login {
	l := b.anyLogin(name, containers)
	method := b.settings.find(LoginMethod)
	l.Method = method.value
	if b.check(loginspec.Lookup(LoginMethod), *method) {
		b.methodOptions(&l)
	}
	l.Env = b.loginEnv(&l)
	if b.os == Windows {
		b.errs = append(b.errs, field.Forbidden(l.Source, "logins are for Linux pods: the login container is a Linux program"))
	}
	return l
}

// anyLogin builds what a login has whatever its method.
func (b *builder) anyLogin(name string, containers Scope) Login {
	l := Login{
		Name:       name,
		Token:      b.loginToken(),
		Mode:       b.value(loginspec.Lookup(LoginMode)),
		Format:     b.value(loginspec.Lookup(LoginFormat)),
		MountPath:  b.loginMountPath(name),
		File:       b.loginFile(),
		CA:         b.ca(),
		Containers: containers,
		settings:   b.settings,
		Source:     b.settings.or(LoginMethod, "").path(),
	}
	l.Directory = CanonicalPath(l.MountPath, "")
	return l
}

// methodOptions reads the options of the method.
func (b *builder) methodOptions(l *Login) {
	method := l.Spec()
	b.rejectKeysOfOtherMethods(method)
	l.Options = make(loginspec.Values, len(method.Options))
	for i := range method.Options {
		o := &method.Options[i]
		switch value := b.value(o); {
		case o.Key == LoginClientEnv:
			l.ClientEnv, _ = strconv.ParseBool(value)
		case value != "":
			l.Options[o.Name] = value
		}
	}
	b.checkNeeds(l, method)
}

// checkNeeds reports what is missing, or given twice.
func (b *builder) checkNeeds(l *Login, method *loginspec.Method) {
	var given []*loginspec.Option
	for _, name := range method.Needs {
		if o := method.Option(name); b.has(o) {
			given = append(given, o)
		}
	}
	switch {
	case len(given) == 0 && !b.incomplete:
		key := method.Option(method.Needs[0]).Key
		detail := "the login needs " + method.Missing(func(o *loginspec.Option) string { return o.Key })
		b.errs = append(b.errs, field.Required(annotationsPath.Key(b.prefix.Key(key, l.Name)), detail))
	case len(given) > 1:
		s, _ := b.setting(given[0])
		b.invalid(s, "say either %s or %s, not both", given[0].Key, given[1].Key)
	}
}

// setting is that of an option, from the defaults where they may have it.
func (b *builder) setting(o *loginspec.Option) (setting, bool) {
	if o.Configurable {
		return b.get(o.Key)
	}
	if s := b.settings.find(o.Key); s != nil {
		return *s, true
	}
	return setting{}, false
}

func (b *builder) has(o *loginspec.Option) bool {
	_, ok := b.setting(o)
	return ok
}

// value is that of an option, or its built-in default.
func (b *builder) value(o *loginspec.Option) string {
	s, ok := b.setting(o)
	if !ok {
		return o.Default
	}
	b.check(o, s)
	return s.value
}

// check reports a value that the option cannot have.
func (b *builder) check(o *loginspec.Option, s setting) (valid bool) {
	err := o.Validate(s.value)
	switch {
	case err == nil:
		return true
	case o.OneOf != nil:
		b.errs = append(b.errs, field.NotSupported(s.path(), Shorten(s.value), o.OneOf))
	default:
		b.invalid(s, "%s", err)
	}
	return false
}

// rejectKeysOfOtherMethods reports keys that the method has no use for.
func (b *builder) rejectKeysOfOtherMethods(method *loginspec.Method) {
	for i := range b.settings {
		s := &b.settings[i]
		if others := loginspec.Families(s.key); len(others) > 0 && method.Key(s.key) == nil {
			b.invalid(*s, "this key is for %s: a login of method %s has no use for it", loginspec.List(others, "and"), method.Name)
		}
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
		key = loginspec.CAFileName
	}
	if len(validation.IsDNS1123Subdomain(name)) > 0 || len(validation.IsConfigMapKey(key)) > 0 {
		b.invalid(s, "must be the name of an object of the pod's namespace, and a key of it if that is not %s, such as vault-ca or vault-ca/tls.crt",
			loginspec.CAFileName)
	}
	return &CASource{Secret: secret, Name: name, Key: key}
}

// loginMountPath defaults to a directory for each login, so that no login can
// reach into another's. It is one of Linux, as logins are.
func (b *builder) loginMountPath(name string) string {
	s, ok := b.get(LoginMountPath)
	if !ok {
		return loginspec.Named(loginspec.DefaultMountPath, name)
	}
	if err := checkMountPath(s.value, "", loginspec.DefaultMountPath); err != nil {
		b.invalid(s, "%s", err)
	}
	if b.settings.has(LoginMountPath) {
		return s.value
	}
	return loginspec.Named(s.value, name)
}

// maxLoginFile leaves room for what the login program adds to the name of a file
// that is not complete yet; file systems take 255 bytes.
const maxLoginFile = 200

func (b *builder) loginFile() string {
	s, ok := b.get(LoginFile)
	if !ok {
		return loginspec.DefaultFile
	}
	switch {
	case !isFileName(s.value):
		b.invalid(s, "%s", fileNameAllowed)
	case strings.HasPrefix(s.value, ".") || s.value == loginspec.CAFileName || len(s.value) > maxLoginFile:
		b.invalid(s, "must not begin with '.', be %s or be longer than %d bytes: the login container keeps such files beside the result",
			loginspec.CAFileName, maxLoginFile)
	}
	return s.value
}

// loginEnv is the variable of the result. Every login has one, with the
// login's name behind it.
func (b *builder) loginEnv(l *Login) string {
	if s := b.settings.find(LoginEnv); s != nil {
		return b.variable(*s)
	}
	name := l.Spec().FileVariable
	if l.Name == "" || name == "" {
		return name
	}
	return name + "_" + strings.ToUpper(strings.ReplaceAll(l.Name, "-", "_"))
}
