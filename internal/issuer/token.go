// Package issuer reads what an issuer of tokens publishes, and tokens by it: the
// discovery document (OpenID Connect Discovery 1.0), its keys (RFC 7517), and JWTs
// (RFC 7519), as API servers issue them for ServiceAccounts (Kubernetes documentation,
// "ServiceAccount token issuer discovery").
//
// A [Token] is what a JWT says. Nothing of it is true before [Verify] has found the
// signature to be the issuer's.
package issuer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxToken is the longest token that is read, in bytes. API servers issue none of more
// than a few kilobytes, and most servers take no header of more than 16 KiB.
const MaxToken = 64 << 10

// The reasons why a text is not a JWT, without any of the text: it may be another secret.
var (
	errEmpty     = errors.New("the input is empty")
	errTooLong   = fmt.Errorf("the input is longer than %d bytes: not a token", MaxToken)
	errEncrypted = errors.New("this is an encrypted JWT (JWE, five parts): only who it is for can read it")
	errParts     = errors.New("not a JWT: a JWT is three parts of base64url with dots between them")
	errVault     = errors.New("this is a token of Vault or OpenBao, not a JWT: it says nothing by itself; " +
		"ask the server by `vault token lookup`")
)

// Token is what a JWT says, unverified.
type Token struct {
	// Header is the JOSE header (RFC 7515 section 4), and Claims are the claims (RFC 7519
	// section 4). Numbers are json.Number, so that none is rounded.
	Header, Claims map[string]any
	// Signature is empty where the token is unsigned ("alg": "none").
	Signature []byte

	compact string
}

// Parse takes a JWT in compact serialization (RFC 7515 section 7.1) apart. White space
// around it and a leading "Bearer" are passed over. No error quotes the text.
func Parse(text string) (*Token, error) {
	if len(text) > MaxToken {
		return nil, errTooLong
	}
	text = strings.TrimSpace(text)
	if scheme, rest, ok := strings.Cut(text, " "); ok && strings.EqualFold(scheme, "Bearer") {
		text = strings.TrimSpace(rest)
	}
	parts := strings.Split(text, ".")
	switch {
	case text == "":
		return nil, errEmpty
	case strings.HasPrefix(text, "hvs.") || strings.HasPrefix(text, "hvb.") || strings.HasPrefix(text, "s.") && len(parts) == 2:
		return nil, errVault
	case len(parts) == 5:
		return nil, errEncrypted
	case len(parts) != 3:
		return nil, errParts
	}
	t := &Token{compact: text}
	var err error
	if t.Header, err = object("header", parts[0]); err != nil {
		return nil, err
	}
	if t.Claims, err = object("claims", parts[1]); err != nil {
		return nil, err
	}
	if t.Signature, err = decode(parts[2]); err != nil {
		return nil, fmt.Errorf("not a JWT: its signature: %w", err)
	}
	return t, nil
}

// object decodes a JSON object. A name that is there twice is an error: relying parties
// differ in which of the two they read (RFC 7519 section 4).
func object(what, part string) (map[string]any, error) {
	data, err := decode(part)
	if err != nil {
		return nil, fmt.Errorf("not a JWT: its %s: %w", what, err)
	}
	if !jsontext.Value(data).IsValid() {
		return nil, fmt.Errorf("not a JWT: its %s are not a JSON object whose names are there once", what)
	}
	var o map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&o); err != nil || o == nil {
		return nil, fmt.Errorf("not a JWT: its %s are not a JSON object", what)
	}
	return o, nil
}

var errBase64 = errors.New("it is not base64url without padding (RFC 7515 section 2)")

func decode(part string) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errBase64 // the decoder's own error says where, which helps nobody
	}
	return data, nil
}

// Compact is the token itself, a secret as long as it is valid.
func (t *Token) Compact() string { return t.compact }

// Algorithm is the header's alg, or empty.
func (t *Token) Algorithm() string { return text(t.Header, "alg") }

// KeyID is the header's kid, or empty.
func (t *Token) KeyID() string { return text(t.Header, "kid") }

// Issuer is the claim iss, or empty.
func (t *Token) Issuer() string { return text(t.Claims, "iss") }

// Subject is the claim sub, or empty.
func (t *Token) Subject() string { return text(t.Claims, "sub") }

func text(o map[string]any, name string) string {
	s, _ := o[name].(string)
	return s
}

// Audiences are those of the claim aud, which is a text or a list of them (RFC 7519
// section 4.1.3). It is false where there is something else.
func (t *Token) Audiences() ([]string, bool) {
	switch aud := t.Claims["aud"].(type) {
	case nil:
		return nil, true
	case string:
		return []string{aud}, true
	case []any:
		all := make([]string, 0, len(aud))
		for _, a := range aud {
			s, ok := a.(string)
			if !ok {
				return nil, false
			}
			all = append(all, s)
		}
		return all, true
	default:
		return nil, false
	}
}

// maxSeconds is the last second of the year 9999: later ones have no form in RFC 3339.
const maxSeconds = 253402300799

// Time is a claim that is a NumericDate (RFC 7519 section 2), in UTC. There is none where
// the claim is missing; it is an error where the claim is something else.
func (t *Token) Time(claim string) (at time.Time, there bool, err error) {
	return numericDate(t.Claims, claim)
}

func numericDate(o map[string]any, name string) (time.Time, bool, error) {
	value, there := o[name]
	if !there {
		return time.Time{}, false, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, true, fmt.Errorf("%s is not a number of seconds", name)
	}
	seconds, err := number.Float64()
	if err != nil || math.Abs(seconds) > maxSeconds {
		return time.Time{}, true, fmt.Errorf("%s is not a number of seconds in the years up to 9999", name)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second))).UTC(), true, nil
}

// Object is what Kubernetes says of an object that a token is bound to.
type Object struct {
	Name string `json:"name"`
	UID  string `json:"uid,omitempty"`
}

// Kubernetes are the claims of an API server about the workload (kubernetes/kubernetes
// pkg/serviceaccount/claims.go; KEP-4193 added the node).
type Kubernetes struct {
	Namespace      string  `json:"namespace"`
	ServiceAccount Object  `json:"serviceAccount"`
	Pod            *Object `json:"pod,omitempty"`
	Node           *Object `json:"node,omitempty"`
	Secret         *Object `json:"secret,omitempty"`
	// WarnAfter is when the API server begins to count uses of a token whose lifetime it
	// has extended for clients that read the file once; zero where it has not.
	WarnAfter time.Time `json:"warnAfter,omitzero"`
}

// Kubernetes returns the claims of an API server, or nil where there are none.
func (t *Token) Kubernetes() *Kubernetes {
	private, ok := t.Claims["kubernetes.io"].(map[string]any)
	if !ok {
		return nil
	}
	k := &Kubernetes{Namespace: text(private, "namespace")}
	if account := bound(private, "serviceaccount"); account != nil {
		k.ServiceAccount = *account
	}
	k.Pod, k.Node, k.Secret = bound(private, "pod"), bound(private, "node"), bound(private, "secret")
	k.WarnAfter, _, _ = numericDate(private, "warnafter") // zero where it is odd
	return k
}

func bound(private map[string]any, name string) *Object {
	o, ok := private[name].(map[string]any)
	if !ok {
		return nil
	}
	return &Object{Name: text(o, "name"), UID: text(o, "uid")}
}
