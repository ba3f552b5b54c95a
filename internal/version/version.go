// Package version tells which version of the program this is.
package version

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker: -X …/internal/version.version=v1.2.3.
var version string

// Version is the program's version, such as "v1.2.3": the one the linker set,
// else the module's, else "(devel)".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// String is the line that --version prints.
func String(program string) string {
	return program + " " + Version() + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
