// Package before sets what SDKs read while they are initialised, which is before any test:
// packages are initialised in the order of their paths (Go specification, "Program
// initialization"), as soon as what they import is, and this one imports next to nothing.
package before

import "os"

// The driver of Snowflake loads a shared library from its own module for its telemetry
// (minicore.go), which no test needs.
var _ = os.Setenv("SF_DISABLE_MINICORE", "true")
