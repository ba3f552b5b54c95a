package policy

import (
	"regexp"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/glob"
)

// reserved are variables that change how programs load code, start or find their
// peers, by kind. The value that an annotation gives a variable is the path of a
// file whose content may come from the server that the same annotations name, so
// for some of these that is the same as running what is in it.
//
// The names come from what sudo removes (env.c, initial_badenv_table), from what
// the C library ignores in privileged programs (unsecvars.h), and from the manuals
// of the programs: docs/design/policy.md.
var reserved = []struct {
	kind  string
	names []glob.Pattern
}{
	{"the loader and the C library", variables(
		"LD_* DYLD_* _RLD* LDR_* LIBPATH SHLIB_PATH *_LIBRARY_PATH *_PRELOAD GLIBC_TUNABLES GCONV_PATH GETCONF_DIR " +
			"LOCPATH NLSPATH PATH_LOCALE LANG LANGUAGE LC_* TZ TZDIR MALLOC_* NIS_PATH RESOLV_HOST_CONF RES_OPTIONS HOSTALIASES " +
			"LOCALDOMAIN")},
	{"shells and terminals", variables(
		"BASH_* BASHOPTS SHELLOPTS ENV IFS PS1 PS2 PS3 PS4 PROMPT_COMMAND CDPATH GLOBIGNORE FIGNORE FPATH ZDOTDIR NULLCMD READNULLCMD " +
			"TMPPREFIX INPUTRC HISTFILE POSIXLY_CORRECT TERM TERMINFO* TERMCAP TERMPATH PSMODULEPATH COMSPEC PATHEXT")},
	{"where a program finds its files", variables(
		"PATH HOME *_HOME USER LOGNAME USERNAME USERPROFILE HOMEDRIVE HOMEPATH SHELL PWD OLDPWD TMP TEMP TMPDIR TEMPDIR XDG_* APPDATA " +
			"LOCALAPPDATA PROGRAMDATA PROGRAMFILES* SYSTEMROOT SYSTEMDRIVE WINDIR *_CONF *_CONFIG *_CONFIG_FILE *_CONFIG_DIR " +
			"*_CONFIG_PATH *_MODULE_PATH *_PLUGIN_PATH *_PLUGIN_DIR *_PLUGINS *_MODULE *_MODULES *_CONF_DIR SASL_PATH GNUPGHOME ODBC*")},
	{"programs that others start", variables(
		"EDITOR VISUAL PAGER MANPAGER BROWSER LESS LESSOPEN LESSCLOSE LESSKEY* *_EDITOR *_PAGER *_ASKPASS GIT_* SSH_* RSYNC_* SVN_* " +
			"HGRCPATH MAKEFLAGS MFLAGS MAKEFILES AWKPATH AWKLIBPATH VIMINIT EXINIT CARGO_* RUSTC_* SYSTEMD_*")},
	{"interpreters and runtimes", variables(
		"*_OPTS *_OPTIONS *_ARGS *_FLAGS CLASSPATH JAVA_* _JAVA_* JDK_* PYTHON* PIP_* UV_* VIRTUAL_ENV PERL* RUBY* GEM_* BUNDLE_* NODE_* " +
			"NPM_* YARN_* BUN_* DENO_* PHPRC PHP_* LUA_* ERL_* ELIXIR_* R_* JULIA_* GUILE_* TCLLIBPATH OCAMLRUNPARAM GHCRTS DOTNET_* " +
			"CORECLR_* COR_* COMPLUS_* ASPNETCORE_* MONO_* GODEBUG GOFLAGS GOENV GOPATH GOROOT GOPROXY GOTOOLCHAIN GOTRACEBACK " +
			"GOMEMLIMIT GOGC GOMAXPROCS GOCOVERDIR")},
	{"whom a program trusts", variables(
		"OPENSSL_* SSL_* SSLKEYLOGFILE GNUTLS_* CURL_* NETRC WGETRC KRB5* P11_* " +
			"*_CA_BUNDLE *_CA_CERT *_CA_CERTS *_CA_FILE *_CACERT *_CAFILE *_CAPATH *_CAINFO *_CERT *_CERT_FILE *_SKIP_VERIFY")},
	{"a program's peers", variables(
		"HOST HOSTNAME PORT *_PROXY *_ADDR *_ADDRESS *_HOST *_HOSTS *_PORT *_PORT_* *_URL *_URI *_ENDPOINT *_ENDPOINT_URL* *_SERVER " +
			"*_SERVERS KUBERNETES_* KUBECONFIG DOCKER_* CONTAINER_HOST VAULT_* BAO_* AWS_SHARED_CREDENTIALS_FILE AWS_DATA_PATH " +
			"CLOUDSDK_* PGSERVICE* PGSYSCONFDIR LDAPRC LDAPCONF TNS_ADMIN")},
}

// tokens are names that say what annotations put there, which no program takes
// for anything else: they are not reserved, whatever they begin with. One is the
// KUBERNETES_SERVICE_ACCOUNT_TOKEN of Vault's clients.
var tokens = variables("*_TOKEN *_TOKEN_FILE *_TOKEN_PATH *_TOKEN_FILE_* *_JWT *_JWT_FILE *_JWT_PATH")

func variables(names string) []glob.Pattern { return glob.All(strings.Fields(names)) }

// newVariables compiles patterns of variables. Their case does not count, as on
// Windows: it would be one more way to write a name that is denied.
func newVariables(patterns []string) []glob.Pattern {
	globs := make([]glob.Pattern, 0, len(patterns))
	for _, p := range patterns {
		globs = append(globs, glob.New(strings.ToUpper(p)))
	}
	return globs
}

// variablePattern is what can match the name of a variable.
var variablePattern = regexp.MustCompile(`^[-._A-Za-z0-9*?]+$`)

func env(r *ruleset) *rule[glob.Pattern, string] { return &r.env }

// Env returns why annotations may not set the variable, or nil.
func (r Rules) Env(name string) error {
	name = strings.ToUpper(name)
	v := judge(r, env, name)
	if v.denied {
		return r.denied("variable")
	}
	if kind, pattern := reservedBy(name); kind != "" && !r.named(env, name) {
		return refuse(ErrReserved, "%s concerns %s: the injector's policy does not allow this variable by name", pattern, kind)
	}
	if v.limited && !v.allowed {
		return notListed(r, env)
	}
	return nil
}

// reservedName is a pattern of names of one kind.
type reservedName struct {
	kind    string
	pattern glob.Pattern
}

// reservedNames are the reserved patterns by their first byte: a name is compared
// with those of its own first byte and with those that begin with a star.
var reservedNames = func() map[byte][]reservedName {
	byFirst := map[byte][]reservedName{}
	for _, r := range reserved {
		for _, g := range r.names {
			byFirst[g.String()[0]] = append(byFirst[g.String()[0]], reservedName{r.kind, g})
		}
	}
	return byFirst
}()

// reservedBy returns which pattern reserves a name in capitals, and of which kind
// it is; nothing where none does.
func reservedBy(name string) (kind, pattern string) {
	if name == "" || glob.Any(tokens, name) {
		return "", ""
	}
	for _, first := range []byte{name[0], '*'} {
		for _, r := range reservedNames[first] {
			if r.pattern.Matches(name) {
				return r.kind, r.pattern.String()
			}
		}
	}
	return "", ""
}
