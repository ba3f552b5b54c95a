package loginspec

import (
	"slices"
	"strings"
)

// Method is a way to log in. Whatever differs between methods outside the program
// stands here; what a method sends and reads is in the program's directory of its
// protocol.
type Method struct {
	// Name is the value of the annotation, and of --method.
	Name string
	// Family names what the method and its like have in common, for people.
	Family string
	// Summary says what the method is, in a few words.
	Summary string
	// Options are the method's own, in the order in which they are documented.
	Options []Option
	// Needs are its options of which exactly one has to be given, the recommended
	// one first.
	Needs []Name
	// Rules are what its options ask of one another.
	Rules []Rule
	// FileVariable is the variable of the workload that gets the path of the
	// result, where no annotation names another.
	FileVariable string
	// TokenVariable is the variable that a result in the format env assigns.
	TokenVariable string
	// Clients are the variables by which clients of the relying party find it,
	// which the workload gets with the result: the one that names the relying party
	// first. ClientsOf says whose clients these are.
	Clients   []ClientVariable
	ClientsOf string
}

// Methods are all methods. The first one is the default of the program.
var Methods = []Method{vault, tokenExchange, jwtBearer, clientAssertion, httpLogin}

// All are the options of a login of the method, its own among those that every
// login has.
func (m *Method) All() []Option { return slices.Concat(first, m.Options, last) }

// Option returns the option of a name, or nil.
func (m *Method) Option(name Name) *Option {
	all := m.All()
	return find(all, func(o *Option) bool { return o.Name == name })
}

// Key returns the method's own option of an annotation, or nil.
func (m *Method) Key(key string) *Option {
	return find(m.Options, func(o *Option) bool { return o.Key == key })
}

// Violations are the rules that values break. name is how an option is named to
// the reader.
func (m *Method) Violations(v Values, name func(Name) string) []Violation {
	var violations []Violation
	for _, rule := range m.Rules {
		if broken := rule(v, name); broken != nil {
			violations = append(violations, *broken)
		}
	}
	return violations
}

// Missing says what is needed and was not given. name is how an option is named to
// the reader.
func (m *Method) Missing(name func(*Option) string) string {
	means := make([]string, 0, len(m.Needs))
	for i, n := range m.Needs {
		o := m.Option(n)
		if i == 0 {
			means = append(means, o.Means)
		} else {
			means = append(means, o.Means+" as "+name(o))
		}
	}
	return strings.Join(means, ", or ")
}

// MethodOf returns the method of a name, or nil.
func MethodOf(name string) *Method {
	for i := range Methods {
		if Methods[i].Name == name {
			return &Methods[i]
		}
	}
	return nil
}

// MethodNames are the names of all methods.
func MethodNames() []string {
	names := make([]string, 0, len(Methods))
	for i := range Methods {
		names = append(names, Methods[i].Name)
	}
	return names
}

// Having are the names of the methods that have an option; none where every login
// has it.
func Having(name Name) []string {
	var names []string
	for i := range Methods {
		if find(Methods[i].Options, func(o *Option) bool { return o.Name == name }) != nil {
			names = append(names, Methods[i].Name)
		}
	}
	return names
}

// Families are those of the methods that have a key.
func Families(key string) []string {
	var families []string
	for i := range Methods {
		if m := &Methods[i]; m.Key(key) != nil && !slices.Contains(families, m.Family) {
			families = append(families, m.Family)
		}
	}
	return families
}

// ClientVariable is a variable of the workload that has the value of an option.
type ClientVariable struct {
	Name string
	From Name
}
