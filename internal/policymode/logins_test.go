package policymode

import (
	"regexp"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// TestSyntax: what a pattern takes, the login takes, and what it refuses is refused there, too,
// but for the forms that need webhook mode.
func TestSyntax(t *testing.T) {
	t.Parallel()
	values := []string{
		"https://vault.example.com:8200", "HTTPS://Vault/", "http://a_b", "https://h.", "https://10.0.0.1",
		"https://127.1", "https://0x7f.1",
		"https://0x", "https://h.0xg", "https://h.00x1", "https://1x", "https://h:0", "https://h:65535",
		"https://h:65536", "https://h:0443",
		"https://h/a.b/..c/...", "https://h/..", "https://h/./a", "https://h//", "https://h/a/",
		"https://h/%2e", "https://h?a=%20", "https://h?",
		"https://h#a", "https://u@h", "https://h/$(X)", "https://h/ü", "https:/h", "ftp://h", "h", "h:1 g",
		"h  g:80", "127.1", "h/x", "x y", "a",
		"/a", "/a~1b/~0", "/a~", "/", "a=b", "/a=b", "body", "jwt", "saml1", "urn:a:b", "urn:a urn:b",
		"teams/jwt", "a/../b", "a//b", ".a", "a/.b",
		"a/b/", "a?b", "GET", "init", "raw", "true", "F", "yes", "",
	}
	for i := range loginspec.Methods {
		options := loginspec.Methods[i].All()
		for j := range options {
			o := &options[j]
			row := option(o)
			special := o.Name == loginspec.Parameters || row["least"] != ""
			if o.Key == "" || special || o.Check == nil && o.OneOf == nil {
				continue
			}
			// Of these options only usual forms are known, and the refusal says so.
			usualOnly := o.Name == loginspec.Resource || o.Name == loginspec.SubjectTokenType || o.Name == loginspec.RequestedTokenType
			if usualOnly && !strings.Contains(row["said"], "webhook mode") {
				t.Errorf("%s: %s", o.Key, row["said"])
			}
			pattern := regexp.MustCompile(row["pattern"])
			for _, value := range values {
				got := pattern.MatchString(value) && strings.TrimSpace(value) == value
				if want := o.Validate(value) == nil; got != want && (got || !usualOnly) {
					t.Errorf("%s of %s: %q: %v, want %v", o.Key, loginspec.Methods[i].Name, value, got, want)
				}
			}
		}
	}
}
