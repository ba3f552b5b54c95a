package mutate

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// variable is an environment variable that a container is to have.
type variable struct {
	name, value string
	// origin names what asks for it.
	origin string
	// yields is true where a variable that the pod sets itself is kept, whatever
	// its value. Without it, another value is a contradiction.
	yields bool

	encoded element
}

func newVariable(v variable) variable {
	v.encoded = variableElement(v.name, v.value)
	return v
}

// literal is the form of a value that Kubernetes does not expand (core/v1
// EnvVar.value: $$ stands for $).
func literal(value string) string { return strings.ReplaceAll(value, "$", "$$") }

// tokenVariables are the variables of the containers that see a token.
func tokenVariables(t *annotations.Token, os annotations.OS) []variable {
	if t.Env == "" && len(t.Variables) == 0 {
		return nil
	}
	variables := make([]variable, 0, 1+len(t.Variables))
	if t.Env != "" {
		variables = append(variables, newVariable(variable{name: t.Env, value: t.Path(os), origin: t.Origin(annotations.Env)}))
	}
	for _, v := range t.Variables {
		if v.Name != t.Env {
			variables = append(variables, newVariable(variable{
				name: v.Name, value: literal(v.Value),
				origin: t.Origin(annotations.Audience), yields: true,
			}))
		}
	}
	return variables
}

// loginVariable is the variable that holds a result's path.
func loginVariable(l *annotations.Login) variable {
	return newVariable(variable{
		name: l.Env, value: l.Path(), origin: l.Origin(annotations.LoginEnv),
		yields: !l.Has(annotations.LoginEnv),
	})
}

// clientVariables are those by which the relying party's own clients find it, the
// one that says where it is first. Only together they make sense.
func clientVariables(l *annotations.Login, settings LoginContainer) []variable {
	if !l.ClientEnv {
		return nil
	}
	method := l.Spec()
	variables := make([]variable, 0, len(method.Clients))
	for _, c := range method.Clients {
		value, key := l.Options[c.From], annotations.LoginCAConfigMap
		switch {
		case c.From != loginspec.CAOutputFile:
			key = method.Option(c.From).Key
		case l.CA != nil:
			value, key = l.CAPath(), l.CA.Annotated()
		case settings.CABundle != "":
			value = l.CAPath()
		}
		if value != "" {
			variables = append(variables, newVariable(variable{
				name: c.Name, value: literal(value), origin: l.Origin(key),
				yields: true,
			}))
		}
	}
	return variables
}

// environment returns the variables that a container lacks of those that come
// with what it sees. A relying party's clients get those of the first login there.
func (p *planner) environment(c *container, shows []shown) []*variable {
	first := len(p.env)
	var clients []*view
	for _, s := range shows {
		for i := range s.view.variables {
			if v := &s.view.variables[i]; !p.has(c, v) && !planned(p.env[first:], v) {
				p.env = append(p.env, v)
			}
		}
		p.warnConflicts(c, s.view)
		if len(s.view.clients) == 0 {
			continue
		}
		same := func(v *view) bool { return v.clients[0].name == s.view.clients[0].name }
		if i := slices.IndexFunc(clients, same); i >= 0 {
			p.warnOtherParty(c, clients[i], s.view)
			continue
		}
		clients = append(clients, s.view)
		p.clientEnvironment(c, s.view)
	}
	return p.env[first:len(p.env):len(p.env)]
}

// clientEnvironment adds the variables of the relying party's clients that a
// container lacks: none if it uses another one.
func (p *planner) clientEnvironment(c *container, l *view) {
	first := len(p.env)
	for i := range l.clients {
		v := &l.clients[i]
		has, kept := p.compare(c, v)
		if i == 0 && kept {
			return
		}
		if !has {
			p.env = append(p.env, v)
		}
	}
	if len(p.env) > first && c.hasEnvFrom {
		p.f.warn(finding.VariablesFrom, c.field, "container %q has envFrom: %s and the like of login %q win over the variables that "+
			"come from there; set %s to \"false\" if they are to stay",
			c.name, l.clients[0].name, l.login.DisplayName(), l.key(annotations.LoginClientEnv))
	}
}

// planned reports whether a variable is among those that a container gets already. Where
// two views have one of the same name, it has the same value.
func planned(env []*variable, v *variable) bool {
	return slices.ContainsFunc(env, func(other *variable) bool { return other.name == v.name })
}

// warnConflicts warns of variables of a container by which an SDK would not take the
// identity that the token is for.
func (p *planner) warnConflicts(c *container, v *view) {
	if v.token == nil {
		return
	}
	for _, conflict := range v.token.Conflicts {
		if slices.ContainsFunc(c.env, func(e envVar) bool { return e.name == conflict.Env }) {
			p.f.warn(finding.OtherIdentity, c.field, "container %q sets %s beside token %q: %s", c.name, conflict.Env,
				v.token.DisplayName(), conflict.Reason)
		}
	}
	p.warnSecrets(c, v.token)
}

// warnSecrets warns of Secrets whose keys become variables of a container, if one of
// these could be such a variable. What is in the Secret cannot be known here. ConfigMaps
// hold no keys of clouds, and nearly all containers that have envFrom have one.
func (p *planner) warnSecrets(c *container, t *annotations.Token) {
	var names []string
	for _, conflict := range t.Conflicts {
		fits := func(prefix string) bool { return strings.HasPrefix(conflict.Env, prefix) }
		set := func(e envVar) bool { return e.name == conflict.Env } // which wins, and has its own warning
		if slices.ContainsFunc(c.secretPrefixes, fits) && !slices.ContainsFunc(c.env, set) {
			names = append(names, conflict.Env)
		}
	}
	if len(names) == 0 {
		return
	}
	const most = 3 // say enough to know what is meant
	if len(names) > most {
		names = append(names[:most-1:most-1], names[most-1]+andTheLike)
	}
	list := strings.Join(names, ", ")
	p.f.warn(finding.OtherIdentityFrom, c.field, "container %q has envFrom of a Secret: if that sets %s, the SDK takes another "+
		"identity than that of token %q", c.name, list, t.DisplayName())
}

func (p *planner) has(c *container, v *variable) bool {
	has, _ := p.compare(c, v)
	return has
}

// compare looks for a variable in a container: whether it has it, and whether it
// keeps another value. Of variables with one name the last one counts.
func (p *planner) compare(c *container, v *variable) (has, kept bool) {
	last := -1
	for i := range c.env {
		if c.env[i].name == v.name {
			last = i
		}
	}
	if last < 0 {
		return false, false
	}
	e := &c.env[last]
	kept = e.computed || e.value != v.value
	switch {
	case kept && v.yields:
		p.f.warn(finding.VariableKept, c.field, "container %q sets %s itself, so it keeps another value than that of %s", c.name, v.name,
			v.origin)
	case kept:
		p.f.fail(finding.VariableConflict, func() *field.Error {
			return field.Invalid(c.field().Child("env").Index(last).Child("name"), annotations.Shorten(e.name), message(
				"container %q sets this variable itself, and %s wants it to be %s: remove one of them", c.name, v.origin,
				v.value))
		})
	}
	return true, kept
}

// andTheLike stands behind the last name of a list that is cut.
const andTheLike = " and the like"

// warnOtherParty warns of a container whose clients could be meant for two relying
// parties.
func (p *planner) warnOtherParty(c *container, first, other *view) {
	if !sameParty(first.login, other.login) {
		p.f.warn(finding.SeveralLogins, c.field, "container %q logs in to %s in several ways: its %s and the like are those of login %q, "+
			"not of login %q",
			c.name, first.login.Spec().ClientsOf, first.clients[0].name, first.login.DisplayName(), other.login.DisplayName())
	}
}

// sameParty reports whether clients of two logins find the same place.
func sameParty(l, o *annotations.Login) bool {
	for _, c := range l.Spec().Clients {
		if l.Options[c.From] != o.Options[c.From] {
			return false
		}
	}
	return l.CA == nil && o.CA == nil || l.CA != nil && o.CA != nil && *l.CA == *o.CA
}
