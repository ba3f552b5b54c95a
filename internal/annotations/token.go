package annotations

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// builder turns the settings of one name into a Token and a Login.
type builder struct {
	prefix   Prefix
	settings settings
	defaults Preset
	os       OS
	// anyOS is true where pods of any operating system may take the values over.
	anyOS bool
	max   time.Duration
	// incomplete is true where what is missing may be supplied later, or was to be
	// supplied by something that is missing itself.
	incomplete bool
	errs       field.ErrorList
}

func (b *builder) build(name string) Token {
	t := Token{
		Name:      name,
		Audience:  b.audience(),
		File:      b.tokenFile(name),
		MountPath: b.mountPath(),
		FileMode:  b.fileMode(),
		Env:       b.env(),
		Scope:     b.scope(),
		Source:    b.settings[Audience].path,
		settings:  b.settings,
	}
	t.ExpirationSeconds = b.expiration()
	return t
}

// defaultsPath stands for a default, which was checked when it was configured.
var defaultsPath = field.NewPath("defaults")

// get returns the setting of a key, from the defaults where the token does not
// have it.
func (b *builder) get(key string) (setting, bool) {
	if s, ok := b.settings[key]; ok {
		return s, true
	}
	value, ok := b.defaults[key]
	return setting{value: value, path: defaultsPath}, ok
}

func (b *builder) invalid(s setting, format string, args ...any) {
	b.errs = append(b.errs, field.Invalid(s.path, shorten(s.value), fmt.Sprintf(format, args...)))
}

func (b *builder) audience() string {
	s, ok := b.settings[Audience]
	if !ok {
		return ""
	}
	switch {
	case strings.TrimSpace(s.value) == "":
		b.invalid(s, "the audience must not be empty")
	case strings.ContainsFunc(s.value, unicode.IsControl):
		b.invalid(s, "the audience must not hold control characters")
	case strings.TrimSpace(s.value) != s.value:
		b.invalid(s, "the audience must not begin or end with white space")
	}
	return s.value
}

func (b *builder) expiration() int64 {
	s, ok := b.get(Expiration)
	if !ok {
		return int64(min(DefaultExpiration, b.max) / time.Second)
	}
	seconds, ok := parseSeconds(s.value)
	// Compared as seconds: an hour count that overflows a Duration is caught by
	// the parsers, and a second count is never turned into a Duration.
	if !ok || seconds < int64(MinExpiration/time.Second) || seconds > int64(b.max/time.Second) {
		b.invalid(s, "must be whole seconds (7200) or a Go duration (2h), from %d to %d seconds",
			int64(MinExpiration/time.Second), int64(b.max/time.Second))
		return 0
	}
	return seconds
}

// parseSeconds reads "7200" or "2h". It is false for anything else, an
// overflow and a fraction of a second among it.
func parseSeconds(value string) (int64, bool) {
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return int64(seconds), true
	}
	d, err := time.ParseDuration(value)
	if err != nil || d%time.Second != 0 {
		return 0, false
	}
	return int64(d / time.Second), true
}

// tokenFile defaults to the token's name, so that tokens of one directory do
// not collide; the configuration's default is for the default token only.
func (b *builder) tokenFile(name string) string {
	s, ok := b.get(TokenFile)
	if own, set := b.settings[TokenFile]; set {
		s = own
	} else if name != "" {
		return name
	} else if !ok {
		return DefaultTokenFile
	}
	if !isFileName(s.value) {
		b.invalid(s, "%s", fileNameAllowed)
	}
	return s.value
}

const fileNameAllowed = `must be a file name of at most 255 bytes, without '/', '\', ':', '$', ".." or control characters`

func isFileName(value string) bool {
	switch {
	case value == "", value == ".", len(value) > 255,
		// The kubelet keeps names that begin with ".." for its own atomic
		// writer; anywhere else they are merely suspicious.
		strings.Contains(value, ".."),
		strings.ContainsAny(value, `/\:$`), // Kubernetes would expand $(…) in a variable
		strings.ContainsFunc(value, unicode.IsControl):
		return false
	}
	return true
}

func (b *builder) mountPath() string {
	s, ok := b.get(MountPath)
	if !ok {
		return DefaultMountPath
	}
	return b.directory(s)
}

// directory checks a mount path.
func (b *builder) directory(s setting) string {
	problem := mountPathProblem(s.value, b.os, DefaultMountPath)
	if problem != "" && b.anyOS && mountPathProblem(s.value, Windows, DefaultMountPath) == "" {
		problem = ""
	}
	if problem != "" {
		b.invalid(s, "%s", problem)
	}
	return s.value
}

func (b *builder) fileMode() *int32 {
	s, ok := b.get(FileMode)
	if !ok {
		return nil
	}
	digits := strings.TrimPrefix(s.value, "0o")
	mode, err := strconv.ParseUint(digits, 8, 31)
	if err != nil || mode > 0o777 || mode&0o444 == 0 {
		b.invalid(s, "must be an octal mode from 0004 to 0777 that lets somebody read, such as 0440")
		return nil
	}
	bits := int32(mode)
	return &bits
}

func (b *builder) env() string {
	s, ok := b.settings[Env]
	if !ok {
		return ""
	}
	return b.variable(s)
}

// variable checks the name of a variable.
func (b *builder) variable(s setting) string {
	if problems := validation.IsEnvVarName(s.value); len(problems) > 0 {
		b.invalid(s, "must be the name of an environment variable: letters, digits and '_', not starting with a digit, such as VAULT_TOKEN_FILE")
	}
	return s.value
}

func (b *builder) scope() Scope {
	only, hasOnly := b.settings[Containers]
	skip, hasSkip := b.settings[SkipContainers]
	if hasOnly && hasSkip {
		b.invalid(skip, "say either %s or %s, not both", Containers, SkipContainers)
	}
	switch {
	case hasOnly:
		return Scope{Only: b.names(only), Written: only.own}
	case hasSkip:
		return Scope{Skip: b.names(skip), Written: skip.own}
	}
	if skip, ok := b.get(SkipContainers); ok {
		return Scope{Skip: b.names(skip)}
	}
	return Scope{}
}

// names reads a comma-separated list of container names.
func (b *builder) names(s setting) []string {
	names := make([]string, 0, min(strings.Count(s.value, ",")+1, maxNames))
	for name := range strings.SplitSeq(s.value, ",") {
		name = strings.TrimSpace(name)
		if len(names) == maxNames || len(validation.IsDNS1123Label(name)) > 0 {
			b.invalid(s, "must be container names, separated by commas, such as app,worker; at most %d", maxNames)
			return names
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// apiTokenDirs is where the ServiceAccount admission plugin mounts the API
// server's own token, under both names that /var/run has.
var apiTokenDirs = []string{
	"/var/run/secrets/kubernetes.io/serviceaccount",
	"/run/secrets/kubernetes.io/serviceaccount",
}

// systemDirs are directories that a container cannot do without: a volume
// mounted there would hide what is in them.
var systemDirs = []string{
	"/bin", "/boot", "/dev", "/etc", "/etc/pki", "/etc/ssl", "/etc/ssl/certs", "/home", "/lib", "/lib64", "/opt",
	"/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/local",
	"/usr/local/bin", "/usr/local/lib", "/usr/sbin", "/usr/share", "/var", "/var/lib", "/var/run",
}

// windowsDirs are their counterparts on Windows, in lower case.
var windowsDirs = []string{
	"/windows", "/windows/system32", "/program files", "/program files (x86)", "/programdata", "/users",
}

// kernelDirs are file systems of the kernel: nothing can be mounted below.
var kernelDirs = []string{"/dev", "/proc", "/sys"}

// mountPathProblem says what is wrong with a mount path, and gives an example of
// a good one; empty when nothing is wrong.
func mountPathProblem(value string, os OS, example string) string {
	dir := value
	if os == Windows {
		_, dir = slashed(value)
	}
	switch {
	case !strings.HasPrefix(dir, "/"):
		return "must be an absolute path, such as " + example
	case dir != path.Clean(dir):
		return "must be a clean path: no '.', '..', doubled or trailing '/'; this one means " + quote(path.Clean(dir))
	case strings.ContainsAny(dir, ":$") || strings.ContainsFunc(dir, unicode.IsControl):
		return "must not hold ':', '$' or control characters"
	case len(dir) > 1024:
		return "must be at most 1024 bytes long"
	}
	return reservedProblem(dir, os, example)
}

func reservedProblem(dir string, os OS, example string) string {
	system := systemDirs
	if os == Windows {
		system = slices.Concat(systemDirs, windowsDirs)
	}
	switch {
	case dir == "/" || slices.Contains(system, dir):
		return "is reserved: a volume there would hide the container's own files; choose a directory of its own, such as " + example
	case slices.ContainsFunc(kernelDirs, func(kernel string) bool { return Within(dir, kernel) }):
		return "is reserved: the kernel's file systems take no volume"
	}
	for _, api := range apiTokenDirs {
		if Within(dir, api) || Within(api, dir) {
			return "is reserved: " + api + " holds the API server's own token"
		}
	}
	return ""
}

// Within tells whether dir is the directory top or lies below it. Both must be
// clean.
func Within(dir, top string) bool {
	rest, ok := strings.CutPrefix(dir, strings.TrimSuffix(top, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// slashed brings a Windows path into the form of the others, so that
// C:\Var\Tokens and /var/tokens compare equal. The drive is empty where it is
// C:, the one that a path without a drive means.
func slashed(value string) (drive, dir string) {
	dir = strings.ToLower(strings.ReplaceAll(value, `\`, "/"))
	if len(dir) >= 3 && 'a' <= dir[0] && dir[0] <= 'z' && dir[1:3] == ":/" {
		drive, dir = dir[:2], dir[2:]
	}
	return strings.TrimPrefix(drive, "c:"), dir
}

// ComparablePath returns the form of a mount path that is equal for paths that
// mean the same directory in a pod of the given operating system. The kubelet
// takes a relative one for a path below the root.
func ComparablePath(value string, os OS) string {
	drive := ""
	if os == Windows {
		drive, value = slashed(value)
	}
	if !strings.HasPrefix(value, "/") {
		value = "/" + value
	}
	return drive + path.Clean(value)
}

// sameFile tells whether two names mean the same file of a directory.
func sameFile(a, b string, os OS) bool {
	return a == b || os == Windows && strings.EqualFold(a, b)
}

// shorten keeps an error readable where the value is huge.
func shorten(value string) string {
	const most = 128
	if len(value) <= most {
		return value
	}
	return strings.ToValidUTF8(value[:most], "") + "…"
}
