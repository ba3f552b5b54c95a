package admission

import (
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

func TestLoggedPlace(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("hunter2", 30_000)
	for _, tt := range []struct{ name, path, want string }{
		{"a key", "metadata.annotations[oidc-injector.io/audience]", "metadata.annotations[oidc-injector.io/audience]"},
		{"a suffix", "metadata.annotations[oidc-injector.io/audience.hunter2]", "metadata.annotations[oidc-injector.io/audience.*]"},
		{
			"a long suffix", "metadata.annotations[oidc-injector.io/login-role." + long + "]",
			"metadata.annotations[oidc-injector.io/login-role.*]",
		},
		{"brackets in a suffix", "metadata.annotations[oidc-injector.io/env.a]hunter2[]", "metadata.annotations[oidc-injector.io/env.*]"},
		{"an unknown key", "metadata.annotations[oidc-injector.io/hunter2]", "metadata.annotations[*]"},
		{"a foreign key", "metadata.annotations[hunter2/audience]", "metadata.annotations[*]"},
		{"a shortened key", "metadata.annotations[oidc-injector.io/audience.hun…", "metadata.annotations[oidc-injector.io/audience.*]"},
		{"no end", "metadata.annotations[oidc-injector.io/audience", "metadata.annotations[*]"},
		{"a field", "spec.containers[3].volumeMounts[12].mountPath", "spec.containers[3].volumeMounts[12].mountPath"},
		{"a list", "spec.containers", "spec.containers"},
		{"a field by a name of the author's", "spec.containers[hunter2].env[0]", "spec.containers[*]"},
		{"one with brackets", "spec.nodeSelector[a].hunter2[0]", "spec.nodeSelector[*]"},
		{"an endless index", "spec.containers[" + strings.Repeat("1", 1000) + "]", "spec.containers[*]"},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := loggedPlace(&annotations.Parser{Prefix: annotations.DefaultPrefix, Providers: provider.BuiltIn()},
				tt.path); got != tt.want {
				t.Errorf("got %.300s, want %s", got, tt.want)
			}
		})
	}
	for _, path := range []string{long, strings.Repeat("a[1]", 30_000)} {
		if got := loggedPlace(&annotations.Parser{Prefix: annotations.DefaultPrefix, Providers: provider.BuiltIn()},
			path); len(got) > 3*maxLoggedPlace {
			t.Errorf("%d bytes", len(got))
		}
	}
}

func TestLoggedName(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("n", 253)
	for name, want := range map[string]string{
		"": "", "app": "app", longest: longest, longest + "n": longest + "…",
		strings.Repeat("ä", 200): strings.Repeat("ä", 126) + "…",
	} {
		if got := loggedName(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}
