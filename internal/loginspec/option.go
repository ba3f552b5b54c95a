package loginspec

import (
	"fmt"
	"slices"
	"strings"
)

// Name is the name of an option of the program: --NAME as a flag.
type Name string

// EnvPrefix begins the names of the variables that hold options.
const EnvPrefix = "OIDC_LOGIN_"

// Env is the variable that holds the option, such as OIDC_LOGIN_JWT_FILE.
func (n Name) Env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(string(n), "-", "_"))
}

// Option is an option of a login: a flag and a variable of the program, an
// annotation of a pod, or both.
type Option struct {
	// Name is the program's; empty where the webhook alone needs the annotation.
	Name Name
	// Key is the annotation, without its prefix; empty where none sets the option.
	Key string
	// Value is what --help calls the value.
	Value string
	// Default is the value where none is given.
	Default string
	// OneOf are the only values, where there are few.
	OneOf []string
	// Check says what a value must be that is not; nil takes any.
	Check func(value string) error
	// Help says what the option is, in whole sentences, without its default.
	Help string
	// Example is a value for the documentation, where OneOf has none.
	Example string
	// Means names the value where it is needed and missing.
	Means string
	// Configurable options make sense for all logins of a cluster, so that the
	// configuration's defaults may have them.
	Configurable bool
	// Endpoint is true for an address that the token is sent to, or that is asked
	// where to send it. The policy judges it.
	Endpoint bool
	// Written is true where the webhook sets the variable in any case; others it sets
	// where an annotation does, unless to the default.
	Written bool
	// Secret is set for a file whose annotation names a Secret of the pod's
	// namespace, as name or name/key: it is the key where none is named, and the name
	// of the file in [ClientDir].
	Secret string
}

// Validate says what a value must be, if it is not.
func (o *Option) Validate(value string) error {
	switch {
	case o.OneOf != nil && !slices.Contains(o.OneOf, value):
		return fmt.Errorf("must be %s", List(o.OneOf, "or"))
	case o.Check != nil:
		return o.Check(value)
	default:
		return nil
	}
}

// List writes values as a list: a, b or c.
func List(values []string, conjunction string) string {
	last := len(values) - 1
	if last < 1 {
		return strings.Join(values, "")
	}
	return strings.Join(values[:last], ", ") + " " + conjunction + " " + values[last]
}

// All are all options, in the order of --help and of the documentation. What
// several methods have is there once for each form that it takes.
func All() []Option {
	all := slices.Clone(first)
	for i := range Methods {
		for _, o := range Methods[i].Options {
			same := func(other Option) bool { return other.Name == o.Name && other.Key == o.Key && other.Help == o.Help }
			if !slices.ContainsFunc(all, same) {
				all = append(all, o)
			}
		}
	}
	return append(all, last...)
}

// keys are the annotations of these options, each once.
func keys(options []Option, wanted func(*Option) bool) []string {
	var keys []string
	for i := range options {
		o := &options[i]
		if o.Key != "" && wanted(o) && !slices.Contains(keys, o.Key) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}

// Keys are the annotations of logins, without their prefix.
func Keys() []string { return keys(All(), func(*Option) bool { return true }) }

// ConfigurableKeys are those that the configuration's defaults may have.
func ConfigurableKeys() []string { return keys(All(), func(o *Option) bool { return o.Configurable }) }

// Lookup returns the option of a key that every login has, or nil.
func Lookup(key string) *Option {
	for _, options := range [][]Option{first, last} {
		if o := find(options, func(o *Option) bool { return o.Key == key }); o != nil {
			return o
		}
	}
	return nil
}

func find(options []Option, wanted func(*Option) bool) *Option {
	if i := slices.IndexFunc(options, func(o Option) bool { return wanted(&o) }); i >= 0 {
		return &options[i]
	}
	return nil
}

// WrittenByWebhook reports whether the webhook sets a variable of a login
// container.
func WrittenByWebhook(variable string) bool { return writtenByWebhook[variable] }

var writtenByWebhook = func() map[string]bool {
	variables := map[string]bool{}
	for _, o := range All() {
		if o.Name != "" && (o.Written || o.Key != "") {
			variables[o.Name.Env()] = true
		}
	}
	return variables
}()
