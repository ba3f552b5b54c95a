package annotations_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
)

// keys are annotations without their prefix.
type keys map[string]string

// on returns them as a pod has them, among others that are not ours.
func (k keys) on(os annotations.OS) annotations.Input {
	all := map[string]string{"example.com/audience": "not ours", "oidc-injector.iox/audience": "not ours either"}
	for key, value := range k {
		all["oidc-injector.io/"+key] = value
	}
	return annotations.Input{Annotations: annotations.FromMap(all), OS: os}
}

// newParser has no profiles and no defaults.
func newParser() *annotations.Parser {
	return &annotations.Parser{Prefix: annotations.DefaultPrefix, MaxExpiration: annotations.DefaultMaxExpiration}
}

// token is the default token of audience "vault", edited.
func token(edit func(*annotations.Token)) annotations.Token {
	t := annotations.Token{
		Audience: "vault", ExpirationSeconds: 3600, File: "oidc-token", MountPath: "/var/run/secrets/tokens",
		Source: at("audience"),
	}
	if edit != nil {
		edit(&t)
	}
	return t
}

// named is the token of audience "vault" with a suffix, edited.
func named(name string, edit func(*annotations.Token)) annotations.Token {
	return token(func(t *annotations.Token) {
		t.Name, t.MountPath, t.Source = name, "/var/run/secrets/tokens-"+name, at("audience."+name)
		if edit != nil {
			edit(t)
		}
	})
}

// at is where a pod has the annotation.
func at(key string) *field.Path {
	return field.NewPath("metadata", "annotations").Key("oidc-injector.io/" + key)
}

func texts(errs field.ErrorList) []string {
	all := make([]string, 0, len(errs))
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}

// samePaths compares where errors point by what people read.
var samePaths = cmp.Options{
	cmp.Comparer(func(a, b *field.Path) bool { return a.String() == b.String() }),
	cmpopts.IgnoreUnexported(annotations.Token{}, annotations.Login{}),
	// The same as MountPath, for comparisons: see TestCanonicalPath.
	cmpopts.IgnoreFields(annotations.Token{}, "Directory"),
	cmpopts.IgnoreFields(annotations.Login{}, "Directory"),
}

// expect compares and takes an empty list for a missing one.
func expect[T []string | finding.Warnings](t *testing.T, what string, want []string, found T) {
	t.Helper()
	var got []string
	switch found := any(found).(type) {
	case []string:
		got = found
	case finding.Warnings:
		got = found.Texts()
	}
	if len(want)+len(got) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func expectTokens(t *testing.T, want, got []annotations.Token) {
	t.Helper()
	if len(want)+len(got) == 0 {
		return
	}
	if diff := cmp.Diff(want, got, samePaths); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}
