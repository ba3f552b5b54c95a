package loginspec

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/oidc-injector/oidc-injector/internal/endpoint"
)

// What a value can be. An error completes "invalid value …: ".

var (
	errText   = errors.New("must be a text of 1 to 1024 bytes, without control characters and without white space at its ends")
	errURIs   = errors.New("must be absolute URIs without a fragment, separated by spaces (RFC 8707 section 2)")
	errAuth   = errors.New("must be the path at which the auth method is mounted, without auth/ before it")
	errMount  = errors.New("must be the path at which the auth method is mounted, such as jwt or teams/jwt")
	errType   = errors.New("must be " + tokenTypeNames + " or a URI")
	errField  = errors.New("must be the name of a field, or a JSON pointer such as /auth/jwt")
	errPoint  = errors.New("must be a JSON pointer, such as /data/expires_in (RFC 6901)")
	errToken  = errors.New("must be a JSON pointer, such as /data/token (RFC 6901), or " + WholeBody)
	errHosts  = errors.New("must be hosts, such as vault-0.vault-internal:8200, separated by spaces")
	errBool   = errors.New(`must be "true" or "false"`)
	errMode   = errors.New("must be an octal mode with 0400 and with no more than 0644")
	errListen = errors.New("must be host:port or :port")
	errLevel  = errors.New("must be debug, info, warn or error")
)

// isText takes what is passed on as it is.
func isText(value string) error {
	if value == "" || len(value) > 1024 || strings.TrimSpace(value) != value || strings.ContainsFunc(value, unicode.IsControl) {
		return errText
	}
	return nil
}

// areURIs takes resource indicators (RFC 8707 section 2).
func areURIs(value string) error {
	if err := isText(value); err != nil {
		return err
	}
	for uri := range strings.FieldsSeq(value) {
		if u, err := url.Parse(uri); err != nil || !u.IsAbs() || strings.Contains(uri, "#") {
			return errURIs
		}
	}
	return nil
}

// isMount takes the path of an auth method of Vault, below auth/.
func isMount(value string) error {
	switch {
	case isText(value) != nil:
		return errText
	case strings.HasPrefix(value, "auth/"):
		return errAuth
	case value != path.Clean(value) || strings.HasPrefix(value, "/") || strings.HasPrefix(value, ".") || strings.ContainsAny(value, "?#%"):
		return errMount
	}
	return nil
}

// isAddress takes a URL without a query.
func isAddress(value string) error {
	_, err := endpoint.Parse(value)
	return err
}

// isTokenEndpoint takes a URL which may have a query (RFC 6749 section 3.2).
func isTokenEndpoint(value string) error {
	_, err := endpoint.ParseWithQuery(value)
	return err
}

// areHosts takes hosts, with or without a port.
func areHosts(value string) error {
	if isText(value) != nil {
		return errHosts
	}
	for host := range strings.FieldsSeq(value) {
		if u, err := endpoint.Parse("https://" + host); err != nil || u.Host != host {
			return errHosts
		}
	}
	return nil
}

// tokenTypes are the short names of RFC 8693 section 3.
var tokenTypes = []string{"jwt", "id_token", "access_token", "refresh_token", "saml1", "saml2"}

var tokenTypeNames = strings.Join(tokenTypes, ", ")

// TokenType is the URI of a token type, which may be given by a short name.
func TokenType(value string) string {
	if slices.Contains(tokenTypes, value) {
		return "urn:ietf:params:oauth:token-type:" + value
	}
	return value
}

func isTokenType(value string) error {
	if u, err := url.Parse(TokenType(value)); isText(value) != nil || err != nil || !u.IsAbs() {
		return errType
	}
	return nil
}

// sentByOAuth are the parameters that the program sets itself.
var sentByOAuth = []string{
	"grant_type", "subject_token", "subject_token_type", "requested_token_type", "assertion", "client_assertion", "client_assertion_type",
	"client_id", "client_secret", "scope", "resource", "audience",
}

// SentByOAuth are the parameters that a login by OAuth sets itself.
func SentByOAuth() []string { return slices.Clone(sentByOAuth) }

const (
	maxParameters     = 64
	maxParametersSize = 16 << 10
)

var errParameters = fmt.Errorf("must be name=value, one a line, of at most %d lines and %d bytes, without control characters",
	maxParameters, maxParametersSize)

// areParameters takes parameters of a request, but for those of the reserved names.
func areParameters(reserved ...string) func(string) error {
	return func(value string) error {
		all := Values{Parameters: value}.Parameters(Parameters)
		if len(all) == 0 || len(all) > maxParameters || len(value) > maxParametersSize {
			return errParameters
		}
		seen := map[string]bool{}
		for _, p := range all {
			switch {
			case !p.given || isField(p.Name) != nil || strings.ContainsFunc(p.Value, unicode.IsControl):
				return errParameters
			case slices.Contains(reserved, p.Name):
				return fmt.Errorf("must not have %s, which has an annotation of its own or is set by the login itself", p.Name)
			case seen[p.Name]:
				return fmt.Errorf("must have %s once", p.Name)
			}
			seen[p.Name] = true
		}
		return nil
	}
}

// isField takes the name of a parameter or of a field, or a pointer to one.
func isField(value string) error {
	if isText(value) != nil || strings.ContainsAny(value, "= ") || strings.HasPrefix(value, "/") && isPointer(value) != nil {
		return errField
	}
	return nil
}

// isPointer takes JSON pointers but that to the whole document (RFC 6901 section 3).
func isPointer(value string) error {
	unescaped := strings.NewReplacer("~0", "", "~1", "").Replace(value)
	if isText(value) != nil || !strings.HasPrefix(value, "/") || strings.Contains(unescaped, "~") {
		return errPoint
	}
	return nil
}

func isTokenPointer(value string) error {
	if value != WholeBody && isPointer(value) != nil {
		return errToken
	}
	return nil
}

// isBool takes what [strconv.ParseBool] takes.
func isBool(value string) error {
	if _, err := strconv.ParseBool(value); err != nil {
		return errBool
	}
	return nil
}

// minLifetime is far below what any token lasts.
const minLifetime = 10 * time.Second

// isAtLeast takes durations that are not shorter.
func isAtLeast(least time.Duration) func(string) error {
	return func(value string) error {
		if d, err := time.ParseDuration(value); err != nil || d < least {
			return fmt.Errorf("must be a duration such as 90s or 2m, of at least %s", least)
		}
		return nil
	}
}

// isOutputMode takes the mode of a result, which nobody but the program has any
// business writing, and nobody executing.
func isOutputMode(value string) error {
	mode, err := strconv.ParseUint(value, 8, 32)
	if err != nil || mode&0o400 == 0 || mode&^0o644 != 0 {
		return errMode
	}
	return nil
}

// Certificates reports why a text is not certificates in PEM, one at least, and
// nothing beside them: a private key would be copied into every pod.
func Certificates(value string) error {
	found := 0
	for block, rest := pem.Decode([]byte(value)); block != nil; block, rest = pem.Decode(rest) {
		found++
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("must hold certificates only, and has a %s", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("certificate %d cannot be read: %w", found, err)
		}
	}
	// What is broken is passed over by the decoder: a private key, it may be.
	if begun := strings.Count(value, "-----BEGIN"); found == 0 || found != begun {
		return fmt.Errorf("must be certificates in PEM: %d of %d can be read", found, begun)
	}
	return nil
}

// isListenAddress takes host:port.
func isListenAddress(value string) error {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errListen
	}
	return nil
}

// isLogLevel takes the levels of log/slog, without the steps between them.
func isLogLevel(value string) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(value)); err != nil || strings.ContainsAny(value, "+-") {
		return errLevel
	}
	return nil
}
