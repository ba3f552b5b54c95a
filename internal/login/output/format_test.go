package output

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

var (
	formats = []string{loginspec.FormatRaw, loginspec.FormatJSON, loginspec.FormatEnv}
	expires = time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600))

	ofVault = Content{Variable: "VAULT_TOKEN", Expires: expires, Credential: exchange.Credential{
		Token: "hvs.CAES", TokenType: "service", Renewable: true, Revocable: true, Accessor: "AbC",
		Policies: []string{"default", "a&b"}, Metadata: map[string]string{"role": "demo"}, Warnings: []string{"w"}, Lease: time.Hour,
	}}
	ofOAuth = Content{Variable: "ACCESS_TOKEN", Expires: expires, Credential: exchange.Credential{
		Token: "eyJ.a.b", TokenType: "Bearer", Scope: "a b", IssuedTokenType: "urn:x", Lease: time.Hour,
	}}
)

func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		format  string
		content Content
		want    string
	}{
		{"raw", ofVault, "hvs.CAES"},
		{"raw", ofOAuth, "eyJ.a.b"},
		{
			"json", ofVault,
			`{"token":"hvs.CAES","token_type":"service","expiry":"2026-01-02T02:04:05Z","accessor":"AbC","renewable":true,` +
				`"policies":["default","a&b"],"metadata":{"role":"demo"}}` + "\n",
		},
		{
			"json", ofOAuth,
			`{"token":"eyJ.a.b","token_type":"Bearer","expiry":"2026-01-02T02:04:05Z","scope":"a b","issued_token_type":"urn:x"}` + "\n",
		},
		{
			"json",
			Content{Variable: "VAULT_TOKEN", Credential: exchange.Credential{Token: "t", TokenType: "batch"}},
			`{"token":"t","token_type":"batch"}` + "\n",
		},
		{"env", ofVault, "VAULT_TOKEN=hvs.CAES\nVAULT_TOKEN_EXPIRES=2026-01-02T02:04:05Z\n"},
		{"env", ofOAuth, "ACCESS_TOKEN=eyJ.a.b\nACCESS_TOKEN_EXPIRES=2026-01-02T02:04:05Z\n"},
		{"env", Content{Variable: "VAULT_TOKEN", Credential: exchange.Credential{Token: "a'$(b)"}}, `VAULT_TOKEN='a'\''$(b)'` + "\n"},
	} {
		if diff := cmp.Diff(tt.want, string(Format(tt.format, tt.content))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.format, diff)
		}
	}
}

func TestFormatEnvInShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("SKIPPED: there is no sh")
	}
	for _, token := range []secret.Text{"hvs.CAES-_", "eyJ.a.b", `a'b''c$(touch x)` + "`touch x`" + `"\!#*?~&;|<>()[]{}=%^`} {
		path := filepath.Join(t.TempDir(), "env")
		content := Format(loginspec.FormatEnv, Content{
			Variable: "VAULT_TOKEN", Credential: exchange.Credential{Token: token},
			Expires: expires,
		})
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), sh, "-c", `. "$0" && printf '%s %s' "$VAULT_TOKEN" "$VAULT_TOKEN_EXPIRES"`, path)
		got, err := cmd.CombinedOutput()
		if want := token.Reveal() + " 2026-01-02T02:04:05Z"; string(got) != want || err != nil {
			t.Errorf("%v: %q instead of %q", err, got, want)
		}
	}
}

// TestParse: the token is read back.
func TestParse(t *testing.T) {
	for _, format := range formats {
		for _, content := range []Content{ofVault, ofOAuth} {
			path := filepath.Join(t.TempDir(), "token")
			file := &File{Path: path, Mode: 0o400}
			if err := file.Write(Format(format, content)); err != nil {
				t.Fatal(err)
			}
			if got := ReadBack(path, format); got != content.Token {
				t.Errorf("%s: %q instead of %q", format, got.Reveal(), content.Token.Reveal())
			}
		}
	}
}

func TestParseInvalid(t *testing.T) {
	for format, texts := range map[string][]string{
		"raw":  {"", "two lines\nof text", "\x00"},
		"json": {"", "{}", "hvs.x", `{"token":7}`, `{"token":"a b"}`},
		"env":  {"", "TOKEN=x", "VAULT_TOKEN=", "VAULT_TOKEN=a b"},
	} {
		for _, text := range texts {
			if got := Parse([]byte(text), format); got != "" {
				t.Errorf("%s: %q is read from %q", format, got.Reveal(), text)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "token")
	if got := ReadBack(path, "raw"); got != "" {
		t.Errorf("%q is read from no file", got.Reveal())
	}
	if err := os.WriteFile(path, []byte(strings.Repeat(" ", maxFile)+"x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ReadBack(path, "raw"); got != "" {
		t.Errorf("%q is read from a large file", got.Reveal())
	}
	if got := ReadBack(t.TempDir(), "raw"); got != "" {
		t.Errorf("%q is read from a directory", got.Reveal())
	}
}

// What is written is read back, whatever the token, and anything else is
// nothing or a token that can be used.
func FuzzParse(f *testing.F) {
	f.Add("hvs.CAES", "demo")
	f.Add(`a'b\c"d`, "x\ny")
	f.Add("VAULT_TOKEN='a", "ACCESS_TOKEN=b")
	f.Fuzz(func(t *testing.T, token, other string) {
		for _, format := range formats {
			if got := Parse([]byte(other), format); got != "" && !got.Usable() {
				t.Errorf("%s: %q", format, got.Reveal())
			}
			if !secret.Text(token).Usable() {
				continue
			}
			for _, variable := range []string{"VAULT_TOKEN", "ACCESS_TOKEN"} {
				content := Content{Variable: variable, Expires: expires, Credential: exchange.Credential{
					Token: secret.Text(token), Scope: other, Metadata: map[string]string{other: other}, Policies: []string{other},
				}}
				if got := Parse(Format(format, content), format); got.Reveal() != token {
					t.Errorf("%s: %q instead of %q", format, got.Reveal(), token)
				}
			}
		}
	})
}
