package mutate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
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
}

// literal is the form of a value that Kubernetes does not expand (core/v1
// EnvVar.value: $$ stands for $).
func literal(value string) string { return strings.ReplaceAll(value, "$", "$$") }

// setEnv adds a variable, unless the container has it already. It is false where
// the container keeps another value.
func (in *injection) setEnv(c *container, v variable, env *list) bool {
	found, kept := false, false
	for i := range c.env { // to the end: of variables with one name the last one counts
		e := &c.env[i]
		if e.name != v.name {
			continue
		}
		found, kept = true, e.computed || e.value != v.value
		if kept && !v.yields {
			in.fail(field.Invalid(c.field().Child("env").Index(i).Child("name"), e.name, fmt.Sprintf(
				"container %q sets this variable itself, and annotation %s wants it to be %s: remove one of them", c.name, v.annotation, v.value)))
		}
	}
	if kept && v.yields {
		in.warnOnce(fmt.Sprintf("container %q sets %s itself, so it keeps another value than that of annotation %s", c.name, v.name, v.annotation))
	}
	if !found {
		added := corev1.EnvVar{Name: v.name, Value: v.value}
		in.patch.container(c).pointer("env").appendTo(env, added, []corev1.EnvVar{added})
	}
	return !kept
}

// setLoginEnv adds the variables of the container's logins: of each the one that
// holds the result's path, and of the first one with Vault those of its clients.
func (in *injection) setLoginEnv(c *container, env *list) {
	var clientsOf *login
	for _, l := range in.logins {
		if !slices.Contains(l.readers, c) {
			continue
		}
		in.setEnv(c, variable{
			name: l.Env, value: l.Path(), annotation: l.Annotation(annotations.LoginEnv), yields: !l.Has(annotations.LoginEnv),
		}, env)
		switch {
		case l.Method != contract.MethodVault:
		case clientsOf == nil:
			clientsOf = l
			in.setClientEnv(c, l, env)
		case !l.sameVault(clientsOf):
			in.warnOnce(fmt.Sprintf("container %q logs in to Vault in several ways: its %s and the like are those of login %q, not of login %q",
				c.name, annotations.VaultAddr, clientsOf.DisplayName(), l.DisplayName()))
		}
	}
}

// setClientEnv adds the variables by which Vault's clients find it. Only together
// they make sense: a container that uses another Vault gets none of them.
func (in *injection) setClientEnv(c *container, l *login, env *list) {
	ours := in.setEnv(c, variable{
		name: annotations.VaultAddr, value: l.Address, annotation: l.Annotation(annotations.LoginAddress), yields: true,
	}, env)
	if !ours {
		return
	}
	if l.Namespace != "" {
		in.setEnv(c, variable{
			name: annotations.VaultNamespace, value: literal(l.Namespace), annotation: l.Annotation(annotations.LoginNamespace), yields: true,
		}, env)
	}
	if l.CA == nil && in.options.Login.CABundle == "" {
		return
	}
	key := annotations.LoginCAConfigMap
	if l.CA != nil && l.CA.Secret {
		key = annotations.LoginCASecret
	}
	in.setEnv(c, variable{name: annotations.VaultCACert, value: l.CAPath(), annotation: l.Annotation(key), yields: true}, env)
}

// sameVault tells whether two logins go to the same place in the same way.
func (l *login) sameVault(o *login) bool {
	sameCA := l.CA == nil && o.CA == nil || l.CA != nil && o.CA != nil && *l.CA == *o.CA
	return sameCA && l.Address == o.Address && l.Namespace == o.Namespace
}
