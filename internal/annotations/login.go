package annotations

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/finding"
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
	// Options are those that have a value, whether they are the method's own or every
	// login's.
	Options loginspec.Values
	// CA names the object that holds certificate authorities, or is nil.
	CA *Object
	// Client are the files by which the login container proves who it is.
	Client []File
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

// Object is an entry of an object of the API.
type Object struct {
	Kind ObjectKind
	// Name is the object's, in the pod's namespace unless it is a ClusterTrustBundle.
	Name string
	// Signer stands for all ClusterTrustBundles of a signer, instead of a name.
	Signer string
	// Key is the entry that holds the content; a ClusterTrustBundle has none.
	Key string
}

// ObjectKind is what an object is.
type ObjectKind string

// The kinds of objects.
const (
	ConfigMap          ObjectKind = "ConfigMap"
	Secret             ObjectKind = "Secret"
	ClusterTrustBundle ObjectKind = "ClusterTrustBundle"
)

// Annotated is the key of the annotation by which a login names certificate
// authorities in an object of this kind.
func (o *Object) Annotated() string {
	for _, k := range caKeys {
		if k.kind == o.Kind {
			return k.key
		}
	}
	return ""
}

// File is a file that a container has of an object.
type File struct {
	Object
	// Path is the file's name.
	Path string
}

// DisplayName names the login in messages: NAME, or "default".
func (l *Login) DisplayName() string { return displayName(l.Name) }

// Path returns the result's full path in a container.
func (l *Login) Path() string { return path.Join(l.MountPath, l.File) }

// CAPath returns the full path of the copy of the certificate authorities that
// the workload can use.
func (l *Login) CAPath() string { return path.Join(l.MountPath, loginspec.CAFileName) }

// Origin names what a value of the login came from, as [Token.Origin] does.
func (l *Login) Origin(key string) string { return l.settings.or(key, LoginMethod).origin() }

// KeyPath is where that annotation stands.
func (l *Login) KeyPath(key string) *field.Path { return l.settings.or(key, LoginMethod).path() }

// Has reports whether an annotation or a profile sets the key.
func (l *Login) Has(key string) bool { return l.settings.has(key) }

// Own reports whether the pod itself wrote the annotation of a key.
func (l *Login) Own(key string) bool { return l.settings.own(key) }

// Sidecar reports whether the container that logs in runs on.
func (l *Login) Sidecar() bool { return l.Options[loginspec.Mode] == loginspec.ModeSidecar }

// Once reports whether the relying party accepts each token once.
func (l *Login) Once() bool { return l.Options[loginspec.JWTUse] == loginspec.JWTOnce }

// NamedSecret is a Secret, and the key of the annotation that names it.
type NamedSecret struct{ Key, Name string }

// Secrets are those that the annotations name.
func (l *Login) Secrets() []NamedSecret {
	var all []NamedSecret
	if l.CA != nil && l.CA.Kind == Secret {
		all = append(all, NamedSecret{LoginCASecret, l.CA.Name})
	}
	for _, o := range l.Spec().All() {
		if named := l.Options[o.Name]; o.Secret != "" && named != "" {
			name, _, _ := strings.Cut(named, "/")
			all = append(all, NamedSecret{o.Key, name})
		}
	}
	return all
}

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
		b.fail(finding.LoginOnWindows, field.Forbidden(l.Source, "logins are for Linux pods: the login container is a Linux program"))
	}
	return l
}

// anyLogin builds what a login has whatever its method.
func (b *builder) anyLogin(name string, containers Scope) Login {
	l := Login{
		Name:       name,
		Token:      b.loginToken(),
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

// methodOptions reads the options of a login of the method.
func (b *builder) methodOptions(l *Login) {
	method := l.Spec()
	b.rejectKeysOfOtherMethods(method)
	all := method.All()
	l.Options = make(loginspec.Values, len(all))
	for i := range all {
		o := &all[i]
		if o.Key == "" || o.Key == LoginMethod {
			continue
		}
		switch value := b.value(o); {
		case value == "":
		case o.Key == LoginClientEnv:
			l.ClientEnv, _ = strconv.ParseBool(value)
		case o.Name != "":
			l.Options[o.Name] = value
		}
		if s, ok := b.setting(o); ok && o.Secret != "" {
			l.Client = append(l.Client, b.clientFiles(o, s)...)
		}
	}
	b.checkNeeds(l, method)
	b.checkRules(l, method)
}

// checkRules reports what the options ask of one another.
func (b *builder) checkRules(l *Login, method *loginspec.Method) {
	keyOf := func(name loginspec.Name) string { return method.Option(name).Key }
	for _, broken := range method.Violations(l.Options, keyOf) {
		s, given := b.setting(method.Option(broken.Option))
		switch {
		case given:
			b.invalid(s, "%s", broken.Err)
		case !b.incomplete:
			b.fail(finding.MissingAnnotation, field.Required(annotationsPath.Key(b.prefix.Key(keyOf(broken.Option), l.Name)),
				broken.Err.Error()))
		}
	}
}

// clientFiles are those that the Secret of an option holds. A certificate brings its
// key.
func (b *builder) clientFiles(o *loginspec.Option, s setting) []File {
	object := b.object(s, Secret, o.Secret)
	files := []File{{object, o.Secret}}
	if o.Name == loginspec.ClientCert {
		if object.Key != o.Secret {
			b.invalid(s, "must be the name of a Secret with the entries %s and %s", o.Secret, loginspec.ClientKeyFile)
		}
		object.Key = loginspec.ClientKeyFile
		files = append(files, File{object, loginspec.ClientKeyFile})
	}
	return files
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
		b.fail(finding.MissingAnnotation, field.Required(annotationsPath.Key(b.prefix.Key(key, l.Name)), detail))
	case len(given) > 1:
		s, _ := b.setting(given[0])
		b.exclusive(s, given[0].Key, given[1].Key)
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
		b.fail(finding.InvalidValue, field.NotSupported(s.path(), Shorten(s.value), o.OneOf))
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
			b.fail(finding.UnusedAnnotation, field.Invalid(s.path(), Shorten(s.value), fmt.Sprintf(
				"this key is for %s: a login of method %s has no use for it", loginspec.List(others, "and"), method.Name)))
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
			return finding.Error(finding.UnknownToken, field.Invalid(s.path(), Shorten(s.value),
				"the pod has no such token: it would be asked for by "+prefix.Key(Audience, l.Token)))
		}
		return nil
	}
	if has(l.Name) {
		l.Token = l.Name
	} else if !has("") {
		return finding.Error(finding.MissingAnnotation, field.Required(annotationsPath.Key(prefix.Key(Audience, l.Name)),
			"the login needs a token, and a token needs an audience"))
	}
	return nil
}

// caKeys are the annotations that name certificate authorities, and what objects
// they name.
var caKeys = []struct {
	key  string
	kind ObjectKind
}{{LoginCAConfigMap, ConfigMap}, {LoginCASecret, Secret}, {LoginCABundle, ClusterTrustBundle}}

// ca reads which object holds the certificate authorities. One that the login's own
// annotations name counts before the defaults.
func (b *builder) ca() *Object {
	var found *setting
	var kind ObjectKind
	for _, k := range caKeys {
		s := b.settings.find(k.key)
		switch {
		case s == nil:
		case found != nil:
			b.exclusive(*s, found.key, s.key)
		default:
			found, kind = s, k.kind
		}
	}
	for _, k := range caKeys {
		if s, ok := b.get(k.key); ok && found == nil {
			found, kind = &s, k.kind
		}
	}
	if found == nil {
		return nil
	}
	object := b.object(*found, kind, loginspec.CAFileName)
	return &object
}

// object reads the name of an object, and the key of its entry where it has any.
func (b *builder) object(s setting, kind ObjectKind, key string) Object {
	if kind == ClusterTrustBundle {
		return b.bundle(s)
	}
	object := Object{Kind: kind, Key: key}
	name, said, hasKey := strings.Cut(s.value, "/")
	if object.Name = name; hasKey {
		object.Key = said
	}
	if len(validation.IsDNS1123Subdomain(name)) > 0 || len(validation.IsConfigMapKey(object.Key)) > 0 {
		b.invalid(s, "must be the name of a %s of the pod's namespace, and a key of it if that is not %s, such as vault or vault/%s", kind,
			key, key)
	}
	return object
}

// bundle reads which ClusterTrustBundle is meant: one of a name, one of a signer,
// or all of a signer. The name of a signer is a domain and a path, and what belongs
// to it has names that begin with it, with colons for slashes (certificates.k8s.io/v1
// ClusterTrustBundleSpec.signerName).
func (b *builder) bundle(s setting) Object {
	parts := strings.Split(s.value, "/")
	valid := len(parts) <= 3
	for i, part := range parts {
		if i == len(parts)-1 && len(parts) == 1 {
			// The name of a bundle may have the colons of a signer.
			part = part[strings.LastIndexByte(part, ':')+1:]
		}
		valid = valid && len(validation.IsDNS1123Subdomain(part)) == 0
	}
	if !valid || len(s.value) > validation.DNS1123SubdomainMaxLength {
		b.invalid(s, "must be the name of a ClusterTrustBundle, signer/name or signer, such as corporate-ca, "+
			"example.com/issuer/root or example.com/issuer")
	}
	if len(parts) == 2 {
		return Object{Kind: ClusterTrustBundle, Signer: s.value}
	}
	return Object{Kind: ClusterTrustBundle, Name: strings.Join(parts, ":")}
}

// loginMountPath defaults to a directory for each login, so that no login can
// reach into another's. It is one of Linux, as logins are.
func (b *builder) loginMountPath(name string) string {
	s, ok := b.get(LoginMountPath)
	if !ok {
		return loginspec.Named(b.prefix.Names().LoginDirectory, name)
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
