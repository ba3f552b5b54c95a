package annotations

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// conflicts reports the tokens that cannot live side by side in a container.
// Tokens whose scopes never meet may well share a file name or a variable.
func conflicts(tokens []Token, os OS) field.ErrorList {
	var errs field.ErrorList
	for i := range tokens {
		for j := range i {
			a, b := &tokens[j], &tokens[i]
			if a.Scope.Overlaps(b.Scope) {
				errs = append(errs, conflict(a, b, os)...)
			}
		}
	}
	return errs
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
