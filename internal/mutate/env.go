package mutate

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/contract"
)

// variable is an environment variable that a container is to have.
type variable struct {
	name, value string
	// annotation is the one that asks for it.
	annotation string
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
	if t.Env == "" {
		return nil
	}
	return []variable{newVariable(variable{name: t.Env, value: t.Path(os), annotation: t.Annotation(annotations.Env)})}
}

// loginVariable is the variable that holds a result's path.
func loginVariable(l *annotations.Login) variable {
	return newVariable(variable{name: l.Env, value: l.Path(), annotation: l.Annotation(annotations.LoginEnv), yields: !l.Has(annotations.LoginEnv)})
}

// clientVariables are those by which Vault's clients find it, the address first.
// Only together they make sense.
func clientVariables(l *annotations.Login, settings LoginContainer) []variable {
	if l.Method != contract.MethodVault || !l.ClientEnv {
		return nil
	}
	variables := make([]variable, 0, 3)
	add := func(name, value, key string) {
		variables = append(variables, newVariable(variable{name: name, value: value, annotation: l.Annotation(key), yields: true}))
	}
	add(annotations.VaultAddr, l.Address, annotations.LoginAddress)
	if l.Namespace != "" {
		add(annotations.VaultNamespace, literal(l.Namespace), annotations.LoginNamespace)
	}
	switch {
	case l.CA != nil && l.CA.Secret:
		add(annotations.VaultCACert, l.CAPath(), annotations.LoginCASecret)
	case l.CA != nil || settings.CABundle != "":
		add(annotations.VaultCACert, l.CAPath(), annotations.LoginCAConfigMap)
	}
	return variables
}

// environment returns the variables that a container lacks of those that come
// with what it sees. Vault's clients get those of the first login with Vault.
func (p *planner) environment(c *container, shows []shown) []*variable {
	first := len(p.env)
	var vault *view
	for _, s := range shows {
		for i := range s.view.variables {
			if v := &s.view.variables[i]; !p.has(c, v) {
				p.env = append(p.env, v)
			}
		}
		switch {
		case len(s.view.clients) == 0:
		case vault == nil:
			vault = s.view
			p.clientEnvironment(c, vault)
		default:
			p.warnOtherVault(c, vault, s.view)
		}
	}
	return p.env[first:len(p.env):len(p.env)]
}

// clientEnvironment adds the variables of Vault's clients that a container lacks:
// none if it uses another Vault.
func (p *planner) clientEnvironment(c *container, vault *view) {
	first := len(p.env)
	for i := range vault.clients {
		v := &vault.clients[i]
		has, kept := p.compare(c, v)
		if i == 0 && kept {
			return
		}
		if !has {
			p.env = append(p.env, v)
		}
	}
	if len(p.env) > first && c.hasEnvFrom {
		p.f.warn("container %q has envFrom: %s and the like of login %q win over the variables that come from there; "+
			"set %s to \"false\" if they are to stay", c.name, annotations.VaultAddr, vault.login.DisplayName(), vault.key(annotations.LoginClientEnv))
	}
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
		p.f.warn("container %q sets %s itself, so it keeps another value than that of annotation %s", c.name, v.name, v.annotation)
	case kept:
		p.f.fail(func() *field.Error {
			return field.Invalid(c.field().Child("env").Index(last).Child("name"), annotations.Shorten(e.name), message(
				"container %q sets this variable itself, and annotation %s wants it to be %s: remove one of them", c.name, v.annotation, v.value))
		})
	}
	return true, kept
}

// warnOtherVault warns of a container whose clients could be meant for two Vaults.
func (p *planner) warnOtherVault(c *container, first, other *view) {
	if !sameVault(first.login, other.login) {
		p.f.warn("container %q logs in to Vault in several ways: its %s and the like are those of login %q, not of login %q",
			c.name, annotations.VaultAddr, first.login.DisplayName(), other.login.DisplayName())
	}
}

// sameVault reports whether two logins go to the same place in the same way.
func sameVault(l, o *annotations.Login) bool {
	sameCA := l.CA == nil && o.CA == nil || l.CA != nil && o.CA != nil && *l.CA == *o.CA
	return sameCA && l.Address == o.Address && l.Namespace == o.Namespace
}
