package annotations_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

const (
	relativePath = "must be an absolute path, such as /var/run/secrets/tokens"
	reservedPath = "is reserved: a volume there would hide the container's own files; " +
		"choose a directory of its own, such as /var/run/secrets/tokens"
	kernelPath = "is reserved: the kernel's file systems take no volume"
	apiPath    = "is reserved: /var/run/secrets/kubernetes.io/serviceaccount holds the API server's own token"
	runAPIPath = "is reserved: /run/secrets/kubernetes.io/serviceaccount holds the API server's own token"
	badPath    = "must not hold ':', '$' or control characters"
)

// uncleanPath is the text for a path that is written in a roundabout way.
func uncleanPath(means string) string {
	return fmt.Sprintf("must be a clean path: no '.', '..', doubled or trailing '/'; this one means %q", means)
}

// filePath is the text for a path at or below a file that every container has.
func filePath(file string) string {
	return "is reserved: " + file + " is a file in every container; choose a directory of its own, such as /var/run/secrets/tokens"
}

func TestMountPaths(t *testing.T) {
	t.Parallel()
	const windows = annotations.Windows
	for _, test := range []struct {
		path    string
		os      annotations.OS
		problem string
	}{
		{"/tokens", "", ""},
		{"/var/run/secrets/tokens", "", ""},
		{"/run/secrets/tokens", "", ""},
		{"/var/run/secrets/kubernetes.io/tokens", "", ""},
		{"/etc/vault", "", ""},
		{"/vault/my tokens…", "", ""},
		{"/devices", "", ""},

		{"", "", relativePath},
		{"tokens", "", relativePath},
		{"./tokens", "", relativePath},
		{"~/tokens", "", relativePath},
		{`C:\tokens`, "", relativePath},

		{"/tokens/", "", uncleanPath("/tokens")},
		{"//tokens", "", uncleanPath("/tokens")},
		{"/tokens//vault", "", uncleanPath("/tokens/vault")},
		{"/tokens/./vault", "", uncleanPath("/tokens/vault")},
		{"/tokens/../etc", "", uncleanPath("/etc")},
		{"/..", "", uncleanPath("/")},
		{"/" + strings.Repeat("a/", 500), "", uncleanPath("/" + strings.Repeat("a/", 63) + "a" + "…")},

		{"/etc/hosts", "", filePath("/etc/hosts")},
		{"/etc/resolv.conf/tokens", "", filePath("/etc/resolv.conf")},
		{"/etc/hosts.d", "", ""},
		{"/dev/termination-log", "", kernelPath},
		{"/tokens:ro", "", badPath},
		{"/tokens\n", "", badPath},
		{"/" + strings.Repeat("a", 1024), "", "must be at most 1024 bytes long"},

		{"/", "", reservedPath},
		{"/etc", "", reservedPath},
		{"/usr", "", reservedPath},
		{"/tmp", "", reservedPath},
		{"/var", "", reservedPath},
		{"/var/run", "", reservedPath},
		{"/proc", "", reservedPath},
		{"/proc/1", "", kernelPath},
		{"/sys/fs/cgroup", "", kernelPath},
		{"/dev/shm", "", kernelPath},

		{"/var/run/secrets/kubernetes.io/serviceaccount", "", apiPath},
		{"/var/run/secrets/kubernetes.io/serviceaccount/vault", "", apiPath},
		{"/var/run/secrets/kubernetes.io", "", apiPath},
		{"/var/run/secrets", "", apiPath},
		{"/run/secrets/kubernetes.io/serviceaccount", "", runAPIPath},
		{"/run/secrets", "", runAPIPath},

		{`C:\Tokens`, windows, ""},
		{"c:/Tokens", windows, ""},
		{`D:\Tokens`, windows, ""},
		{`\Tokens`, windows, ""},
		{"/var/run/secrets/tokens", windows, ""},
		{"Tokens", windows, relativePath},
		{`C:Tokens`, windows, relativePath},
		{`CD:\Tokens`, windows, relativePath},
		{`1:\Tokens`, windows, relativePath},
		{`C:\Tokens\`, windows, uncleanPath("/tokens")},
		{`C:\Tokens\..\Windows`, windows, uncleanPath("/windows")},
		{`\\server\share`, windows, uncleanPath("/server/share")},
		{`C:\Tokens:stream`, windows, badPath},
		{`C:\`, windows, reservedPath},
		{`D:\`, windows, reservedPath},
		{`C:\Windows`, windows, reservedPath},
		{`C:\Program Files`, windows, reservedPath},
		{`C:\VAR\Run\Secrets`, windows, apiPath},
	} {
		_, _, errs := newParser().Parse(keys{"audience": "vault", "mount-path": test.path}.on(test.os))
		got := ""
		if len(errs) > 0 {
			got = errs[0].Detail
		}
		if got != test.problem || len(errs) > 1 {
			t.Errorf("%q on %q:\ngot  %s (%d errors)\nwant %s", test.path, test.os, got, len(errs), test.problem)
		}
	}
}

func TestComparablePath(t *testing.T) {
	t.Parallel()
	const windows = annotations.Windows
	for _, test := range []struct {
		a, b string
		os   annotations.OS
		same bool
	}{
		{"/tokens", "/tokens", "", true},
		{"/tokens", "/tokens/", "", true},
		{"/tokens", "//x/../tokens", "", true},
		{"/tokens", "tokens", "", true}, // the kubelet puts a '/' in front
		{"/tokens", "/Tokens", "", false},
		{"/tokens", `\tokens`, "", false},
		{"/tokens", `C:\Tokens\`, windows, true},
		{"/tokens", `c:/tokens`, windows, true},
		{"/tokens", `\tokens`, windows, true},
		{"/tokens", `D:\tokens`, windows, false},
		{`d:\tokens`, `D:\Tokens`, windows, true},
	} {
		a, b := annotations.ComparablePath(test.a, test.os), annotations.ComparablePath(test.b, test.os)
		if (a == b) != test.same {
			t.Errorf("%s is %s and %s is %s on %q", test.a, a, test.b, b, test.os)
		}
	}
}

func TestCanonicalPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path string
		os   annotations.OS
		want string
	}{
		{"/var/run/secrets/tokens", "", "/run/secrets/tokens"},
		{"/run/secrets/tokens/", "", "/run/secrets/tokens"},
		{"var/run", "", "/run"},
		{"/var/running", "", "/var/running"},
		{"/var/run/../lib", "", "/var/lib"},
		{"/var/run/secrets", annotations.Windows, "/var/run/secrets"},
		{`C:\Var\Run`, annotations.Windows, "/var/run"},
	} {
		if got := annotations.CanonicalPath(test.path, test.os); got != test.want {
			t.Errorf("%s on %q is %s, want %s", test.path, test.os, got, test.want)
		}
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dir, top string
		want     bool
	}{
		{"/a", "/a", true},
		{"/a/b", "/a", true},
		{"/a", "/a/b", false},
		{"/ab", "/a", false},
		{"/a", "/", true},
		{"/", "/", true},
		{"/", "/a", false},
	} {
		if got := annotations.Within(test.dir, test.top); got != test.want {
			t.Errorf("%s within %s: %v", test.dir, test.top, got)
		}
	}
}
