package annotations

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/contract"
)

// conflicts reports what cannot live side by side in a container. Tokens and
// logins whose scopes never meet may well share a file name or a variable.
func conflicts(spec Spec, os OS) field.ErrorList {
	tokens := spec.Tokens
	var errs field.ErrorList
	for i := range tokens {
		for j := range i {
			a, b := &tokens[j], &tokens[i]
			if a.Scope.Overlaps(b.Scope) {
				errs = append(errs, conflict(a, b, os)...)
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
			errs = append(errs, variableConflict(l.path(LoginEnv), l.Env, other))
		case together && l.setsForClients(t.Env):
			errs = append(errs, clientConflict(t.path(Env), t.Env, l))
		}
		if t.Name == l.Token && l.CA != nil && overlap(t.MountPath, contract.CADir) {
			errs = append(errs, caDirConflict(t.path(MountPath), t.MountPath))
		}
	}
	for i := range index {
		if o := &spec.Logins[i]; l.Containers.Overlaps(o.Containers) {
			errs = append(errs, l.conflictsWith(o)...)
		}
	}
	return errs
}

// selfConflicts reports what is wrong with a login whatever tokens there are.
func (l *Login) selfConflicts(logins []Login) field.ErrorList {
	var errs field.ErrorList
	if l.setsForClients(l.Env) {
		errs = append(errs, clientConflict(l.path(LoginEnv), l.Env, l))
	}
	if l.CA != nil && overlap(l.MountPath, contract.CADir) {
		errs = append(errs, caDirConflict(l.path(LoginMountPath), l.MountPath))
	}
	for i := range logins {
		ca := contract.Named(contract.CAVolume, logins[i].Name)
		if logins[i].CA != nil && ca == contract.Named(contract.LoginVolume, l.Name) {
			errs = append(errs, field.Invalid(l.Source, l.Name, fmt.Sprintf(
				"a volume of this login would have the name of one of login %q, %s: give the login another name", logins[i].DisplayName(), ca)))
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
		errs = append(errs, variableConflict(l.path(LoginEnv), l.Env, other))
	case o.setsForClients(l.Env) && !l.setsForClients(l.Env):
		errs = append(errs, clientConflict(l.path(LoginEnv), l.Env, o))
	case l.setsForClients(o.Env) && !o.setsForClients(o.Env):
		errs = append(errs, clientConflict(o.path(LoginEnv), o.Env, l))
	}
	return errs
}

// setsForClients tells whether the login sets the variable, beside that of its
// result.
func (l *Login) setsForClients(variable string) bool {
	return l.Method == contract.MethodVault && (variable == VaultAddr || variable == VaultNamespace || variable == VaultCACert)
}

func (l *Login) directoryConflict(other, key, dir string) field.ErrorList {
	if !overlap(l.MountPath, dir) {
		return nil
	}
	return field.ErrorList{field.Invalid(l.path(LoginMountPath), shorten(l.MountPath),
		fmt.Sprintf("%s has %s %s: the result of a login lies in a directory of its own, which can neither be that one, nor hold it, nor lie in it",
			other, key, shorten(dir)))}
}

func caDirConflict(at *field.Path, dir string) *field.Error {
	return field.Invalid(at, shorten(dir), "is reserved: the login container has its certificate authorities in "+contract.CADir)
}

func clientConflict(at *field.Path, variable string, l *Login) *field.Error {
	return field.Invalid(at, variable, fmt.Sprintf("login %q sets this variable for Vault's clients: choose another", l.DisplayName()))
}

func variableConflict(at *field.Path, variable, other string) *field.Error {
	return field.Invalid(at, variable, other+" sets the same variable: give one of them another")
}

// overlap tells whether two directories of a Linux container are the same, or
// one lies in the other.
func overlap(a, b string) bool {
	a, b = runDir(ComparablePath(a, "")), runDir(ComparablePath(b, ""))
	return Within(a, b) || Within(b, a)
}

// conflict compares two tokens that some container may both have. The errors
// point at the annotation of the second one, or at the profile or audience that
// stands for it, and name the first.
func conflict(a, b *Token, os OS) field.ErrorList {
	var errs field.ErrorList
	dirA, dirB := ComparablePath(a.MountPath, os), ComparablePath(b.MountPath, os)
	other := fmt.Sprintf("token %q", a.DisplayName())
	switch {
	case dirA == dirB && sameFile(a.File, b.File, os):
		errs = append(errs, field.Invalid(b.path(TokenFile), shorten(b.Path(os)),
			fmt.Sprintf("%s writes the same file: give one of them another %s or %s", other, TokenFile, MountPath)))
	case dirA == dirB && a.FileMode != nil && b.FileMode != nil && *a.FileMode != *b.FileMode:
		errs = append(errs, field.Invalid(b.path(FileMode), fmt.Sprintf("%04o", *b.FileMode),
			fmt.Sprintf("%s has mode %04o in the same directory, whose files have one mode: give one of them another %s", other, *a.FileMode, MountPath)))
	case dirA != dirB && runDir(dirA) == runDir(dirB) && os != Windows:
		errs = append(errs, field.Invalid(b.path(MountPath), shorten(b.MountPath),
			fmt.Sprintf("%s has %s %s, which is the same directory where /var/run leads to /run: write both the same way", other, MountPath, shorten(a.MountPath))))
	case dirA != dirB && (Within(dirA, dirB) || Within(dirB, dirA)):
		errs = append(errs, field.Invalid(b.path(MountPath), shorten(b.MountPath),
			fmt.Sprintf("%s has %s %s: a token directory is read-only, so no other can lie inside it", other, MountPath, shorten(a.MountPath))))
	}
	if a.Env != "" && a.Env == b.Env {
		errs = append(errs, field.Invalid(b.path(Env), b.Env, other+" sets the same variable"))
	}
	return errs
}

// runDir gives a directory in /var/run the name that it has in most images, in
// which that is a link to /run.
func runDir(dir string) string {
	if Within(dir, "/var/run") {
		return strings.TrimPrefix(dir, "/var")
	}
	return dir
}
