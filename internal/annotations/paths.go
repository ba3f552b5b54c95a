package annotations

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
)

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

// systemFiles are files that a container has where a directory would be made:
// the kubelet and the runtime write some of them, every image has the others.
var systemFiles = []string{
	"/etc/group", "/etc/hostname", "/etc/hosts", "/etc/ld.so.cache", "/etc/mtab", "/etc/nsswitch.conf", "/etc/passwd",
	"/etc/resolv.conf", "/etc/shadow",
}

// SystemDirectories are the directories that are reserved, for those who check them in another
// language.
func SystemDirectories() []string { return slices.Clone(systemDirs) }

// SystemFiles are the files that are reserved.
func SystemFiles() []string { return slices.Clone(systemFiles) }

// APITokenDirectories are where the API server's own token is.
func APITokenDirectories() []string { return slices.Clone(apiTokenDirs) }

var (
	errPathCharacters = errors.New("must not hold ':', '$' or control characters")
	errPathLength     = errors.New("must be at most 1024 bytes long")
	errPathKernel     = errors.New("is reserved: the kernel's file systems take no volume")
)

// checkMountPath checks the directory of a token or of a login's result. The
// error has the example of a good one.
func checkMountPath(value string, os OS, example string) error {
	dir := value
	if os == Windows {
		_, dir = slashed(value)
	}
	switch {
	case !strings.HasPrefix(dir, "/"):
		return errors.New("must be an absolute path, such as " + example)
	case dir != path.Clean(dir):
		return errors.New("must be a clean path: no '.', '..', doubled or trailing '/'; this one means " + quote(path.Clean(dir)))
	case strings.ContainsAny(dir, ":$") || strings.ContainsFunc(dir, unicode.IsControl):
		return errPathCharacters
	case len(dir) > 1024:
		return errPathLength
	}
	return checkReserved(dir, os, example)
}

func checkReserved(dir string, os OS, example string) error {
	system := systemDirs
	if os == Windows {
		system = slices.Concat(systemDirs, windowsDirs)
	}
	below := func(top string) bool { return Within(dir, top) }
	switch file := slices.IndexFunc(systemFiles, below); {
	case dir == "/" || slices.Contains(system, dir):
		return errors.New("is reserved: a volume there would hide the container's own files; choose a directory of its own, such as " +
			example)
	case file >= 0:
		return fmt.Errorf("is reserved: %s is a file in every container; choose a directory of its own, such as %s", systemFiles[file],
			example)
	case slices.ContainsFunc(kernelDirs, below):
		return errPathKernel
	}
	for _, api := range apiTokenDirs {
		if Within(dir, api) || Within(api, dir) {
			return fmt.Errorf("is reserved: %s holds the API server's own token", api)
		}
	}
	return nil
}

// Within reports whether dir is the directory top or lies below it. Both must be
// clean.
func Within(dir, top string) bool {
	top = strings.TrimSuffix(top, "/")
	return strings.HasPrefix(dir, top) && (len(dir) == len(top) || dir[len(top)] == '/')
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
	if drive == "" {
		return path.Clean(value)
	}
	return drive + path.Clean(value)
}

// CanonicalPath is [ComparablePath] with one more rule: /var/run has the name
// that it has in nearly every image, in which it is a link to /run.
func CanonicalPath(value string, os OS) string {
	return canonical(ComparablePath(value, os), os)
}

// canonical is the canonical form of a comparable path.
func canonical(dir string, os OS) string {
	if os != Windows && Within(dir, "/var/run") {
		return dir[len("/var"):]
	}
	return dir
}
