// Package flagcheck reports values that flags may not have, all at once.
package flagcheck

import (
	"errors"
	"fmt"
)

// Check is a rule for one flag.
type Check struct {
	// OK reports whether the value is allowed.
	OK bool
	// Flag is the name, without dashes, and Allowed completes "must be …".
	Flag, Value, Allowed string
}

// Errors is an error for each flag whose value is not allowed, or nil.
func Errors(checks ...Check) error {
	var errs []error
	for _, c := range checks {
		if !c.OK {
			errs = append(errs, fmt.Errorf("--%s: invalid value %q: must be %s", c.Flag, c.Value, c.Allowed))
		}
	}
	return errors.Join(errs...)
}
