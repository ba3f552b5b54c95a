package login

import (
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// options are those of the program, in the order of --help.
var options = programOptions()

// option is one option and how it is read.
type option struct {
	loginspec.Option
	// methods use the option; none means all.
	methods []string
}

func programOptions() []option {
	var all []option
	for _, row := range loginspec.All() {
		switch at := slices.IndexFunc(all, func(o option) bool { return o.Name == row.Name }); {
		case row.Name == "":
			// The webhook alone does what this annotation asks for.
		case at >= 0: // the form that it takes with other methods
			all[at].Help = strings.TrimSuffix(all[at].Help, ".") + "; or " + strings.ToLower(row.Help[:1]) + row.Help[1:]
		default:
			o := option{row, loginspec.Having(row.Name)}
			all = slices.Insert(all, place(all, o), o)
		}
	}
	return all
}

// place is where an option stands: addresses stand together, as one of them is
// needed.
func place(all []option, o option) int {
	for i := len(all); o.Endpoint && i > 0; i-- {
		if all[i-1].Endpoint {
			return i
		}
	}
	return len(all)
}

// of is the form that the option takes with a method; nil where the method has no
// such option.
func (o *option) of(method *loginspec.Method) *loginspec.Option {
	if method == nil {
		return &o.Option
	}
	return method.Option(o.Name)
}
