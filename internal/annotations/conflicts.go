package annotations

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// conflicts reports what cannot live side by side in a container. Tokens and
// logins whose scopes never meet may well share a file name or a variable.
func conflicts(spec Spec) field.ErrorList {
	tokens := spec.Tokens
	var errs field.ErrorList
	for i := range tokens {
		for j := range i {
			a, b := &tokens[j], &tokens[i]
			if len(errs) < maxFindings {
				errs = append(errs, conflict(a, b)...)
				errs = append(errs, providedConflict(a, b)...)
			}
		}
	}
	for i := range spec.Logins {
		errs = append(errs, loginConflicts(&spec.Logins[i], spec, i)...)
	}
	return errs
}

// loginConflicts compares a login with all tokens and with the logins before it.
func loginConflicts(l *Login, spec Spec, index int) field.ErrorList {
	errs := l.selfConflicts(spec.Logins)
	for i := range spec.Tokens {
		t := &spec.Tokens[i]
		together := l.Containers.Overlaps(t.Scope)
		other := fmt.Sprintf("token %q", t.DisplayName())
		// The login container has the token, whoever else has it.
		if together || t.Name == l.Token {
			errs = append(errs, l.directoryConflict(other, MountPath, t.MountPath)...)
		}
		switch {
		case together && l.Env == t.Env && l.Env != "":
			errs = append(errs, variableConflict(l.KeyPath(LoginEnv), l.Env, other))
		case together && l.setsForClients(t.Env):
			errs = append(errs, clientConflict(t.KeyPath(Env), t.Env, l))
		}
		errs = append(errs, l.providedConflicts(t)...)
		if t.Name == l.Token {
			errs = append(errs, l.reservedConflict(t.KeyPath(MountPath), t.MountPath)...)
		}
	}
	for i := range index {
		o := &spec.Logins[i]
		if l.Containers.Overlaps(o.Containers) {
			errs = append(errs, l.conflictsWith(o)...)
		}
		if l.Token == o.Token && (l.Once() || o.Once()) {
			errs = append(errs, finding.Error(finding.TokenUsedTwice, field.Invalid(l.KeyPath(LoginToken), displayName(l.Token),
				fmt.Sprintf(
					"login %q exchanges the same token, which is accepted once: give each login a token of its own", o.DisplayName()))))
		}
	}
	return errs
}

// selfConflicts reports what is wrong with a login whatever tokens there are.
func (l *Login) selfConflicts(logins []Login) field.ErrorList {
	var errs field.ErrorList
	if l.setsForClients(l.Env) {
		errs = append(errs, clientConflict(l.KeyPath(LoginEnv), l.Env, l))
	}
	errs = append(errs, l.reservedConflict(l.KeyPath(LoginMountPath), l.MountPath)...)
	for i := range logins {
		for _, owned := range logins[i].reserved() {
			// So it is with every prefix.
			if name := loginspec.Named(owned.volume, logins[i].Name); name == loginspec.Named(loginspec.Volume, l.Name) {
				errs = append(errs, finding.Error(finding.NameConflict, field.Invalid(l.Source, l.Name, fmt.Sprintf(
					"a volume of this login would have the name of one of login %q, %s: give the login another name",
					logins[i].DisplayName(), name))))
			}
		}
	}
	return errs
}

// reserved is a directory that a login container has of its own, and its volume.
type reserved struct{ volume, directory, holds string }

func (l *Login) reserved() []reserved {
	var all []reserved
	if l.CA != nil {
		all = append(all, reserved{loginspec.CAVolume, loginspec.CADir, "its certificate authorities"})
	}
	if len(l.Client) > 0 {
		all = append(all, reserved{loginspec.ClientVolume, loginspec.ClientDir, "what it proves with who it is"})
	}
	return all
}

// reservedConflict reports a directory that the login container has for something
// else.
func (l *Login) reservedConflict(at *field.Path, dir string) field.ErrorList {
	var errs field.ErrorList
	for _, r := range l.reserved() {
		if overlap(dir, r.directory) {
			errs = append(errs, finding.Error(finding.DirectoryConflict, field.Invalid(at, Shorten(dir),
				"is reserved: the login container has "+r.holds+" in "+r.directory)))
		}
	}
	return errs
}

// conflictsWith compares two logins whose results some container may both have.
func (l *Login) conflictsWith(o *Login) field.ErrorList {
	other := fmt.Sprintf("login %q", o.DisplayName())
	errs := l.directoryConflict(other, LoginMountPath, o.MountPath)
	switch {
	case l.Env == o.Env && l.Env != "":
		errs = append(errs, variableConflict(l.KeyPath(LoginEnv), l.Env, other))
	case o.setsForClients(l.Env) && !l.setsForClients(l.Env):
		errs = append(errs, clientConflict(l.KeyPath(LoginEnv), l.Env, o))
	case l.setsForClients(o.Env) && !o.setsForClients(o.Env):
		errs = append(errs, clientConflict(o.KeyPath(LoginEnv), o.Env, l))
	}
	return errs
}

// setsForClients reports whether the login sets the variable, beside that of its
// result.
func (l *Login) setsForClients(variable string) bool {
	named := func(c loginspec.ClientVariable) bool { return c.Name == variable }
	return l.ClientEnv && slices.ContainsFunc(l.Spec().Clients, named)
}

func (l *Login) directoryConflict(other, key, dir string) field.ErrorList {
	if !overlap(l.MountPath, dir) {
		return nil
	}
	return field.ErrorList{finding.Error(finding.DirectoryConflict, field.Invalid(l.KeyPath(LoginMountPath), Shorten(l.MountPath),
		fmt.Sprintf("%s has %s %s: the result of a login lies in a directory of its own, which can neither be that one, nor hold it, "+
			"nor lie in it",
			other, key, Shorten(dir))))}
}

func clientConflict(at *field.Path, variable string, l *Login) *field.Error {
	return finding.Error(finding.VariableConflict, field.Invalid(at, variable,
		fmt.Sprintf("login %q sets this variable for %s's clients: choose another", l.DisplayName(),
			l.Spec().ClientsOf)))
}

func variableConflict(at *field.Path, variable, other string) *field.Error {
	return finding.Error(finding.VariableConflict, field.Invalid(at, variable, other+" sets the same variable: give one of them another"))
}

// overlap reports whether two directories of a Linux container are the same, or
// one lies in the other.
func overlap(a, b string) bool {
	a, b = CanonicalPath(a, ""), CanonicalPath(b, "")
	return nested(a, b)
}

// nested reports whether one of two directories lies in the other, or is it.
func nested(a, b string) bool { return Within(a, b) || Within(b, a) }

// providedConflicts reports variables of a login that the SDK of a token's provider reads.
func (l *Login) providedConflicts(t *Token) field.ErrorList {
	var errs field.ErrorList
	if len(t.Variables) == 0 || !l.Containers.Overlaps(t.Scope) {
		return nil
	}
	for _, v := range t.Variables {
		switch {
		case v.Name == l.Env:
			errs = append(errs, variableConflict(l.KeyPath(LoginEnv), l.Env, fmt.Sprintf("token %q", t.DisplayName())))
		case l.setsForClients(v.Name):
			errs = append(errs, clientConflict(t.KeyPath(Audience), v.Name, l))
		}
	}
	return errs
}

// providedConflict reports a variable that a provider's SDK reads and that another token
// sets to another value.
func providedConflict(a, b *Token) field.ErrorList {
	name := a.providedTwice(b)
	if name == "" || !a.Scope.Overlaps(b.Scope) {
		return nil
	}
	return field.ErrorList{finding.Error(finding.VariableConflict, field.Invalid(b.KeyPath(Audience), Shorten(b.Audience), fmt.Sprintf(
		"token %q sets variable %s to another value: give the two different %s", a.DisplayName(), name, Containers)))}
}

// providedTwice is a variable that both tokens set, to different values, and that is not
// the Env of both; empty where there is none.
func (t *Token) providedTwice(o *Token) string {
	if len(t.Variables)+len(o.Variables) == 0 {
		return ""
	}
	for _, v := range t.Variables {
		if v.Name == o.Env {
			return v.Name
		}
		if slices.ContainsFunc(o.Variables, func(w provider.Variable) bool { return w.Name == v.Name && w.Value != v.Value }) {
			return v.Name
		}
	}
	for _, w := range o.Variables {
		if w.Name == t.Env {
			return w.Name
		}
	}
	return ""
}

// conflict compares two tokens, which only matters where some container may have
// both. The errors point at the annotation of the second one, or at the profile
// or audience that stands for it, and name the first. Directories inside one
// another are fine: the kubelet makes the inner one's mount point.
func conflict(a, b *Token) field.ErrorList {
	sameDirectory, sameVariable := a.Directory == b.Directory, a.Env != "" && a.Env == b.Env
	overFile := Within(b.Directory, a.file) || Within(a.Directory, b.file)
	mixed := !sameDirectory && nested(a.Directory, b.Directory) && !nested(a.literal, b.literal)
	if !sameDirectory && !sameVariable && !overFile && !mixed || !a.Scope.Overlaps(b.Scope) {
		return nil
	}
	var errs field.ErrorList
	other := fmt.Sprintf("token %q", a.DisplayName())
	if sameDirectory {
		errs = append(errs, finding.Error(finding.DirectoryConflict, field.Invalid(b.KeyPath(MountPath), Shorten(b.MountPath),
			fmt.Sprintf("%s has the same directory, %s %s: a token has a volume, and so a directory, of its own", other, MountPath,
				Shorten(a.MountPath)))))
	}
	if mixed {
		errs = append(errs, finding.Error(finding.DirectoryConflict, field.Invalid(b.KeyPath(MountPath), Shorten(b.MountPath),
			fmt.Sprintf("%s has %s %s, and where /var/run is a link to /run one lies in the other: write both the same way",
				other, MountPath, Shorten(a.MountPath)))))
	}
	if overFile {
		errs = append(errs, finding.Error(finding.FileConflict, field.Invalid(b.KeyPath(MountPath), Shorten(b.MountPath),
			fmt.Sprintf("%s has %s %s, and one of the two directories would hide the other's file: give one of them another %s",
				other, MountPath, Shorten(a.MountPath), MountPath))))
	}
	if sameVariable {
		errs = append(errs, finding.Error(finding.VariableConflict, field.Invalid(b.KeyPath(Env), b.Env, other+" sets the same variable")))
	}
	return errs
}
