package authserver_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

const (
	audience = "https://auth.example.com"
	subject  = "system:serviceaccount:prod:billing"
	keyID    = "SvZhfWmDTbPQ7Vh3nRjGZ6k5cTQ0ZSgMQmDmYbA2wUI"
)

// Two keys are enough for all tests: one of the issuer, one of nobody.
var (
	issuerKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	otherKey  = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
)

// issuer is what a relying party sees of a kube-apiserver.
type issuer struct {
	url string
	ca  []byte
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	key := mustKey(t, issuerKey)
	i := &issuer{}
	mux := http.NewServeMux()
	serve := func(path string, document func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(document()); err != nil {
				t.Error(err)
			}
		})
	}
	serve("/.well-known/openid-configuration", func() any {
		return map[string]any{
			"issuer":                                i.url,
			"jwks_uri":                              i.url + "/openid/v1/jwks",
			"response_types_supported":              []string{"id_token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
		}
	})
	serve("/openid/v1/jwks", func() any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: keyID, Algorithm: "RS256", Use: "sig"}}}
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	i.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return i
}

func mustKey(t *testing.T, key func() (*rsa.PrivateKey, error)) *rsa.PrivateKey {
	t.Helper()
	private, err := key()
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// token makes a token as the API server does for a projection, with some claims
// in the place of the usual ones.
func (i *issuer) token(t *testing.T, other map[string]any) string {
	t.Helper()
	return i.signed(t, mustKey(t, issuerKey), other)
}

func (i *issuer) signed(t *testing.T, key *rsa.PrivateKey, other map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{
		"aud": []string{audience},
		"exp": now + 3600,
		"iat": now,
		"iss": i.url,
		"jti": rand.Text(),
		"kubernetes.io": map[string]any{
			"namespace":      "prod",
			"node":           map[string]any{"name": "node", "uid": "3f0b8f9e-8d2c-4f0a-9d0e-6b1e0e7f0f11"},
			"pod":            map[string]any{"name": "billing-0", "uid": "5c1d2b52-52d1-4a3b-8e34-3e0a3f1d2c22"},
			"serviceaccount": map[string]any{"name": "billing", "uid": "a9b7c6d5-1e2f-4a3b-9c8d-7e6f5a4b3c33"},
		},
		"nbf": now,
		"sub": subject,
	}
	maps.Copy(claims, other)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
