package mutate

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// view is a directory that containers can be given: that of a token, or that of
// the result of a login. It has a volume of its own.
type view struct {
	// token is the one that the directory shows, or nil.
	token *annotations.Token
	// login is the one whose result it shows, or nil.
	login *annotations.Login

	// index is the view's place among all views, and prefix that of annotations.
	index  int
	prefix annotations.Prefix
	// path is the directory as it was written, directory its canonical form.
	path, directory string
	// volume is the name of the volume that the webhook makes for it.
	volume string
	// scope says which containers are to see it.
	scope annotations.Scope
	// variables are those that a container gets with it, and clients those of
	// the relying party's own clients.
	variables, clients []variable

	// The rest is a login's: the view of the token that it exchanges, the name of
	// the container that does it, and that container if the pod has it already.
	exchanged     *view
	containerName string
	container     *container
}

// newViews returns the views of a Spec: the tokens', then the logins', each in
// the order of the Spec.
func newViews(pod *Pod, spec annotations.Spec, o Options) []view {
	views := make([]view, 0, len(spec.Tokens)+len(spec.Logins))
	names := o.Prefix.Names()
	for i := range spec.Tokens {
		t := &spec.Tokens[i]
		views = append(views, view{
			token: t, index: i, prefix: o.Prefix, path: t.MountPath, directory: t.Directory, scope: t.Scope,
			volume: annotations.Name(names.TokenVolume, t.Name, ""), variables: tokenVariables(t, pod.OS),
		})
	}
	for i := range spec.Logins {
		l := &spec.Logins[i]
		at := slices.IndexFunc(spec.Tokens, func(t annotations.Token) bool { return t.Name == l.Token })
		if at < 0 {
			continue // which is an error of the annotations
		}
		v := view{
			login: l, index: len(views), prefix: o.Prefix, path: l.MountPath, directory: l.Directory, scope: l.Containers,
			volume: annotations.Name(names.LoginVolume, l.Name, ""), variables: []variable{loginVariable(l)},
			clients:   clientVariables(l, o.Login),
			exchanged: &views[at], containerName: annotations.Name(names.LoginContainer, l.Name, ""),
		}
		for c := range pod.createdContainers() {
			if c.name == v.containerName {
				v.container = c
				break
			}
		}
		views = append(views, v)
	}
	return views
}

// loginOf returns the login whose container has this name, or nil. What
// annotations say of containers is not said of these: they see the token of
// their login, and nothing else.
func loginOf(views []view, name string) *view {
	for i := range views {
		if views[i].login != nil && views[i].containerName == name {
			return &views[i]
		}
	}
	return nil
}

// provided is the file of the token's provider, or nil.
func (v *view) provided() *annotations.ProvidedFile {
	if v.token == nil {
		return nil
	}
	return v.token.Provided
}

// what says what the view shows, for messages.
func (v *view) what() string {
	if v.token != nil {
		return fmt.Sprintf("token %q", v.token.DisplayName())
	}
	return fmt.Sprintf("the result of login %q", v.login.DisplayName())
}

// askedBy names what asks for the view.
func (v *view) askedBy() string {
	if v.token != nil {
		return v.token.Origin(annotations.Audience)
	}
	return v.login.Origin(annotations.LoginMethod)
}

// key names an annotation about the view.
func (v *view) key(key string) string {
	if v.token != nil {
		return v.prefix.Key(key, v.token.Name)
	}
	return v.prefix.Key(key, v.login.Name)
}

// source is where what asks for the view stands.
func (v *view) source() *field.Path {
	if v.token != nil {
		return v.token.Source
	}
	return v.login.Source
}

// keyPath is where an annotation about the view stands, or what it comes from.
func (v *view) keyPath(key string) *field.Path {
	if v.token != nil {
		return v.token.KeyPath(key)
	}
	return v.login.KeyPath(key)
}

// pathKey names the annotation that could set the directory.
func (v *view) pathKey() string {
	if v.token != nil {
		return v.key(annotations.MountPath)
	}
	return v.key(annotations.LoginMountPath)
}

// pathOrigin names what sets the directory, or asks for it.
func (v *view) pathOrigin() string {
	if v.token != nil {
		return v.token.Origin(annotations.MountPath)
	}
	return v.login.Origin(annotations.LoginMountPath)
}
