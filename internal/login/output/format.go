package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// Content is the result of a login.
type Content struct {
	exchange.Credential

	// Variable is the one that the format env assigns the token to.
	Variable string
	// Expires is the end of the lease; zero means never.
	Expires time.Time
}

// Format writes a result in one of the formats of a result.
func Format(format string, c Content) []byte {
	switch format {
	case loginspec.FormatJSON:
		return formatJSON(c)
	case loginspec.FormatEnv:
		return formatEnv(c)
	default:
		// No newline: what reads it as a whole gets the token and nothing else.
		return []byte(c.Token.Reveal())
	}
}

// object is a result in JSON.
type object struct {
	Token     string    `json:"token"`
	TokenType string    `json:"token_type"`
	Expiry    time.Time `json:"expiry,omitzero"`

	Accessor  string            `json:"accessor,omitempty"`
	Renewable bool              `json:"renewable,omitempty"`
	Policies  []string          `json:"policies,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`

	Scope           string `json:"scope,omitempty"`
	IssuedTokenType string `json:"issued_token_type,omitempty"`
}

func formatJSON(c Content) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	// An object of strings cannot fail to be encoded.
	_ = encoder.Encode(object{
		Token: c.Token.Reveal(), TokenType: c.TokenType, Expiry: c.expiry(),
		Accessor: c.Accessor, Renewable: c.Renewable, Policies: c.Policies, Metadata: c.Metadata,
		Scope: c.Scope, IssuedTokenType: c.IssuedTokenType,
	})
	return buffer.Bytes()
}

// expiry is in whole seconds, and rather too early than too late.
func (c Content) expiry() time.Time { return c.Expires.UTC().Truncate(time.Second) }

func formatEnv(c Content) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s=%s\n", c.Variable, shellQuote(c.Token.Reveal()))
	if !c.Expires.IsZero() {
		fmt.Fprintf(&out, "%s_EXPIRES=%s\n", c.Variable, c.expiry().Format(time.RFC3339))
	}
	return out.Bytes()
}

// shellSafe are the characters that mean nothing to a shell; those of common
// tokens are among them, and such a token is not quoted, as not everything that
// reads NAME=VALUE is a shell.
const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=+,@%"

func shellQuote(value string) string {
	if strings.Trim(value, shellSafe) == "" {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

func shellUnquote(value string) string {
	inner, quoted := strings.CutPrefix(value, "'")
	if !quoted {
		return value
	}
	return strings.ReplaceAll(strings.TrimSuffix(inner, "'"), `'\''`, "'")
}

// maxFile bounds what is read back.
const maxFile = 1 << 20

// ReadBack returns the token that an earlier run has left in the file, or
// nothing.
func ReadBack(path, format string) secret.Text {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil || len(data) > maxFile {
		return ""
	}
	return Parse(data, format)
}

// Parse is the reverse of Format, as far as the token goes. What is no usable
// token is nothing.
func Parse(data []byte, format string) secret.Text {
	var token secret.Text
	switch format {
	case loginspec.FormatJSON:
		var o object
		if json.Unmarshal(data, &o) == nil {
			token = secret.Text(o.Token)
		}
	case loginspec.FormatEnv:
		token = parseEnv(string(data))
	default:
		token = secret.Text(bytes.TrimSpace(data))
	}
	if !token.Usable() {
		return ""
	}
	return token
}

func parseEnv(text string) secret.Text {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		assigns := func(m loginspec.Method) bool { return m.TokenVariable == name }
		if slices.ContainsFunc(loginspec.Methods, assigns) {
			return secret.Text(shellUnquote(value))
		}
	}
	return ""
}
