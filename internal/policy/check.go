package policy

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/endpoint"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// Check reports what the rules do not allow of what a pod asks for. Audiences and
// addresses are judged wherever they come from; variables and directories only where the
// pod names them itself, as those of profiles and defaults are the choice of the
// configuration's author. What is invalid already is not judged.
func (r Rules) Check(spec annotations.Spec, os annotations.OS, invalid field.ErrorList) field.ErrorList {
	c := check{rules: r, windows: os == annotations.Windows, invalid: invalid}
	for i := range spec.Tokens {
		c.token(&spec.Tokens[i])
	}
	for i := range spec.Logins {
		c.login(&spec.Logins[i])
	}
	return c.errs
}

// check collects what the rules do not allow.
type check struct {
	rules   Rules
	windows bool
	invalid field.ErrorList
	errs    field.ErrorList
}

func (c *check) token(t *annotations.Token) {
	c.judge(t, "audience", annotations.Audience, t.Audience, c.rules.Audience(t.Audience))
	for _, a := range t.Addresses {
		u, err := endpoint.Parse(a.URL)
		if err == nil {
			err = c.rules.Address(u, t.Own(a.Key))
		}
		c.judge(t, "address", a.Key, a.URL, err)
	}
	if t.Env != "" && t.Own(annotations.Env) {
		c.judge(t, "variable", annotations.Env, t.Env, c.rules.Env(t.Env))
	}
	if t.Own(annotations.MountPath) {
		c.judge(t, "mount path", annotations.MountPath, t.MountPath, c.rules.MountPath(t.MountPath, c.windows))
	}
}

func (c *check) login(l *annotations.Login) {
	for _, o := range l.Endpoints() {
		if u, err := endpoint.ParseWithQuery(l.Options[o.Name]); err == nil { // or else it is an error of the annotations
			c.judge(l, "address", o.Key, l.Options[o.Name], c.rules.Address(u, l.Own(o.Key)))
		}
	}
	c.redirects(l)
	c.secrets(l)
	if l.Own(annotations.LoginEnv) {
		c.judge(l, "variable", annotations.LoginEnv, l.Env, c.rules.Env(l.Env))
	}
	if l.Own(annotations.LoginMountPath) {
		c.judge(l, "mount path", annotations.LoginMountPath, l.MountPath, c.rules.MountPath(l.MountPath, false))
	}
}

// redirects judges the hosts that a relying party may send a login on to, which then
// get the token.
func (c *check) redirects(l *annotations.Login) {
	key := l.Spec().Option(loginspec.RedirectHosts).Key
	if !l.Own(key) {
		return
	}
	for _, host := range l.Options.Words(loginspec.RedirectHosts) {
		if u, err := endpoint.Parse("https://" + host); err == nil {
			c.judge(l, "host", key, host, c.rules.Address(u, true))
		}
	}
}

// secrets judges the Secrets that the pod itself names, or that it has sent to an
// address of its own. It may be made by whoever copies annotations into pods, for
// somebody who may not read them.
func (c *check) secrets(l *annotations.Login) {
	elsewhere := slices.ContainsFunc(l.Endpoints(), func(o *loginspec.Option) bool { return l.Own(o.Key) })
	for _, s := range l.Secrets() {
		if elsewhere || l.Own(s.Key) {
			c.judge(l, "Secret", s.Key, s.Name, c.rules.Secret(s.Name))
		}
	}
}

// rulesOf are those of what is judged.
var rulesOf = map[string]finding.Rule{
	"audience": finding.PolicyAudience, "address": finding.PolicyAddress, "host": finding.PolicyAddress, "variable": finding.PolicyVariable,
	"mount path": finding.PolicyMountPath, "Secret": finding.PolicySecret,
}

// judge adds an error about the value of a key, which is a noun, unless there is one
// already.
func (c *check) judge(of interface{ KeyPath(key string) *field.Path }, noun, key, value string, err error) {
	if err == nil {
		return
	}
	at := of.KeyPath(key)
	path := at.String()
	value = annotations.Shorten(value)
	if slices.ContainsFunc(c.invalid, func(e *field.Error) bool { return e.Field == path && e.BadValue == value }) {
		return
	}
	c.errs = append(c.errs, finding.Error(rulesOf[noun], field.Forbidden(at, fmt.Sprintf("%s %q: %s", noun, value, err))))
}
