package issuer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/oidc-injector/oidc-injector/internal/issuer/issuertest"
)

// now is the time of all tests.
var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

const (
	testIssuer  = "https://issuer.example.com"
	testSubject = "system:serviceaccount:demo:app"
)

// claims are those of an API server, with changes.
func claims(changes map[string]any) map[string]any {
	all := map[string]any{
		"iss": testIssuer, "sub": testSubject, "aud": []string{"vault"}, "jti": "7d5f2a3e-0f7c-4c43-9f0e-0d2b7a6b8c11",
		"iat": now.Add(-10 * time.Minute).Unix(), "nbf": now.Add(-10 * time.Minute).Unix(), "exp": now.Add(50 * time.Minute).Unix(),
		"kubernetes.io": map[string]any{
			"namespace":      "demo",
			"serviceaccount": map[string]any{"name": "app", "uid": "a1b2"},
			"pod":            map[string]any{"name": "app-0", "uid": "c3d4"},
			"node":           map[string]any{"name": "node-1", "uid": "e5f6"},
		},
	}
	maps.Copy(all, changes)
	for name, value := range changes {
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

func encode(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// unsigned is a token whose signature is any bytes.
func unsigned(t *testing.T, header, claims any, signature string) string {
	t.Helper()
	return encode(t, header) + "." + encode(t, claims) + "." + base64.RawURLEncoding.EncodeToString([]byte(signature))
}

// signer makes tokens by a key.
type signer struct {
	key       crypto.Signer
	kid       string
	algorithm jose.SignatureAlgorithm
}

func newRSA(t *testing.T, kid string) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, kid, jose.RS256}
}

func newECDSA(t *testing.T, kid string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, kid, jose.ES256}
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.kid, Algorithm: string(s.algorithm), Use: "sig"}
}

func (s signer) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	data, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed(t, jose.SigningKey{Algorithm: s.algorithm, Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}, data)
}

func signed(t *testing.T, key jose.SigningKey, data []byte) string {
	t.Helper()
	token, err := issuertest.Sign(key, data)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func keySet(t *testing.T, keys ...any) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func mustParse(t *testing.T, text string) *Token {
	t.Helper()
	token, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func mustKeys(t *testing.T, keys ...any) Keys {
	t.Helper()
	parsed, err := ParseKeys(keySet(t, keys...))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
