package annotations_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

func TestLongNamesAreShortened(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, base := range []string{"oidc-token", "a-label-of-twenty-f99d-oidc-login-client"} {
		for _, name := range []string{
			"", "reports", strings.Repeat("a", 40), strings.Repeat("a", 39) + "b",
			strings.Repeat("a-", 19) + "b",
		} {
			for _, variant := range []string{"", "--0644", "--u2147483647"} {
				got := annotations.Name(base, name, variant)
				if problems := validation.IsDNS1123Label(got); len(problems) > 0 || seen[got] {
					t.Errorf("%q %q %q: %q: %v", base, name, variant, got, problems)
				}
				seen[got] = true
			}
		}
	}
	if got := annotations.Name("oidc-token", "reports", "--0644"); got != "oidc-token-reports--0644" {
		t.Error(got)
	}
}

func TestNamesDifferByPrefix(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[annotations.Prefix]string{
		annotations.DefaultPrefix: "oidc-token /var/run/secrets/tokens oidc-login oidc-login /var/run/secrets/login oidc-login-ca " +
			"oidc-login-client",
		"tokens.example.com": "tokens-d94d-oidc-token /var/run/secrets/tokens.example.com/tokens tokens-d94d-oidc-login " +
			"tokens-d94d-oidc-login /var/run/secrets/tokens.example.com/login tokens-d94d-oidc-login-ca tokens-d94d-oidc-login-client",
		"a": "a-ca97-oidc-token /var/run/secrets/a/tokens a-ca97-oidc-login a-ca97-oidc-login /var/run/secrets/a/login " +
			"a-ca97-oidc-login-ca a-ca97-oidc-login-client",
		"a-label-of-twenty---and-more.b": "a-label-of-twenty-f99d-oidc-token /var/run/secrets/a-label-of-twenty---and-more.b/tokens " +
			"a-label-of-twenty-f99d-oidc-login a-label-of-twenty-f99d-oidc-login /var/run/secrets/a-label-of-twenty---and-more.b/login " +
			"a-label-of-twenty-f99d-oidc-login-ca a-label-of-twenty-f99d-oidc-login-client",
	} {
		n := prefix.Names()
		got := strings.Join([]string{
			n.TokenVolume, n.TokenDirectory, n.LoginContainer, n.LoginVolume, n.LoginDirectory, n.CAVolume,
			n.ClientVolume,
		}, " ")
		if got != want {
			t.Errorf("%s:\n%s, want\n%s", prefix, got, want)
		}
		for _, name := range []string{n.TokenVolume, n.LoginContainer, n.LoginVolume, n.CAVolume, n.ClientVolume} {
			if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
				t.Errorf("%s: %q: %v", prefix, name, problems)
			}
		}
	}
}
