package policy

import (
	"path"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/glob"
)

// defaultMountPaths are the overall allowed list where the configuration has
// none: directories for what is put there while the system runs.
var defaultMountPaths = []string{"/var/run", "/run", "/mnt", "/var/secrets", "/secrets", "/vault"}

// directory is a mount path in a form that can be compared.
type directory struct {
	// names are what the directory is called: most have one name, and it is there
	// twice.
	names   [2]string
	windows bool
}

// newDirectory reads a clean absolute path. In nearly every image /var/run leads
// to /run, and a Windows path without a drive means drive C.
func newDirectory(dir string, windows bool) directory {
	if windows {
		dir = slashed(dir)
	}
	other := dir
	switch {
	case windows && strings.HasPrefix(dir, "/"):
		other = "c:" + dir
	case windows:
		other = strings.TrimPrefix(dir, "c:")
	case within(dir, "/run"):
		other = "/var" + dir
	case within(dir, "/var/run"):
		other = strings.TrimPrefix(dir, "/var")
	}
	return directory{names: [2]string{dir, other}, windows: windows}
}

// slashed brings a Windows path, whose case does not count, into the form of the
// others.
func slashed(dir string) string { return strings.ToLower(strings.ReplaceAll(dir, `\`, "/")) }

func within(dir, top string) bool {
	rest, found := strings.CutPrefix(dir, top)
	return found && (rest == "" || rest[0] == '/')
}

// pathPattern is a glob of directories, each of which stands for all that is
// below it.
type pathPattern struct {
	text string
	// posix and windows are what the pattern is to the paths of either system: the
	// directory itself, and what is below.
	posix, windows [2]glob.Pattern
}

func newPathPatterns(texts []string) []pathPattern {
	patterns := make([]pathPattern, 0, len(texts))
	for _, text := range texts {
		patterns = append(patterns, pathPattern{text: text, posix: newTree(text), windows: newTree(slashed(text))})
	}
	return patterns
}

func newTree(dir string) [2]glob.Pattern {
	dir = strings.TrimSuffix(dir, "/")
	return [2]glob.Pattern{glob.New(dir), glob.New(dir + "/*")}
}

func (p pathPattern) String() string { return p.text }

// Matches reports whether the pattern stands for a directory, or for one above it.
func (p pathPattern) Matches(d directory) bool {
	tree := p.posix
	if d.windows {
		tree = p.windows
	}
	for _, name := range d.names {
		if tree[0].Matches(name) || tree[1].Matches(name) {
			return true
		}
	}
	return false
}

func mountPaths(r *ruleset) *rule[pathPattern, directory] { return &r.mountPaths }

// MountPath returns why annotations may not have a directory mounted, or nil.
// The path is absolute and clean, in the form of the pod's operating system.
func (r Rules) MountPath(dir string, windows bool) error {
	d := newDirectory(dir, windows)
	v := judge(r, mountPaths, d)
	switch {
	case v.denied:
		return r.denied("mount path")
	case !v.allowed:
		return notListed(r, mountPaths)
	default:
		return nil
	}
}

// couldBeDirectory reports whether a pattern matches any directory at all.
func couldBeDirectory(pattern string) bool {
	dir := strings.ReplaceAll(pattern, `\`, "/")
	if len(dir) > 2 && dir[1] == ':' { // a drive
		if drive := dir[0] | 0x20; (drive < 'a' || drive > 'z') && drive != '*' && drive != '?' {
			return false
		}
		dir = dir[2:]
	}
	if dir == "*" {
		return isPlain(pattern)
	}
	dir = strings.TrimSuffix(dir, "/")
	return isPlain(pattern) && (dir == "" || path.IsAbs(dir) && path.Clean(dir) == dir) && !strings.ContainsAny(dir, ":$")
}
